-- A schema before 12 has no tiers: there the name means the column of this row of nothing.
SELECT p.*
FROM (SELECT NULL::text AS price_tier) older
CROSS JOIN LATERAL (
    SELECT product_id, category, parent_id, price_micros, price_tier FROM products
    WHERE generation = %(generation)s AND product_id = ANY(%(products)s)
) p
