SELECT mark FROM receipts WHERE kind = 'erasure' AND done_at IS NOT NULL
