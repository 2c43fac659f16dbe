DELETE FROM profiles p USING suppressions s WHERE p.generation = %(generation)s AND s.mark = p.mark
