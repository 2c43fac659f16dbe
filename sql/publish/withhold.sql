-- The file's no stands beside an opt-out or an erasure, and replaces neither.
INSERT INTO suppressions (mark, kind, version, by_file)
SELECT mark, 'consent', %(version)s, true FROM unnest(%(marks)s::uuid[]) AS mark
ON CONFLICT (mark) DO UPDATE SET version = excluded.version, by_file = true
