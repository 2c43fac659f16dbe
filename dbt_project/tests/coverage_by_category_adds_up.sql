-- Days on which the categories do not add up to the whole shop.
with

daily as (

    select * from {{ ref('coverage_daily') }}

),

categories as (

    select * from {{ ref('coverage_by_category') }}

),

summed as (

    select
        list_date,
        sum(products) as products,
        sum(recommendable_products) as recommendable_products,
        sum(served_products) as served_products,
        sum(places) as places

    from categories
    group by list_date

),

compared as (

    -- A withheld day has neither its own places nor categories of them.
    select
        coalesce(daily.list_date, summed.list_date) as list_date,
        coalesce(daily.products, 0) <> coalesce(summed.products, 0)
        or coalesce(daily.recommendable_products, 0) <> coalesce(summed.recommendable_products, 0)
        or coalesce(daily.served_products, 0) <> coalesce(summed.served_products, 0) as products_differ,
        coalesce(daily.places, 0) <> coalesce(summed.places, 0) as places_differ

    from daily
    full join summed on summed.list_date = daily.list_date

)

select * from compared where products_differ or places_differ
