SELECT o.product_id, p.name, p.price_micros, p.list_price_micros, p.image_url, p.url, p.parent_id,
       o.score, 'popular' AS reason_code, o.reason, NULL AS confidence, p.category, false AS purchased
FROM live_popular_items o
JOIN current_products p USING (product_id)
WHERE o.category = '' AND p.in_stock IS NOT FALSE
ORDER BY o.rank
LIMIT %(limit)s
