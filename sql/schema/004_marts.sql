CREATE TABLE daily_sales (
    event_date date NOT NULL,
    category text NOT NULL,
    orders bigint,
    buyers bigint,
    lines bigint,
    units bigint,
    revenue_micros bigint,
    returned_units bigint,
    returned_micros bigint,
    sessions bigint,
    converted_sessions bigint,
    visitors bigint,
    views bigint,
    carts bigint,
    PRIMARY KEY (event_date, category)
);
COMMENT ON TABLE daily_sales IS 'One row per day and top category: what was sold. Null: fewer people than the k-anonymity floor stand behind it.';
COMMENT ON COLUMN daily_sales.event_date IS 'Day, in the home''s time zone.';
COMMENT ON COLUMN daily_sales.category IS 'Top category; empty: the whole shop; (none): products without one; (other): categories with too few people.';
COMMENT ON COLUMN daily_sales.orders IS 'Orders; a person''s purchases of a day without an order id are one.';
COMMENT ON COLUMN daily_sales.buyers IS 'Persons who bought.';
COMMENT ON COLUMN daily_sales.lines IS 'Lines bought.';
COMMENT ON COLUMN daily_sales.units IS 'Units bought.';
COMMENT ON COLUMN daily_sales.revenue_micros IS 'What the lines cost, millionths of the base currency; returns are not taken off.';
COMMENT ON COLUMN daily_sales.returned_units IS 'Units returned; of a category with too few people who returned, counted in (other).';
COMMENT ON COLUMN daily_sales.returned_micros IS 'What the returned units had cost, millionths of the base currency.';
COMMENT ON COLUMN daily_sales.sessions IS 'Visits; of the whole shop only, as all that follow.';
COMMENT ON COLUMN daily_sales.converted_sessions IS 'Visits in which something was bought.';
COMMENT ON COLUMN daily_sales.visitors IS 'Persons who visited.';
COMMENT ON COLUMN daily_sales.views IS 'Products looked at.';
COMMENT ON COLUMN daily_sales.carts IS 'Products put into a cart.';

CREATE TABLE list_coverage (
    as_of_date date NOT NULL,
    category text NOT NULL,
    products bigint,
    recommendable bigint,
    listed_products bigint,
    served_products bigint,
    people bigint,
    places bigint,
    purchased_places bigint,
    places_micros bigint,
    PRIMARY KEY (as_of_date, category)
);
COMMENT ON TABLE list_coverage IS 'One row per day of lists and top category: how much of it is shown. Null: fewer people than the k-anonymity floor stand behind it.';
COMMENT ON COLUMN list_coverage.as_of_date IS 'Data day of the lists, in the home''s time zone.';
COMMENT ON COLUMN list_coverage.category IS 'Top category; empty: the whole shop; (none): products without one; (other): categories that too few people see.';
COMMENT ON COLUMN list_coverage.products IS 'Products in the catalogue.';
COMMENT ON COLUMN list_coverage.recommendable IS 'Products that may be listed.';
COMMENT ON COLUMN list_coverage.listed_products IS 'Distinct products among the ranked candidates.';
COMMENT ON COLUMN list_coverage.served_products IS 'Distinct products in served lists.';
COMMENT ON COLUMN list_coverage.people IS 'Persons with a product of it in their served list.';
COMMENT ON COLUMN list_coverage.places IS 'Places in served lists.';
COMMENT ON COLUMN list_coverage.purchased_places IS 'Places whose product the person has bought before.';
COMMENT ON COLUMN list_coverage.places_micros IS 'Sum of the prices of all places, millionths of the base currency.';
