DELETE FROM plans p USING suppressions s WHERE p.generation = %(generation)s AND s.mark = p.mark
