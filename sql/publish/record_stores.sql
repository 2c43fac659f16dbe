-- An erasure is not done before Redis, whose line may come late, has followed.
UPDATE receipts SET
    stores = stores || %(stores)s::jsonb,
    done_at = CASE
        WHEN %(done)s AND (kind <> 'erasure' OR stores || %(stores)s::jsonb @> '[{"store": "Redis lists"}]')
        THEN coalesce(done_at, clock_timestamp()) ELSE done_at
    END
WHERE receipt = %(receipt)s
RETURNING done_at IS NOT NULL AS done
