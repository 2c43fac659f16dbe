SELECT l.mark,
       json_build_object('recommendation_id', replace(l.recommendation_id::text, '-', ''), 'products',
           (SELECT coalesce(json_agg(json_build_object(
                       'id', p.id, 'score', p.score, 'reason', p.reason, 'price_micros', p.price,
                       'category', p.category, 'purchased', p.purchased) ORDER BY p.position), '[]')
            FROM unnest(l.product_ids, l.scores, l.reasons, l.prices_micros, l.categories, l.purchased, l.positions)
                 AS p (id, score, reason, price, category, purchased, position)
            WHERE p.position IS NOT NULL))::text AS value
FROM lists l
WHERE l.generation = %(generation)s
