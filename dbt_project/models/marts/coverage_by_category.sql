with

list_coverage as (

    select * from {{ ref('stg_list_coverage') }}

),

categories as (

    select * from list_coverage where not is_whole_shop

),

rated as (

    select
        md5(list_date::text || '|' || category) as coverage_category_id,
        list_date,
        category,
        products,
        recommendable_products,
        listed_products,
        served_products,
        {{ ratio('served_products', 'recommendable_products') }} as catalogue_coverage,
        people,
        places,
        {{ ratio('places', 'sum(places) over (partition by list_date)') }} as places_share,
        purchased_places,
        {{ ratio('places_value', 'places') }} as average_served_price

    from categories

)

select * from rated
