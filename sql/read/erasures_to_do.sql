SELECT receipt, mark, asked_at FROM receipts WHERE kind = 'erasure' AND done_at IS NULL ORDER BY asked_at, receipt
