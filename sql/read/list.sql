SELECT l.recommendation_id,
       (SELECT json_agg(json_build_object(
                   'id', p.id, 'score', p.score, 'reason', p.reason, 'price_micros', p.price, 'category', p.category,
                   'purchased', p.purchased) ORDER BY p.position)
        FROM unnest(l.product_ids, l.scores, l.reasons, l.prices_micros, l.categories, l.purchased, l.positions)
             AS p (id, score, reason, price, category, purchased, position)
        WHERE p.position IS NOT NULL) AS products
FROM lists l
WHERE l.generation = %(generation)s AND l.mark = %(mark)s AND l.person_key = %(key)s
