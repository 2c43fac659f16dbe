-- What a file leaves empty stays as it was told before on the same day.
INSERT INTO product_changes (product_id, day, in_stock, price_micros)
SELECT product_id, %(day)s, in_stock, price_micros FROM told
ON CONFLICT (product_id, day) DO UPDATE SET
    in_stock = coalesce(excluded.in_stock, product_changes.in_stock),
    price_micros = coalesce(excluded.price_micros, product_changes.price_micros),
    changed_at = excluded.changed_at
