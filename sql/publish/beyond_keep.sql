SELECT generation FROM generations
WHERE state = 'ready' AND flipped_at IS NOT NULL
ORDER BY flipped_at DESC, generation DESC
OFFSET %(keep)s
