SELECT l.mark,
       json_build_object('candidates', cardinality(l.product_ids), 'recommendation_id',
           replace(l.recommendation_id::text, '-', ''), 'withheld', l.owned[1:l.withheld], 'owned', cardinality(l.owned),
           'tiers', l.tiers, 'products', json_build_object(
           'id', p.id, 'score', p.score, 'reason', p.reason, 'price_micros', p.price_micros, 'category', p.category,
           'confidence', p.confidence, 'purchased', p.purchased, 'source', p.source))::text AS value
FROM lists l
CROSS JOIN LATERAL (
    SELECT json_agg(c.id ORDER BY c.position) AS id, json_agg(c.score ORDER BY c.position) AS score,
           json_agg(c.reason ORDER BY c.position) AS reason, json_agg(c.price_micros ORDER BY c.position) AS price_micros,
           json_agg(c.category ORDER BY c.position) AS category,
           json_agg(c.confidence ORDER BY c.position) AS confidence,
           json_agg(c.purchased ORDER BY c.position) AS purchased,
           json_agg(c.source ORDER BY c.position) AS source
    FROM unnest(l.product_ids, l.scores, l.reasons, l.prices_micros, l.categories, l.confidence, l.purchased,
                l.model_sources, l.positions)
         AS c (id, score, reason, price_micros, category, confidence, purchased, source, position)
    WHERE c.position IS NOT NULL
) p
WHERE l.generation = %(generation)s
