with

source as (

    select * from {{ source('published', 'list_coverage') }}

),

renamed as (

    select
        as_of_date as list_date,
        category,
        category = '' as is_whole_shop,
        products,
        recommendable as recommendable_products,
        listed_products,
        served_products,
        people,
        places,
        purchased_places,
        {{ currency('places_micros') }} as places_value

    from source

)

select * from renamed
