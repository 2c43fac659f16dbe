SELECT 'lists' AS of, l.generation, l.mark FROM lists l JOIN suppressions USING (mark)
UNION ALL
SELECT 'profiles', p.generation, p.mark FROM profiles p JOIN suppressions USING (mark)
UNION ALL
SELECT 'plans', p.generation, p.mark FROM plans p JOIN suppressions USING (mark)
