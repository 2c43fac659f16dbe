CREATE TABLE lists (
    generation bigint NOT NULL,
    person_key uuid NOT NULL,
    mark uuid NOT NULL,
    recommendation_id uuid NOT NULL,
    product_ids text[] NOT NULL,
    scores real[] NOT NULL,
    als real[] NOT NULL,
    item_cf real[] NOT NULL,
    popularity real[] NOT NULL,
    personal real[] NOT NULL,
    confidence real[] NOT NULL,
    prices_micros bigint[] NOT NULL,
    categories text[] NOT NULL,
    reason_codes text[] NOT NULL,
    reason_counts bigint[] NOT NULL,
    reasons text[] NOT NULL,
    purchased boolean[] NOT NULL,
    positions smallint[] NOT NULL,
    PRIMARY KEY (generation, person_key)
) PARTITION BY LIST (generation);
CREATE INDEX lists_mark ON lists (mark); -- by which the flip drops the suppressed without reading everybody
COMMENT ON TABLE lists IS 'One row per generation and person: the ranked candidates; all arrays are parallel, best first.';
COMMENT ON COLUMN lists.generation IS 'Generation.';
COMMENT ON COLUMN lists.person_key IS 'The person''s key: HMAC of the id.';
COMMENT ON COLUMN lists.mark IS 'The person''s mark, by which suppressions find the row.';
COMMENT ON COLUMN lists.recommendation_id IS 'HMAC of generation, key and context, 128 bits; comes back in the shop''s events.';
COMMENT ON COLUMN lists.product_ids IS 'Products.';
COMMENT ON COLUMN lists.scores IS 'Blend scores.';
COMMENT ON COLUMN lists.als IS 'Score of the member als; null where it has none.';
COMMENT ON COLUMN lists.item_cf IS 'Score of the member item_cf; null where it has none.';
COMMENT ON COLUMN lists.popularity IS 'Score of the member popularity; null where it has none.';
COMMENT ON COLUMN lists.personal IS 'Score of the member personal; null where it has none.';
COMMENT ON COLUMN lists.confidence IS 'Share of hits to expect, 0 to 1.';
COMMENT ON COLUMN lists.prices_micros IS 'Prices, millionths of the base currency.';
COMMENT ON COLUMN lists.categories IS 'Category paths.';
COMMENT ON COLUMN lists.reason_codes IS 'Codes of the reasons.';
COMMENT ON COLUMN lists.reason_counts IS 'Counts in the reasons.';
COMMENT ON COLUMN lists.reasons IS 'Reasons as shown.';
COMMENT ON COLUMN lists.purchased IS 'Whether the person has bought it.';
COMMENT ON COLUMN lists.positions IS 'Place in the served list, from 1; null where not served.';

CREATE TABLE similar_items (
    generation bigint NOT NULL,
    product_id text NOT NULL,
    rank integer NOT NULL,
    similar_product_id text NOT NULL,
    score real NOT NULL,
    confidence real,
    price_micros bigint,
    PRIMARY KEY (generation, product_id, rank)
) PARTITION BY LIST (generation);
COMMENT ON TABLE similar_items IS 'One row per generation, product and rank: products bought by the same people.';
COMMENT ON COLUMN similar_items.generation IS 'Generation.';
COMMENT ON COLUMN similar_items.product_id IS 'Product looked at.';
COMMENT ON COLUMN similar_items.rank IS 'From 1, best first.';
COMMENT ON COLUMN similar_items.similar_product_id IS 'Product like it.';
COMMENT ON COLUMN similar_items.score IS 'Similarity.';
COMMENT ON COLUMN similar_items.confidence IS 'Share of the product''s buyers who bought the other too, 0 to 1.';
COMMENT ON COLUMN similar_items.price_micros IS 'Price of the similar product, millionths of the base currency.';

CREATE TABLE popular_items (
    generation bigint NOT NULL,
    category text NOT NULL,
    rank integer NOT NULL,
    product_id text NOT NULL,
    score real NOT NULL,
    buyers bigint,
    price_micros bigint,
    reason text NOT NULL,
    PRIMARY KEY (generation, category, rank)
) PARTITION BY LIST (generation);
COMMENT ON TABLE popular_items IS 'One row per generation, category and rank: what most people buy lately.';
COMMENT ON COLUMN popular_items.generation IS 'Generation.';
COMMENT ON COLUMN popular_items.category IS 'Top category; empty: overall.';
COMMENT ON COLUMN popular_items.rank IS 'From 1, best first.';
COMMENT ON COLUMN popular_items.product_id IS 'Product.';
COMMENT ON COLUMN popular_items.score IS 'Popularity score.';
COMMENT ON COLUMN popular_items.buyers IS 'Persons who bought it lately; null below the k-anonymity floor.';
COMMENT ON COLUMN popular_items.price_micros IS 'Price, millionths of the base currency.';
COMMENT ON COLUMN popular_items.reason IS 'Reason as shown.';

CREATE TABLE products (
    generation bigint NOT NULL,
    product_id text NOT NULL,
    parent_id text,
    name text,
    category text,
    brand text,
    price_micros bigint,
    list_price_micros bigint,
    image_url text,
    url text,
    in_stock boolean,
    PRIMARY KEY (generation, product_id)
) PARTITION BY LIST (generation);
COMMENT ON TABLE products IS 'One row per generation and product: the catalogue''s facts on that day.';
COMMENT ON COLUMN products.generation IS 'Generation.';
COMMENT ON COLUMN products.product_id IS 'Product.';
COMMENT ON COLUMN products.parent_id IS 'Product of which this is a variant.';
COMMENT ON COLUMN products.name IS 'Name.';
COMMENT ON COLUMN products.category IS 'Category path, parts joined by " > ".';
COMMENT ON COLUMN products.brand IS 'Brand.';
COMMENT ON COLUMN products.price_micros IS 'Price, millionths of the base currency.';
COMMENT ON COLUMN products.list_price_micros IS 'Price before discount, millionths of the base currency.';
COMMENT ON COLUMN products.image_url IS 'Address of a picture.';
COMMENT ON COLUMN products.url IS 'Address of its page.';
COMMENT ON COLUMN products.in_stock IS 'Whether it can be bought; null: not told.';

CREATE TABLE profiles (
    generation bigint NOT NULL,
    person_key uuid NOT NULL,
    mark uuid NOT NULL,
    profile jsonb NOT NULL,
    PRIMARY KEY (generation, person_key)
) PARTITION BY LIST (generation);
CREATE INDEX profiles_mark ON profiles (mark);
COMMENT ON TABLE profiles IS 'One row per generation and person: habits as of the day.';
COMMENT ON COLUMN profiles.generation IS 'Generation.';
COMMENT ON COLUMN profiles.person_key IS 'The person''s key.';
COMMENT ON COLUMN profiles.mark IS 'The person''s mark, by which suppressions find the row.';
COMMENT ON COLUMN profiles.profile IS 'Columns of the table user_profiles; money in millionths of the base currency.';
