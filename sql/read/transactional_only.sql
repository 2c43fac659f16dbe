SELECT EXISTS (SELECT FROM transactional_only WHERE mark = %(mark)s)
