SELECT g.people, (SELECT count(*) FROM products p WHERE p.generation = g.generation) AS products
FROM generations g
WHERE g.generation = %(generation)s
