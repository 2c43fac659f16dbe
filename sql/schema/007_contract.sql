-- What the API's whole contract reads and writes beside the lists.
CREATE TABLE next_items (
    generation bigint NOT NULL,
    product_id text NOT NULL,
    rank integer NOT NULL,
    next_product_id text NOT NULL,
    score real NOT NULL,
    PRIMARY KEY (generation, product_id, rank)
) PARTITION BY LIST (generation);
COMMENT ON TABLE next_items IS 'One row per generation, product and rank: what is taken after it; answers sessions that no night has seen.';
COMMENT ON COLUMN next_items.generation IS 'Generation.';
COMMENT ON COLUMN next_items.product_id IS 'Product taken.';
COMMENT ON COLUMN next_items.rank IS 'From 1, best first.';
COMMENT ON COLUMN next_items.next_product_id IS 'Product taken after it.';
COMMENT ON COLUMN next_items.score IS 'Strength of the rule; rules of several products add up.';

CREATE VIEW live_next_items AS SELECT n.* FROM next_items n JOIN live USING (generation);
COMMENT ON VIEW live_next_items IS 'The live generation''s transitions between products.';

CREATE TABLE product_changes (
    product_id text NOT NULL,
    day date NOT NULL,
    in_stock boolean,
    price_micros bigint CHECK (price_micros > 0),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, day)
);
COMMENT ON TABLE product_changes IS 'One row per product and day on which it was told to be sold out, restocked or repriced; holds until a generation of that day or a later one is live.';
COMMENT ON COLUMN product_changes.product_id IS 'Product.';
COMMENT ON COLUMN product_changes.day IS 'The shop''s day on which it was told.';
COMMENT ON COLUMN product_changes.in_stock IS 'Whether it can be bought; null: not told on that day.';
COMMENT ON COLUMN product_changes.price_micros IS 'Price, millionths of the base currency; null: not told on that day.';
COMMENT ON COLUMN product_changes.changed_at IS 'When, UTC.';

-- By day, so that a rollback to an older generation finds what was told since its catalogue, and nothing else.
CREATE VIEW current_changes AS
SELECT c.product_id,
       (array_agg(c.in_stock ORDER BY c.day DESC) FILTER (WHERE c.in_stock IS NOT NULL))[1] AS in_stock,
       (array_agg(c.price_micros ORDER BY c.day DESC) FILTER (WHERE c.price_micros IS NOT NULL))[1] AS price_micros
FROM product_changes c
JOIN live ON true
JOIN generations g ON g.generation = live.generation
WHERE c.day > g.day
GROUP BY c.product_id;
COMMENT ON VIEW current_changes IS 'One row per product that was sold out, restocked or repriced since the live generation''s catalogue.';
COMMENT ON COLUMN current_changes.product_id IS 'Product.';
COMMENT ON COLUMN current_changes.in_stock IS 'Whether it can be bought, as last told; null: as the catalogue says.';
COMMENT ON COLUMN current_changes.price_micros IS 'Price as last told, millionths of the base currency; null: as the catalogue says.';

-- A list price goes with the price it stood beside: nobody has said that a new price is a discount from it.
CREATE VIEW current_products AS
SELECT p.generation, p.product_id, p.parent_id, p.name, p.category, p.brand,
       coalesce(c.price_micros, p.price_micros) AS price_micros,
       CASE WHEN c.price_micros IS NULL OR c.price_micros = p.price_micros THEN p.list_price_micros END
           AS list_price_micros,
       p.image_url, p.url, coalesce(c.in_stock, p.in_stock) AS in_stock
FROM products p
JOIN live USING (generation)
LEFT JOIN current_changes c USING (product_id);
COMMENT ON VIEW current_products IS 'The live generation''s products, with what was told of them since its catalogue.';

CREATE TABLE api_tokens (
    token uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL CHECK (scopes <@ ARRAY['profiles', 'listings', 'writes'] AND cardinality(scopes) > 0),
    made_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE api_tokens IS 'One row per token of the API; the token itself is shown once and stored nowhere.';
COMMENT ON COLUMN api_tokens.token IS 'Number of the token, for people who list and revoke them; not the token.';
COMMENT ON COLUMN api_tokens.name IS 'Who uses it; while one replaces another, two have the same name.';
COMMENT ON COLUMN api_tokens.hash IS 'SHA-256 of the token.';
COMMENT ON COLUMN api_tokens.scopes IS 'profiles: of one person; listings: of many; writes: opt-out, opt-in, erasure.';
COMMENT ON COLUMN api_tokens.made_at IS 'When it was made, UTC.';
COMMENT ON COLUMN api_tokens.expires_at IS 'Until when it is taken, UTC.';

CREATE TABLE receipts (
    receipt uuid PRIMARY KEY,
    mark uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('optout', 'optin', 'erasure')),
    asked_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    stores jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX receipts_mark ON receipts (mark);
CREATE UNIQUE INDEX receipts_erasure ON receipts (mark) WHERE kind = 'erasure';
CREATE INDEX receipts_to_do ON receipts (asked_at) WHERE done_at IS NULL; -- each wish and each flip looks for them
COMMENT ON TABLE receipts IS 'One row per wish of a person: what was asked, and what has been removed where.';
COMMENT ON COLUMN receipts.receipt IS 'Number that the person is given; it cannot be guessed. Of an erasure: HMAC of the mark under another label.';
COMMENT ON COLUMN receipts.mark IS 'The person''s mark, as in suppressions.';
COMMENT ON COLUMN receipts.kind IS 'optout, optin or erasure; a person has one erasure at most.';
COMMENT ON COLUMN receipts.asked_at IS 'When it was asked, UTC; from then on it holds for readers.';
COMMENT ON COLUMN receipts.done_at IS 'When every store was done, UTC; null: not yet.';
COMMENT ON COLUMN receipts.stores IS 'Array of {store, count, at}: rows or values removed from each store, and when.';

ALTER TABLE live
    ADD COLUMN change_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN token_version bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN live.change_version IS 'Count of changes to product_changes; readers who have seen an older one read them again.';
COMMENT ON COLUMN live.token_version IS 'Count of changes to api_tokens; readers who have seen an older one read them again.';

ALTER TABLE generations ADD COLUMN learnt_at timestamptz;
COMMENT ON COLUMN generations.learnt_at IS 'Its models read nothing older than this, UTC: who was erased before has no part in them; null: not known.';
