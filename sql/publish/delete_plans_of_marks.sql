DELETE FROM plans WHERE generation = ANY(%(generations)s::bigint[]) AND mark = ANY(%(marks)s::uuid[])
