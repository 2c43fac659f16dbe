DELETE FROM plans WHERE generation = ANY(%(generations)s::bigint[]) AND person_key = %(key)s
