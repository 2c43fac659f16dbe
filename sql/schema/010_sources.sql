-- What put each product on a list. The places are those of `SOURCES` in recsys_assets/sources.py.
ALTER TABLE lists ADD COLUMN model_sources smallint[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN lists.model_sources IS 'What put each product there: 0 pinned by the shop, else the member with the largest part of the score: 1 als, 2 item_cf, 3 popularity, 4 personal, 5 linear, 6 transitions, 7 session, 8 basket, 9 content. Empty: published before this column.';

CREATE OR REPLACE VIEW live_lists AS
SELECT l.generation, l.person_key, l.recommendation_id, p.rank, p.product_id, p.score, p.als, p.item_cf, p.popularity,
       p.personal, p.confidence, p.price_micros, p.category, p.reason_code, p.reason_count, p.reason, p.purchased,
       p.position, p.linear, p.transitions, p.session, p.basket, p.content,
       ('{pinned,als,item_cf,popularity,personal,linear,transitions,session,basket,content}'::text[])[p.model_source + 1]
           AS model_source
FROM lists l
JOIN live ON live.generation = l.generation
CROSS JOIN LATERAL unnest(
    l.product_ids, l.scores, l.als, l.item_cf, l.popularity, l.personal, l.confidence, l.prices_micros, l.categories,
    l.reason_codes, l.reason_counts, l.reasons, l.purchased, l.positions, l.linear, l.transitions, l.session, l.basket,
    l.content, l.model_sources
) WITH ORDINALITY AS p (
    product_id, score, als, item_cf, popularity, personal, confidence, price_micros, category, reason_code,
    reason_count, reason, purchased, position, linear, transitions, session, basket, content, model_source, rank
)
WHERE NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = l.mark);

ALTER TABLE similar_items ADD COLUMN source text CHECK (source IN ('purchases', 'views', 'content'));
COMMENT ON TABLE similar_items IS 'One row per generation, product and rank: products bought, or looked at, by the same people, else described alike.';
COMMENT ON COLUMN similar_items.confidence IS 'Share of the product''s buyers (or of those who looked at it) who took the other too, 0 to 1; null where the catalogue alone says so.';
COMMENT ON COLUMN similar_items.source IS 'purchases: bought by the same people; views: looked at by the same people; content: described alike by the catalogue; null: published before this column.';
CREATE OR REPLACE VIEW live_similar_items AS SELECT s.* FROM similar_items s JOIN live USING (generation);
