DELETE FROM lists l USING suppressions s WHERE l.generation = %(generation)s AND s.mark = l.mark
