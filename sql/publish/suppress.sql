-- An erasure stays one when the person opts out again.
INSERT INTO suppressions (mark, kind, version) VALUES (%(mark)s, %(kind)s, %(version)s)
ON CONFLICT (mark) DO UPDATE SET
    version = excluded.version,
    kind = CASE WHEN suppressions.kind = 'erased' THEN 'erased' ELSE excluded.kind END
RETURNING at, kind
