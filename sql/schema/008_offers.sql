-- What people are after next, what they are offered for it, and in which words.
CREATE TABLE plans (
    generation bigint NOT NULL,
    person_key uuid NOT NULL,
    mark uuid NOT NULL,
    plan jsonb NOT NULL,
    PRIMARY KEY (generation, person_key)
) PARTITION BY LIST (generation);
CREATE INDEX plans_mark ON plans (mark); -- by which the flip drops the suppressed without reading everybody
COMMENT ON TABLE plans IS 'One row per generation and person: what they are after next, and the products to offer for it.';
COMMENT ON COLUMN plans.generation IS 'Generation.';
COMMENT ON COLUMN plans.person_key IS 'The person''s key: HMAC of the id.';
COMMENT ON COLUMN plans.mark IS 'The person''s mark, by which suppressions find the row.';
COMMENT ON COLUMN plans.plan IS 'Columns of the table plans; money in millionths of the base currency.';

-- `copy` alone would be a word of SQL.
CREATE TABLE copy_texts (
    generation bigint NOT NULL,
    product_id text NOT NULL,
    intent text NOT NULL,
    trigger text NOT NULL,
    reason_kind text NOT NULL,
    language text NOT NULL,
    headline text,
    sentence text,
    call_to_action text,
    source text,
    facts_hash text,
    tone text,
    prompt_version text,
    model text,
    PRIMARY KEY (generation, product_id, intent, trigger, reason_kind, language)
) PARTITION BY LIST (generation);
COMMENT ON TABLE copy_texts IS 'One row per generation, product and what its words are for; no amount stands in them, and nobody is known to them.';
COMMENT ON COLUMN copy_texts.generation IS 'Generation.';
COMMENT ON COLUMN copy_texts.product_id IS 'Product.';
COMMENT ON COLUMN copy_texts.intent IS 'What it is wanted for: gift, upgrade, accessory, replenish or explore.';
COMMENT ON COLUMN copy_texts.trigger IS 'The moment: on-page, in-cart or post-purchase.';
COMMENT ON COLUMN copy_texts.reason_kind IS 'Code of the reason for which it is offered.';
COMMENT ON COLUMN copy_texts.language IS 'Language of the words.';
COMMENT ON COLUMN copy_texts.headline IS 'Headline; slots such as {price} are filled whenever it is shown.';
COMMENT ON COLUMN copy_texts.sentence IS 'A sentence, with slots.';
COMMENT ON COLUMN copy_texts.call_to_action IS 'What a button says, with slots.';
COMMENT ON COLUMN copy_texts.source IS 'model: of a language model, validated; template: of ours.';
COMMENT ON COLUMN copy_texts.facts_hash IS 'Hash of the facts that the words were written from.';
COMMENT ON COLUMN copy_texts.tone IS 'Tone that was asked for.';
COMMENT ON COLUMN copy_texts.prompt_version IS 'Version of the prompt.';
COMMENT ON COLUMN copy_texts.model IS 'Language model; null: a template.';

ALTER TABLE generations ADD COLUMN planning jsonb;
COMMENT ON COLUMN generations.planning IS 'What a reader needs to plan for a visit; it knows nobody. Null: the generation has no plans.';

CREATE VIEW live_plans AS
SELECT p.generation, p.person_key, t.*
FROM plans p
JOIN live USING (generation)
CROSS JOIN LATERAL jsonb_to_record(p.plan) AS t (
    intent text, intent_probability double precision, categories text[], category_probabilities double precision[],
    price_low_micros bigint, price_middle_micros bigint, price_high_micros bigint, trigger text,
    purchase_probability double precision, language text, product_ids text[], reason_codes text[], offer_intents text[]
)
WHERE NOT EXISTS (SELECT FROM suppressions s WHERE s.mark = p.mark);
COMMENT ON VIEW live_plans IS 'One row per person of the live generation, without suppressed people: what they are after next.';
COMMENT ON COLUMN live_plans.generation IS 'Generation.';
COMMENT ON COLUMN live_plans.person_key IS 'The person''s key.';
COMMENT ON COLUMN live_plans.intent IS 'What the next basket is for: gift, upgrade, accessory, replenish or explore.';
COMMENT ON COLUMN live_plans.intent_probability IS 'Probability of that intent.';
COMMENT ON COLUMN live_plans.categories IS 'Likeliest main categories of the next basket, up to three.';
COMMENT ON COLUMN live_plans.category_probabilities IS 'Their probabilities.';
COMMENT ON COLUMN live_plans.price_low_micros IS 'Floor of the next basket''s item prices, millionths of the base currency.';
COMMENT ON COLUMN live_plans.price_middle_micros IS 'Middle of the next basket''s item prices.';
COMMENT ON COLUMN live_plans.price_high_micros IS 'Ceiling of the next basket''s item prices.';
COMMENT ON COLUMN live_plans.trigger IS 'The likeliest moment: on-page, in-cart or post-purchase.';
COMMENT ON COLUMN live_plans.purchase_probability IS 'Probability of any basket soon; null: not told.';
COMMENT ON COLUMN live_plans.language IS 'Language of the words beside the offer.';
COMMENT ON COLUMN live_plans.product_ids IS 'The offer, best first.';
COMMENT ON COLUMN live_plans.reason_codes IS 'Code of the reason of each.';
COMMENT ON COLUMN live_plans.offer_intents IS 'What the words beside each may speak of: "again" only of what the person has bought.';

CREATE VIEW live_copy AS SELECT c.* FROM copy_texts c JOIN live USING (generation);
COMMENT ON VIEW live_copy IS 'The live generation''s words beside offers.';

-- Words that speak of a discount or a brand are left out where there is none by now: nobody could fill their slots, and
-- what was written of a promotion ends with it. Places are counted anew, so that whoever is offered anything has a first.
CREATE VIEW live_offers AS
SELECT p.generation, p.person_key, row_number() OVER (PARTITION BY p.person_key ORDER BY o.place) AS place,
       o.product_id, o.reason_code, o.intent, p.trigger, p.language, c.headline, c.sentence, c.call_to_action, c.source,
       n.name, n.brand, n.price_micros, n.list_price_micros, n.image_url, n.url
FROM live_plans p
CROSS JOIN LATERAL unnest(p.product_ids, p.reason_codes, p.offer_intents) WITH ORDINALITY
    AS o (product_id, reason_code, intent, place)
JOIN current_products n ON n.product_id = o.product_id AND n.in_stock IS NOT FALSE
LEFT JOIN copy_texts c
    ON c.generation = p.generation AND c.product_id = o.product_id AND c.intent = o.intent AND c.trigger = p.trigger
    AND c.reason_kind = o.reason_code AND c.language = p.language
    AND (concat(c.headline, c.sentence, c.call_to_action) NOT LIKE '%{brand}%' OR n.brand <> '')
    AND (concat(c.headline, c.sentence, c.call_to_action) !~ '\{(list_price|discount)\}'
         OR n.price_micros * 100 <= n.list_price_micros * 99);
COMMENT ON VIEW live_offers IS 'One row per person and place: the products that they are offered and that can be bought now, with the words beside them; without suppressed people.';
COMMENT ON COLUMN live_offers.generation IS 'Generation.';
COMMENT ON COLUMN live_offers.person_key IS 'The person''s key.';
COMMENT ON COLUMN live_offers.place IS 'From 1, best first; what is sold out now has none.';
COMMENT ON COLUMN live_offers.product_id IS 'Product.';
COMMENT ON COLUMN live_offers.reason_code IS 'Code of the reason.';
COMMENT ON COLUMN live_offers.intent IS 'What the words may speak of.';
COMMENT ON COLUMN live_offers.trigger IS 'The person''s likeliest moment.';
COMMENT ON COLUMN live_offers.language IS 'Language of the words.';
COMMENT ON COLUMN live_offers.headline IS 'Headline, with slots that this row fills; null: there are no words, or none that are still true.';
COMMENT ON COLUMN live_offers.sentence IS 'A sentence, with slots.';
COMMENT ON COLUMN live_offers.call_to_action IS 'What a button says, with slots.';
COMMENT ON COLUMN live_offers.source IS 'model or template; null: no words.';
COMMENT ON COLUMN live_offers.name IS 'Name.';
COMMENT ON COLUMN live_offers.brand IS 'Brand.';
COMMENT ON COLUMN live_offers.price_micros IS 'Price now, millionths of the base currency.';
COMMENT ON COLUMN live_offers.list_price_micros IS 'Price before discount, millionths of the base currency; null: none that stands beside this price.';
COMMENT ON COLUMN live_offers.image_url IS 'Address of a picture.';
COMMENT ON COLUMN live_offers.url IS 'Address of its page.';
