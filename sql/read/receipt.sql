-- What is left of a person in item-side arrays goes with the first models that began to learn after the sweep.
SELECT r.receipt, r.kind, r.asked_at, r.done_at, r.stores, (
    SELECT min(g.generation) FROM generations g
    WHERE r.kind = 'erasure' AND g.learnt_at > r.done_at AND g.flipped_at IS NOT NULL
) AS weight_gone_with
FROM receipts r
WHERE r.receipt = %(receipt)s
