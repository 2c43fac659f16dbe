SELECT c.product_id, c.in_stock, c.price_micros
FROM product_changes c
JOIN live ON true
JOIN generations g ON g.generation = live.generation
WHERE c.day > g.day
