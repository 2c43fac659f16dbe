-- What rules ask of a person and of a product when an answer is put together: what the night listed obeys them already.
-- At its end, comments of older columns as they are meant since.
ALTER TABLE lists
    ADD COLUMN owned text[],
    ADD COLUMN withheld integer,
    ADD COLUMN tiers text[];
COMMENT ON COLUMN lists.owned IS 'Every product that the person bought, the withheld ones first; null: the generation was made before this was kept.';
COMMENT ON COLUMN lists.withheld IS 'So many of the first of owned are not shown now: repeats are never, or their cycle is not over.';
COMMENT ON COLUMN lists.tiers IS 'Price tiers from which the person is shown what they have not bought; null: from all.';

ALTER TABLE products
    ADD COLUMN not_recommendable text,
    ADD COLUMN price_tier text;
COMMENT ON COLUMN products.not_recommendable IS 'Why it may not be shown, as in the table catalog; null: it may.';
COMMENT ON COLUMN products.price_tier IS 'budget, mid or premium; null: it has no price.';

CREATE OR REPLACE VIEW live_products AS SELECT p.* FROM products p JOIN live USING (generation);

-- What was told since can lift what the catalogue said of stock and price, and nothing else.
CREATE OR REPLACE VIEW current_products AS
SELECT p.generation, p.product_id, p.parent_id, p.name, p.category, p.brand,
       coalesce(c.price_micros, p.price_micros) AS price_micros,
       CASE WHEN c.price_micros IS NULL OR c.price_micros = p.price_micros THEN p.list_price_micros END
           AS list_price_micros,
       p.image_url, p.url, coalesce(c.in_stock, p.in_stock) AS in_stock,
       CASE WHEN p.not_recommendable = 'out_of_stock' AND c.in_stock THEN NULL
            WHEN p.not_recommendable = 'price_missing' AND c.price_micros IS NOT NULL THEN NULL
            ELSE p.not_recommendable END AS not_recommendable,
       p.price_tier
FROM products p
JOIN live USING (generation)
LEFT JOIN current_changes c USING (product_id);

COMMENT ON COLUMN lists.confidence IS 'Share of such candidates that were bought within the days of a holdout, 0 to 1, of everybody who gets a list.';
COMMENT ON TABLE popular_items IS 'One row per generation, category and rank: what most people buy lately, else what they look at; pinned products lead.';
COMMENT ON COLUMN popular_items.buyers IS 'Persons who bought it, or looked at it, as the reason says; null of a pinned product with fewer than the k-anonymity floor.';
COMMENT ON COLUMN daily_sales.revenue_micros IS 'What the lines cost, millionths of the base currency; one without a price adds nothing; returns are not taken off.';
COMMENT ON COLUMN daily_sales.returned_micros IS 'What the returned units had cost, as the returns say, millionths of the base currency; one without a price adds nothing.';
