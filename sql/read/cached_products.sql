SELECT product_id,
       json_build_object('category', category, 'parent_id', parent_id, 'price_micros', price_micros,
                         'price_tier', price_tier)::text AS value
FROM products
WHERE generation = %(generation)s
