UPDATE generations SET state = 'live', flipped_at = clock_timestamp() WHERE generation = %(generation)s
