CREATE TABLE generations (
    generation bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day date NOT NULL,
    state text NOT NULL CHECK (state IN ('staging', 'ready', 'live', 'retired', 'refused')),
    model_version text NOT NULL,
    list_hash text NOT NULL,
    people bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    flipped_at timestamptz,
    refused_because text[]
);
COMMENT ON TABLE generations IS 'One row per publish of one day; data of staging, ready and live ones is kept.';
COMMENT ON COLUMN generations.generation IS 'Number; grows with every publish.';
COMMENT ON COLUMN generations.day IS 'Data day, in the home''s time zone.';
COMMENT ON COLUMN generations.state IS 'staging: being loaded; ready: whole, not live; live; retired: data dropped; refused: a check failed.';
COMMENT ON COLUMN generations.model_version IS 'Version of the model that made the lists.';
COMMENT ON COLUMN generations.list_hash IS 'SHA-256 of the lists in canonical order, hex.';
COMMENT ON COLUMN generations.people IS 'Persons with a list when it was computed.';
COMMENT ON COLUMN generations.created_at IS 'When its publish began, UTC.';
COMMENT ON COLUMN generations.flipped_at IS 'When it last went live, UTC; null: never.';
COMMENT ON COLUMN generations.refused_because IS 'Failed checks, where refused.';

CREATE TABLE live (
    one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    generation bigint REFERENCES generations,
    suppression_version bigint NOT NULL DEFAULT 0
);
INSERT INTO live DEFAULT VALUES;
COMMENT ON TABLE live IS 'One row: the pointer. Its commit is the moment a generation goes live.';
COMMENT ON COLUMN live.one_row IS 'Always true: there is one row.';
COMMENT ON COLUMN live.generation IS 'The live generation; null before the first.';
COMMENT ON COLUMN live.suppression_version IS 'Count of changes to suppressions; a cache that lies behind it is not trusted.';

CREATE TABLE suppressions (
    mark uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('optout', 'erased')),
    version bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE suppressions IS 'One row per person who opted out or was erased.';
COMMENT ON COLUMN suppressions.mark IS 'HMAC of the person''s key under another label; it cannot be turned back.';
COMMENT ON COLUMN suppressions.kind IS 'optout: can be undone; erased: cannot.';
COMMENT ON COLUMN suppressions.version IS 'live.suppression_version of this change.';
COMMENT ON COLUMN suppressions.at IS 'When, UTC.';
