SELECT p.profile
FROM profiles p
WHERE p.generation = %(generation)s AND p.person_key = %(key)s
  AND NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = p.mark)
