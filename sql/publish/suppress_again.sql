-- A wish from a list that was exported: the stronger one stays (an erasure always), and the first keeps its time.
INSERT INTO suppressions (mark, kind, version, at, by_file) VALUES (%(mark)s, %(kind)s, %(version)s, %(at)s, %(by_file)s)
ON CONFLICT (mark) DO UPDATE SET
    version = excluded.version,
    at = least(suppressions.at, excluded.at),
    by_file = suppressions.by_file OR excluded.by_file,
    kind = CASE WHEN 'erased' IN (suppressions.kind, excluded.kind) THEN 'erased'
                WHEN 'optout' IN (suppressions.kind, excluded.kind) THEN 'optout'
                ELSE 'consent' END
