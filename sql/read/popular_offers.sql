SELECT o.product_id, p.name, p.price_micros, p.list_price_micros, p.image_url, p.url, p.parent_id,
       o.score, 'popular' AS reason_code, o.reason, NULL AS confidence, p.category, false AS purchased
FROM live_popular_items o
JOIN current_products p USING (product_id)
LEFT JOIN lists l ON l.generation = o.generation AND l.person_key = %(key)s
     AND NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = l.mark)
WHERE o.category = '' AND p.in_stock IS NOT FALSE
  AND (l.withheld IS NULL OR o.product_id <> ALL (l.owned[1:l.withheld]))
  AND (l.tiers IS NULL OR p.price_tier IS NULL OR p.price_tier = ANY (l.tiers) OR o.product_id = ANY (l.owned))
ORDER BY o.rank
LIMIT %(limit)s
