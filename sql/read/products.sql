SELECT product_id, category, parent_id, price_micros FROM products
WHERE generation = %(generation)s AND product_id = ANY(%(products)s)
