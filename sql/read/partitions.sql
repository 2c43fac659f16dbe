SELECT p.relname AS parent, c.relname AS name
FROM pg_inherits i
JOIN pg_class p ON p.oid = i.inhparent
JOIN pg_class c ON c.oid = i.inhrelid
WHERE p.relname = ANY(%(tables)s)
ORDER BY c.relname
