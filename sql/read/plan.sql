-- One row, whoever is asked about.
SELECT s.mark IS NOT NULL AS suppressed, p.plan
FROM (SELECT %(key)s::uuid AS key, %(mark)s::uuid AS mark) a
LEFT JOIN suppressions s ON s.mark = a.mark
LEFT JOIN plans p ON p.generation = %(generation)s AND p.person_key = a.key AND s.mark IS NULL
