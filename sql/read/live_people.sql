SELECT count(*) AS people FROM lists JOIN live USING (generation)
WHERE NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = lists.mark)
