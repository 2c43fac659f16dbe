SELECT c.product_id, c.day, c.in_stock, c.price_micros, c.changed_at,
       coalesce(c.day > (SELECT g.day FROM live JOIN generations g ON g.generation = live.generation), true) AS holds
FROM product_changes c
ORDER BY c.product_id, c.day
