SELECT product_id, parent_id, name, category, brand, price_micros, list_price_micros, image_url, url, in_stock
FROM current_products
WHERE product_id = ANY(%(products)s)
