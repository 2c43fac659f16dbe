-- Days on which the categories do not add up to the whole shop.
with

daily as (

    select * from {{ ref('sales_daily') }}

),

categories as (

    select * from {{ ref('sales_by_category') }}

),

summed as (

    select
        sales_date,
        sum(lines) as lines,
        sum(units) as units,
        sum(revenue) as revenue,
        sum(returned_units) as returned_units,
        sum(returned_value) as returned_value

    from categories
    group by sales_date

),

compared as (

    -- A withheld day has neither its own figures nor categories; a day without sales has zeros and no categories.
    select
        coalesce(daily.sales_date, summed.sales_date) as sales_date,
        coalesce(daily.lines, 0) <> coalesce(summed.lines, 0) as lines_differ,
        coalesce(daily.units, 0) <> coalesce(summed.units, 0) as units_differ,
        coalesce(daily.revenue, 0) <> coalesce(summed.revenue, 0) as revenue_differs,
        coalesce(daily.returned_units, 0) <> coalesce(summed.returned_units, 0)
        or coalesce(daily.returned_value, 0) <> coalesce(summed.returned_value, 0) as returns_differ

    from daily
    full join summed on summed.sales_date = daily.sales_date

)

select * from compared where lines_differ or units_differ or revenue_differs or returns_differ
