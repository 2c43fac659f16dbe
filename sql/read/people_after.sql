SELECT l.person_key
FROM lists l
WHERE l.generation = %(generation)s AND l.person_key > %(after)s::uuid
  AND NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = l.mark)
ORDER BY l.person_key
LIMIT %(limit)s
