-- More members of the blend; of a list that does without one, its array is empty.
ALTER TABLE lists
    ADD COLUMN linear real[] NOT NULL DEFAULT '{}',
    ADD COLUMN transitions real[] NOT NULL DEFAULT '{}',
    ADD COLUMN session real[] NOT NULL DEFAULT '{}',
    ADD COLUMN basket real[] NOT NULL DEFAULT '{}',
    ADD COLUMN content real[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN lists.scores IS 'Scores by which the list is ordered before Level 2: the blend''s, or the learned order''s.';
COMMENT ON COLUMN lists.als IS 'Score of the member als; empty where the day''s choice does without it.';
COMMENT ON COLUMN lists.item_cf IS 'Score of the member item_cf; empty where the day''s choice does without it.';
COMMENT ON COLUMN lists.popularity IS 'Score of the member popularity; empty where the day''s choice does without it.';
COMMENT ON COLUMN lists.personal IS 'Score of the member personal; empty where the day''s choice does without it.';
COMMENT ON COLUMN lists.linear IS 'Score of the member linear; empty where the day''s choice does without it.';
COMMENT ON COLUMN lists.transitions IS 'Score of the member transitions; empty where the day''s choice does without it.';
COMMENT ON COLUMN lists.session IS 'Score of the member session; empty where the day''s choice does without it.';
COMMENT ON COLUMN lists.basket IS 'Score of the member basket; empty where the day''s choice does without it.';
COMMENT ON COLUMN lists.content IS 'Score of the member content; empty where the day''s choice does without it.';

CREATE OR REPLACE VIEW live_lists AS
SELECT l.generation, l.person_key, l.recommendation_id, p.rank, p.product_id, p.score, p.als, p.item_cf, p.popularity,
       p.personal, p.confidence, p.price_micros, p.category, p.reason_code, p.reason_count, p.reason, p.purchased,
       p.position, p.linear, p.transitions, p.session, p.basket, p.content
FROM lists l
JOIN live ON live.generation = l.generation
CROSS JOIN LATERAL unnest(
    l.product_ids, l.scores, l.als, l.item_cf, l.popularity, l.personal, l.confidence, l.prices_micros, l.categories,
    l.reason_codes, l.reason_counts, l.reasons, l.purchased, l.positions, l.linear, l.transitions, l.session, l.basket,
    l.content
) WITH ORDINALITY AS p (
    product_id, score, als, item_cf, popularity, personal, confidence, price_micros, category, reason_code,
    reason_count, reason, purchased, position, linear, transitions, session, basket, content, rank
)
WHERE NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = l.mark);
