with

daily_sales as (

    select * from {{ ref('stg_daily_sales') }}

),

whole_shop as (

    select * from daily_sales where is_whole_shop

),

rated as (

    select
        sales_date,
        orders,
        buyers,
        lines,
        units,
        revenue,
        {{ ratio('revenue', 'orders') }} as average_order_value,
        {{ ratio('units', 'orders') }} as units_per_order,
        returned_units,
        returned_value,
        sessions,
        converted_sessions,
        {{ ratio('converted_sessions', 'sessions') }} as conversion_rate,
        visitors,
        views,
        carts

    from whole_shop

)

select * from rated
