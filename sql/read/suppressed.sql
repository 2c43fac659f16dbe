SELECT EXISTS (SELECT FROM suppressions WHERE mark = ANY(%(marks)s::uuid[]))
