SELECT p.product_id,
       json_build_object('category', p.category, 'similar', coalesce(
           (SELECT json_agg(json_build_object('id', s.similar_product_id, 'score', s.score) ORDER BY s.rank)
            FROM similar_items s WHERE s.generation = p.generation AND s.product_id = p.product_id), '[]'))::text AS value
FROM products p
WHERE p.generation = %(generation)s
