DELETE FROM product_changes WHERE product_id = ANY(%(products)s) RETURNING product_id
