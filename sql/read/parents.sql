SELECT product_id, parent_id FROM live_products WHERE product_id = ANY(%(products)s)
