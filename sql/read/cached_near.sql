SELECT product_id, json_build_object('similar', s.products, 'next', n.products)::text AS value
FROM (
    SELECT product_id,
           json_build_object(
               'id', json_agg(similar_product_id ORDER BY rank), 'score', json_agg(score ORDER BY rank),
               'confidence', json_agg(confidence ORDER BY rank),
               'source', json_agg(array_position('{purchases,views,content}', source) - 1 ORDER BY rank)) AS products
    FROM similar_items WHERE generation = %(generation)s GROUP BY product_id
) s
FULL JOIN (
    SELECT product_id,
           json_build_object(
               'id', json_agg(next_product_id ORDER BY rank), 'score', json_agg(score ORDER BY rank)) AS products
    FROM next_items WHERE generation = %(generation)s GROUP BY product_id
) n USING (product_id)
