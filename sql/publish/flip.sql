UPDATE live SET generation = %(generation)s
