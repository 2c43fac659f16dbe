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
    product_id text PRIMARY KEY,
    in_stock boolean,
    price_micros bigint CHECK (price_micros > 0),
    day date NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE product_changes IS 'One row per product that was sold out, restocked or repriced since the catalogue was read; holds until a generation of its day or a later one is live.';
COMMENT ON COLUMN product_changes.product_id IS 'Product.';
COMMENT ON COLUMN product_changes.in_stock IS 'Whether it can be bought; null: as the catalogue says.';
COMMENT ON COLUMN product_changes.price_micros IS 'Price, millionths of the base currency; null: as the catalogue says.';
COMMENT ON COLUMN product_changes.day IS 'The shop''s day on which it was told.';
COMMENT ON COLUMN product_changes.changed_at IS 'When, UTC.';

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
    receipt uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    mark uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('optout', 'optin', 'erasure')),
    asked_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    stores jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX receipts_mark ON receipts (mark);
CREATE UNIQUE INDEX receipts_erasure ON receipts (mark) WHERE kind = 'erasure';
COMMENT ON TABLE receipts IS 'One row per wish of a person: what was asked, and what has been removed where.';
COMMENT ON COLUMN receipts.receipt IS 'Number that the person is given; it cannot be guessed.';
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
