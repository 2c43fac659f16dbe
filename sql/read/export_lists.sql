SELECT replace(l.person_key::text, '-', '') AS person_key, replace(l.recommendation_id::text, '-', '') AS recommendation_id,
       p.rank, p.position, p.product_id, p.score, p.confidence, p.price_micros / 1000000.0 AS price, p.category,
       p.reason_code, p.reason, p.purchased,
       ('{pinned,als,item_cf,popularity,personal,linear,transitions,session,basket,content}'::text[])[p.model_source + 1]
           AS model_source
FROM lists l
CROSS JOIN LATERAL unnest(
    l.product_ids, l.scores, l.confidence, l.prices_micros, l.categories, l.reason_codes, l.reasons, l.purchased,
    l.positions, l.model_sources
) WITH ORDINALITY AS p (
    product_id, score, confidence, price_micros, category, reason_code, reason, purchased, position, model_source, rank
)
WHERE l.generation = %(generation)s
  AND (p.position IS NOT NULL OR %(candidates)s)
  AND (NOT %(chosen)s OR EXISTS (SELECT FROM wanted w WHERE w.person_key = l.person_key))
  AND NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = l.mark)
ORDER BY l.person_key, p.rank
