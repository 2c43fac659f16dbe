-- Wishes that Redis has not followed, as far as their receipts say.
SELECT receipt, mark, kind FROM receipts
WHERE done_at IS NULL AND (kind <> 'erasure' OR NOT stores @> '[{"store": "Redis lists"}]')
