-- A schema before 12 has no tiers: there the name means the column of this row of nothing.
SELECT json_agg(json_build_object('category', category, 'products', products) ORDER BY category)::text AS value
FROM (
    SELECT i.category,
           json_build_object(
               'id', json_agg(i.product_id ORDER BY i.rank), 'score', json_agg(i.score ORDER BY i.rank),
               'reason', json_agg(i.reason ORDER BY i.rank), 'price_micros', json_agg(i.price_micros ORDER BY i.rank),
               'category', json_agg(p.category ORDER BY i.rank),
               'parent_id', json_agg(p.parent_id ORDER BY i.rank),
               'price_tier', json_agg(p.tier ORDER BY i.rank)) AS products
    FROM popular_items i
    CROSS JOIN (SELECT NULL::text AS price_tier) older
    LEFT JOIN LATERAL (
        SELECT category, parent_id, price_tier AS tier FROM products
        WHERE generation = i.generation AND product_id = i.product_id
    ) p ON true
    WHERE i.generation = %(generation)s
    GROUP BY i.category
) AS by_category
