ALTER TABLE suppressions
    ADD COLUMN by_file boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT suppressions_kind_check,
    ADD CONSTRAINT suppressions_kind_check CHECK (kind IN ('optout', 'erased', 'consent')),
    ADD CONSTRAINT suppressions_by_file CHECK (by_file OR kind <> 'consent');
COMMENT ON TABLE suppressions IS 'One row per person who opted out, was erased, or said no in the users file.';
COMMENT ON COLUMN suppressions.kind IS 'optout: can be undone; erased: cannot; consent: the users file alone says no.';
COMMENT ON COLUMN suppressions.by_file IS 'The users file says no; only a later yes in it lifts this.';

CREATE TABLE transactional_only (mark uuid PRIMARY KEY);
COMMENT ON TABLE transactional_only IS 'One row per person who wants no marketing mail, as the users file says.';
COMMENT ON COLUMN transactional_only.mark IS 'The person''s mark, as in suppressions.';
