SELECT generation FROM generations WHERE state IN ('staging', 'ready', 'live') ORDER BY generation DESC
