SELECT generation, day, model_version, created_at
FROM generations
WHERE state = 'ready' AND flipped_at IS NOT NULL
ORDER BY day DESC, flipped_at DESC
