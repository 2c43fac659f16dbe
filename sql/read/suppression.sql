SELECT kind, by_file FROM suppressions WHERE mark = %(mark)s
