SELECT
    (SELECT count(*) FROM lists WHERE generation = %(generation)s) AS lists,
    (SELECT coalesce(sum(cardinality(product_ids)), 0)::bigint FROM lists WHERE generation = %(generation)s) AS list_products,
    (SELECT count(*) FROM similar_items WHERE generation = %(generation)s) AS similar_items,
    (SELECT count(*) FROM next_items WHERE generation = %(generation)s) AS next_items,
    (SELECT count(*) FROM popular_items WHERE generation = %(generation)s) AS popular_items,
    (SELECT count(*) FROM products WHERE generation = %(generation)s) AS products,
    (SELECT count(*) FROM profiles WHERE generation = %(generation)s) AS profiles,
    (SELECT count(*) FROM plans WHERE generation = %(generation)s) AS plans,
    (SELECT count(*) FROM copy_texts WHERE generation = %(generation)s) AS copy_texts
