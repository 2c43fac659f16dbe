-- A person has one erasure: asked again, it keeps its receipt. Without a time of its own it is asked now.
INSERT INTO receipts (receipt, mark, kind, asked_at)
VALUES (%(receipt)s, %(mark)s, %(kind)s, coalesce(%(at)s::timestamptz, now()))
ON CONFLICT DO NOTHING
