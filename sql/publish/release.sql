-- The file's yes lifts the file's no; who opted out or was erased stays suppressed.
WITH lifted AS (
    UPDATE suppressions SET by_file = false, version = %(version)s
    WHERE mark = ANY(%(marks)s::uuid[]) AND kind <> 'consent'
)
DELETE FROM suppressions WHERE mark = ANY(%(marks)s::uuid[]) AND kind = 'consent' RETURNING mark
