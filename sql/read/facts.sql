-- A schema before 12 has neither of the last two: there the names mean the columns of this row of nothing.
SELECT p.*
FROM (SELECT NULL::text AS not_recommendable, NULL::text AS price_tier) older
CROSS JOIN LATERAL (
    SELECT product_id, parent_id, name, category, brand, price_micros, list_price_micros, image_url, url, in_stock,
           not_recommendable, price_tier
    FROM current_products
    WHERE product_id = ANY(%(products)s)
) p
