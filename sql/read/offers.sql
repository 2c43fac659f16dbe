SELECT l.product_id, p.name, p.price_micros, p.list_price_micros, p.image_url, p.url, p.parent_id,
       l.score, l.reason_code, l.reason, l.confidence, l.category, l.purchased
FROM live_lists l
JOIN current_products p USING (product_id)
WHERE l.person_key = %(key)s AND l.position IS NOT NULL AND p.in_stock IS NOT FALSE
ORDER BY l.position
LIMIT %(limit)s
