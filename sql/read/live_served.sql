SELECT l.person_key::text AS person_key, p.product_id, p.price_micros
FROM (
    SELECT lists.* FROM lists JOIN live USING (generation)
    WHERE NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = lists.mark)
    ORDER BY person_key LIMIT %(people)s
) l
CROSS JOIN LATERAL unnest(l.product_ids, l.prices_micros, l.positions) AS p (product_id, price_micros, position)
WHERE p.position <= %(places)s
ORDER BY l.person_key, p.position
