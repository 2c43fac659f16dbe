with

daily_sales as (

    select * from {{ ref('stg_daily_sales') }}

),

categories as (

    select * from daily_sales where not is_whole_shop

),

rated as (

    select
        md5(sales_date::text || '|' || category) as sales_category_id,
        sales_date,
        category,
        orders,
        buyers,
        lines,
        units,
        revenue,
        {{ ratio('revenue', 'sum(revenue) over (partition by sales_date)') }} as revenue_share,
        {{ ratio('revenue', 'units') }} as average_unit_price,
        returned_units,
        returned_value

    from categories

)

select * from rated
