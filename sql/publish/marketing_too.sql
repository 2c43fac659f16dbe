DELETE FROM transactional_only WHERE mark = ANY(%(marks)s::uuid[])
