SELECT planning FROM generations WHERE generation = %(generation)s
