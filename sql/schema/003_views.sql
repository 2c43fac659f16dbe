CREATE VIEW live_lists AS
SELECT l.generation, l.person_key, l.recommendation_id, p.rank, p.product_id, p.score, p.als, p.item_cf, p.popularity,
       p.personal, p.confidence, p.price_micros, p.category, p.reason_code, p.reason_count, p.reason, p.purchased,
       p.position
FROM lists l
JOIN live ON live.generation = l.generation
CROSS JOIN LATERAL unnest(
    l.product_ids, l.scores, l.als, l.item_cf, l.popularity, l.personal, l.confidence, l.prices_micros, l.categories,
    l.reason_codes, l.reason_counts, l.reasons, l.purchased, l.positions
) WITH ORDINALITY AS p (
    product_id, score, als, item_cf, popularity, personal, confidence, price_micros, category, reason_code,
    reason_count, reason, purchased, position, rank
)
WHERE NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = l.mark);
COMMENT ON VIEW live_lists IS 'One row per person and product of the live generation, without suppressed people.';

CREATE VIEW live_products AS SELECT p.* FROM products p JOIN live USING (generation);
COMMENT ON VIEW live_products IS 'The live generation''s products.';

CREATE VIEW live_popular_items AS SELECT p.* FROM popular_items p JOIN live USING (generation);
COMMENT ON VIEW live_popular_items IS 'The live generation''s popular items.';

CREATE VIEW live_similar_items AS SELECT s.* FROM similar_items s JOIN live USING (generation);
COMMENT ON VIEW live_similar_items IS 'The live generation''s similar items.';

CREATE VIEW live_profiles AS
SELECT p.generation, p.person_key, p.profile
FROM profiles p
JOIN live USING (generation)
WHERE NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = p.mark);
COMMENT ON VIEW live_profiles IS 'The live generation''s profiles, without suppressed people.';
