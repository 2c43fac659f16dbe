UPDATE generations SET state = %(state)s, refused_because = %(reasons)s WHERE generation = %(generation)s
