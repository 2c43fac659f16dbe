-- A list price stands beside an offer where there is a discount worth a word, and nowhere else: catalogues send one with
-- every product, equal to the price or a cent above it. 5 % is LEAST_DISCOUNT of logic/copywriting.py; a test compares.
CREATE OR REPLACE VIEW live_offers AS
SELECT p.generation, p.person_key, row_number() OVER (PARTITION BY p.person_key ORDER BY o.place) AS place,
       o.product_id, o.reason_code, o.intent, p.trigger, p.language, c.headline, c.sentence, c.call_to_action, c.source,
       n.name, n.brand, n.price_micros, b.list_price_micros, n.image_url, n.url
FROM live_plans p
CROSS JOIN LATERAL unnest(p.product_ids, p.reason_codes, p.offer_intents) WITH ORDINALITY
    AS o (product_id, reason_code, intent, place)
JOIN current_products n ON n.product_id = o.product_id AND n.in_stock IS NOT FALSE
CROSS JOIN LATERAL (
    SELECT CASE WHEN n.price_micros > 0 AND n.price_micros * 100 <= n.list_price_micros * (100 - 5)
                THEN n.list_price_micros END AS list_price_micros
) b
LEFT JOIN copy_texts c
    ON c.generation = p.generation AND c.product_id = o.product_id AND c.intent = o.intent AND c.trigger = p.trigger
    AND c.reason_kind = o.reason_code AND c.language = p.language
    AND (concat(c.headline, c.sentence, c.call_to_action) NOT LIKE '%{brand}%' OR n.brand <> '')
    AND (concat(c.headline, c.sentence, c.call_to_action) !~ '\{(list_price|discount)\}'
         OR b.list_price_micros IS NOT NULL);
COMMENT ON COLUMN live_offers.list_price_micros IS 'Price before a discount of 5 % or more, millionths of the base currency; null: there is none.';
