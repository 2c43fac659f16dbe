-- One row per person asked about, in any order. Products are those served, then, where deep, the other candidates.
SELECT a.key, s.mark IS NOT NULL AS suppressed, replace(l.recommendation_id::text, '-', '') AS recommendation_id,
       cardinality(l.product_ids) AS candidates, l.has[1:l.of_it] AS withheld, cardinality(l.has) AS owned,
       l.has AS bought, l.from_tiers AS tiers, p.products, p.members
FROM unnest(%(keys)s::uuid[], %(marks)s::uuid[]) AS a (key, mark)
LEFT JOIN suppressions s ON s.mark = a.mark
-- A schema before 10 has no model_sources, one before 12 nothing of what people own: there these names mean the columns
-- of this row of nothing.
CROSS JOIN (
    SELECT NULL::smallint[] AS model_sources, NULL::text[] AS owned, NULL::integer AS withheld, NULL::text[] AS tiers
) older
LEFT JOIN LATERAL (
    SELECT own.*, model_sources AS sources, owned AS has, withheld AS of_it, tiers AS from_tiers FROM lists own
    WHERE own.generation = %(generation)s AND own.person_key = a.key AND s.mark IS NULL
) l ON true
LEFT JOIN LATERAL (
    SELECT json_build_object(
        'id', json_agg(c.id ORDER BY c.position, c.rank), 'score', json_agg(c.score ORDER BY c.position, c.rank),
        'reason', json_agg(c.reason ORDER BY c.position, c.rank),
        'price_micros', json_agg(c.price_micros ORDER BY c.position, c.rank),
        'category', json_agg(c.category ORDER BY c.position, c.rank),
        'confidence', json_agg(c.confidence ORDER BY c.position, c.rank),
        'purchased', json_agg(c.purchased ORDER BY c.position, c.rank),
        'source', json_agg(c.source ORDER BY c.position, c.rank)) AS products,
        json_build_object(
            'als', json_agg(c.als ORDER BY c.position, c.rank),
            'item_cf', json_agg(c.item_cf ORDER BY c.position, c.rank)) AS members
    FROM unnest(l.product_ids, l.scores, l.reasons, l.prices_micros, l.categories, l.confidence, l.purchased,
                l.sources, l.als, l.item_cf, l.positions) WITH ORDINALITY
         AS c (id, score, reason, price_micros, category, confidence, purchased, source, als, item_cf, position, rank)
    WHERE %(deep)s OR c.position IS NOT NULL
) p ON l.person_key IS NOT NULL
