UPDATE generations SET state = 'ready' WHERE state = 'live' AND generation <> %(generation)s
