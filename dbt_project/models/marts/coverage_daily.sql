with

list_coverage as (

    select * from {{ ref('stg_list_coverage') }}

),

whole_shop as (

    select * from list_coverage where is_whole_shop

),

rated as (

    select
        list_date,
        products,
        recommendable_products,
        listed_products,
        served_products,
        {{ ratio('recommendable_products', 'products') }} as recommendable_share,
        {{ ratio('listed_products', 'recommendable_products') }} as candidate_coverage,
        {{ ratio('served_products', 'recommendable_products') }} as catalogue_coverage,
        people,
        places,
        {{ ratio('places', 'people') }} as places_per_person,
        purchased_places,
        {{ ratio('purchased_places', 'places') }} as purchased_share,
        {{ ratio('places_value', 'places') }} as average_served_price

    from whole_shop

)

select * from rated
