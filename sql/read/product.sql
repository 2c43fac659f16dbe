SELECT p.category,
       (SELECT json_agg(json_build_object('id', s.similar_product_id, 'score', s.score) ORDER BY s.rank)
        FROM similar_items s WHERE s.generation = p.generation AND s.product_id = p.product_id) AS similar
FROM products p
WHERE p.generation = %(generation)s AND p.product_id = %(product)s
