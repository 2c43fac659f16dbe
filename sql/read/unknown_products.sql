SELECT t.product_id FROM told t
WHERE EXISTS (SELECT FROM live WHERE generation IS NOT NULL)
  AND NOT EXISTS (SELECT FROM live_products p WHERE p.product_id = t.product_id)
ORDER BY t.product_id
