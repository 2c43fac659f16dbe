-- Of publishes that died: a generation that went live once has been flipped.
SELECT generation FROM generations WHERE state IN ('staging', 'ready') AND flipped_at IS NULL ORDER BY generation
