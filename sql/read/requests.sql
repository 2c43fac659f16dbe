-- Wishes that wait come first, the oldest of them first of all; then those that are done, newest first.
SELECT receipt, kind, asked_at, done_at
FROM receipts
ORDER BY done_at IS NOT NULL, CASE WHEN done_at IS NULL THEN asked_at END, asked_at DESC, receipt
LIMIT %(limit)s
