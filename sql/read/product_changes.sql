SELECT product_id, in_stock, price_micros FROM current_changes
