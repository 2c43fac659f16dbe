with

source as (

    select * from {{ source('published', 'daily_sales') }}

),

renamed as (

    select
        event_date as sales_date,
        category,
        category = '' as is_whole_shop,
        orders,
        buyers,
        lines,
        units,
        {{ currency('revenue_micros') }} as revenue,
        returned_units,
        {{ currency('returned_micros') }} as returned_value,
        sessions,
        converted_sessions,
        visitors,
        views,
        carts

    from source

)

select * from renamed
