-- No generation that could be live again is older than these.
DELETE FROM product_changes
WHERE day <= (SELECT min(day) FROM generations WHERE state IN ('staging', 'ready', 'live'))
