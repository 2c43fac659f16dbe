SELECT json_agg(json_build_object('category', category, 'products', products) ORDER BY category)::text AS value
FROM (
    SELECT category,
           json_agg(json_build_object('id', product_id, 'score', score, 'reason', reason) ORDER BY rank) AS products
    FROM popular_items WHERE generation = %(generation)s GROUP BY category
) AS by_category
