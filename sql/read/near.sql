-- One row per product asked about: as in Redis, null where there is none.
SELECT a.product_id,
       (SELECT json_build_object(
                   'id', json_agg(s.similar_product_id ORDER BY s.rank), 'score', json_agg(s.score ORDER BY s.rank),
                   'confidence', json_agg(s.confidence ORDER BY s.rank),
                   'source', json_agg(array_position('{purchases,views,content}', source) - 1 ORDER BY s.rank))
        FROM similar_items s WHERE s.generation = %(generation)s AND s.product_id = a.product_id
        HAVING count(*) > 0) AS similar,
       (SELECT json_build_object(
                   'id', json_agg(n.next_product_id ORDER BY n.rank), 'score', json_agg(n.score ORDER BY n.rank))
        FROM next_items n WHERE n.generation = %(generation)s AND n.product_id = a.product_id
        HAVING count(*) > 0) AS next
FROM unnest(%(products)s::text[]) AS a (product_id)
-- A schema before 10 has no source of similar items: there the name means the column of this row of nothing.
CROSS JOIN (SELECT NULL::text AS source) older
