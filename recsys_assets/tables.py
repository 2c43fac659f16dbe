"""Columns, dtypes and grain of every table: the one vocabulary of this platform.

Money is ``*_micros``: whole millionths of the base currency, so that sums are exact in any order. Weights are
micros too. Times are UTC; ``event_date`` is the day in the home's time zone. People are keys (32 hex digits,
see ``identity``). ``person_key`` is the user's key where the user is known, else the anonymous key.

A daily table holds one day's rows in a partition; an as-of table holds, in the partition of day D, what was known
at the end of D. Columns that live only inside one function start with an underscore.
"""

import polars as pl

from recsys_assets import columns as cols
from recsys_assets.amounts import MICROS as MICROS
from recsys_assets.offer_tables import COPY as COPY
from recsys_assets.offer_tables import PLAN_FIGURES as PLAN_FIGURES
from recsys_assets.offer_tables import PLANS as PLANS
from recsys_assets.offer_tables import WRITTEN_COPY as WRITTEN_COPY
from recsys_assets.table import Table as Table

EVENT_TYPES = (
    "purchase", "add_to_cart", "click", "search_click", "view", "search", "impression", "remove_from_cart",
    "review", "wishlist_add", "return",
)  # fmt: skip


LANDING_EVENTS = Table(
    "landing_events",
    "daily",
    ("source_file", "source_line"),
    cols.EVENT | cols.SOURCE | {"problem": pl.String()},
    "Every row of every delivered event file, parsed; people are keys.",
)
LANDING_CATALOG = Table(
    "landing_catalog",
    "daily",
    ("source_file", "source_line"),
    cols.PRODUCT | cols.LANDED,
    "Every row of every delivered catalogue file; event_date is the day from which it holds.",
)
LANDING_RATES = Table(
    "landing_rates",
    "daily",
    ("source_file", "source_line"),
    {"currency": pl.String(), "rate": pl.String()} | cols.LANDED,
    "Every row of every delivered file of exchange rates; `rate` is the decimal number as sent, exact.",
)
LANDING_USERS = Table(
    "landing_users",
    "daily",
    ("source_file", "source_line"),
    {"user_key": cols.KEY} | cols.USER | {"updated_at": cols.TIME} | cols.LANDED,
    "Every row of every delivered users file; event_date is the day from which it holds.",
)
CLEAN_EVENTS = Table(
    "clean_events",
    "daily",
    ("event_id",),
    cols.EVENT | {"flag": pl.String()},
    "Valid events, each once, ordered by time and id; `flag` names what is odd about a kept row.",
)
REJECTED_EVENTS = Table(
    "rejected_events",
    "daily",
    ("source_file", "source_line"),
    cols.EVENT | cols.SOURCE | {"reason": pl.String()},
    "Rows that break the contract, with the first reason found.",
)
DELIVERY_AUDIT = Table(
    "delivery_audit",
    "daily",
    ("event_date", "source_file"),
    {"event_date": cols.DAY, "source_file": pl.String()} | cols.counts("rows", "clean", "rejected", "duplicates"),
    "Per file and day: rows = clean + rejected + duplicates.",
)
SESSIONS = Table(
    "sessions",
    "daily",
    ("session_id",),
    {
        "session_id": cols.KEY,
        "person_key": cols.KEY,
        "anon_key": cols.KEY,  # of what is in it from before the login, else null
        "event_date": cols.DAY,
        **dict.fromkeys(("started_at", "ended_at"), cols.TIME),
        "duration_seconds": pl.Int64(),
        "events": cols.COUNT,
        "views": cols.COUNT,  # view
        "clicks": cols.COUNT,  # click and search_click
        "carts": cols.COUNT,  # add_to_cart
        "removals": cols.COUNT,  # remove_from_cart
        "wishes": cols.COUNT,  # wishlist_add
        "reviews": cols.COUNT,
        "purchases": cols.COUNT,
        "returns": cols.COUNT,  # between its start and the next visit's
        "searches": cols.COUNT,
        "impressions": cols.COUNT,
        "products": cols.COUNT,  # distinct
        "value_micros": cols.MONEY,  # bought, at the price paid
        "converted": pl.Boolean(),
        "device": pl.String(),
        "referrer": pl.String(),
    },
    "One visit: a shop's own session id, else a 30-minute gap; cut at midnight.",
)
CATALOG = Table(
    "catalog",
    "as_of",
    ("product_id",),
    cols.PRODUCT | {"updated_date": cols.DAY, "not_recommendable": pl.String()},
    "Every product known by the day, at that day's price; `not_recommendable` says why, or is null.",
)
USERS = Table(
    "users",
    "as_of",
    ("person_key",),
    {"person_key": cols.KEY} | cols.USER | {"updated_date": cols.DAY},
    "Everybody whom users files have named by the day, as last told.",
)
IDENTITIES = Table(
    "identities",
    "as_of",
    ("anon_key", "user_key"),
    {"anon_key": cols.KEY, "user_key": cols.KEY, "first_seen_date": cols.DAY, "last_seen_date": cols.DAY},
    "Anonymous keys and the users they were seen with; a key with several rows, or one of a null user, is nobody's.",
)
PRICE_TIERS = Table(
    "price_tiers",
    "as_of",
    ("category",),
    {"category": pl.String(), "products": cols.COUNT, "mid_from_micros": cols.MONEY, "premium_from_micros": cols.MONEY},
    "Bounds of the tiers budget / mid / premium in each top category ('' = all).",
)
ITEM_STATS = Table(
    "item_stats",
    "as_of",
    ("product_id",),
    {
        "product_id": pl.String(),
        "category": pl.String(),  # top of the category path
        "price_tier": pl.String(),
        **cols.counts("purchases", "buyers", "units", "views", "carts", "returns", "recent_buyers", "recent_purchases"),
        **cols.counts("recent_units", "lookers", "recent_lookers"),  # lookers: people who looked at it
        "trend": cols.SHARE,  # recent purchases per day over those of the days before; null where none before
        "view_to_cart": cols.SHARE,
        "cart_to_purchase": cols.SHARE,
        "return_rate": cols.SHARE,
        "average_price_micros": cols.MONEY,
        "average_quantity": cols.SHARE,
        "rating": pl.Float64(),
        **dict.fromkeys(("first_sold_date", "last_sold_date"), cols.DAY),
    },
    "How each product sold over the window.",
)
USER_PROFILES = Table(
    "user_profiles",
    "as_of",
    ("person_key",),
    {
        "person_key": cols.KEY,
        "locale": pl.String(),  # of the users file
        "market": pl.String(),
        "user_type": pl.String(),  # new / sparse / regular / loyal
        "spending_segment": pl.String(),  # small / low_average / average / high
        "price_tier": pl.String(),
        "orders": cols.COUNT,
        "purchases": cols.COUNT,  # lines bought
        **cols.counts("unique_items", "units"),
        "lifetime_value_micros": cols.MONEY,  # bought less returned; null where no price is known
        "average_item_price_micros": cols.MONEY,
        "first_purchase_date": cols.DAY,
        "last_purchase_date": cols.DAY,
        "last_visit_date": cols.DAY,
        "days_since_last_visit": pl.Int64(),
        "favourite_categories": pl.List(pl.String()),  # up to three
        "favourite_hour": pl.Int8(),  # home's time zone
        "favourite_weekday": pl.Int8(),  # 1 = Monday
        "favourite_season": pl.String(),
        "orders_per_30_days": cols.SHARE,
        "return_rate": cols.SHARE,
        "click_rate": cols.SHARE,  # share of impressions that were clicked
        "conversion_rate": cols.SHARE,  # share of sessions that bought
        "average_session_seconds": cols.SHARE,
    },
    "One person's habits as of the day.",
)
REPURCHASE_CYCLES = Table(
    "repurchase_cycles",
    "as_of",
    ("product_id",),
    {
        "product_id": pl.String(),
        "cycle_days": cols.SHARE,  # mean days between two purchases by people who come back
        "intervals": cols.COUNT,  # of this product, ended
        "source": pl.String(),  # item / category / default
    },
    "After how many days people buy a product again.",
)
INTERACTIONS = Table(
    "interactions",
    "as_of",
    ("person_key", "product_id"),
    {
        "person_key": cols.KEY,
        "product_id": pl.String(),
        "weight_micros": pl.Int64(),  # Σ event weights, never below 0
        "frequency_micros": pl.Int64(),  # Σ over purchase days of a decay by age
        "purchases": cols.COUNT,  # days on which it was bought, less days returned
        "units": cols.COUNT,
        "spend_micros": cols.MONEY,  # of priced_units; null where no price is known
        "priced_units": cols.COUNT,  # of units, those whose price is known
        "last_event_date": cols.DAY,
        "last_purchase_date": cols.DAY,
        "spending_ratio": cols.SHARE,  # price paid ÷ the person's average item price
        "quantity_ratio": cols.SHARE,  # units per purchase ÷ the item's average quantity
    },
    "What one person did with one product over the window.",
)
STEPS = Table(
    "steps",
    "as_of",
    ("person_key", "basket", "product_id"),
    {
        "person_key": cols.KEY,
        "basket": pl.Int64(),  # from 0: an order, or one thing looked at; the newest are kept
        "product_id": pl.String(),
        "visit": pl.Int64(),  # from 0
        "age_days": pl.Int64(),  # before the as-of day
    },
    "What one person took over the window, in order; what was returned is left out.",
)
EVALUATION = Table(
    "evaluation",
    "as_of",
    ("split", "model", "target", "metric", "k"),
    cols.texts("split", "model") | cols.FIGURE | {"value": cols.SHARE} | cols.INTERVAL,
    "Offline figures; models 'random' and 'ceiling' are the floor and the best attainable. Coverage has no interval.",
)
SLICES = Table(
    "evaluation_slices",
    "as_of",
    ("split", "slice", "group", "model", "target", "metric", "k"),
    cols.texts("split", "slice", "group", "model")
    | cols.FIGURE
    | {"value": cols.SHARE}
    | cols.INTERVAL
    | dict.fromkeys(("gain", "gain_low", "gain_high"), cols.SHARE),  # over popularity, paired
    "Offline figures by kind of person: spending segment, user type, length of history, first interactions.",
)
COMPARISONS = Table(
    "comparisons",
    "as_of",
    ("split", "model", "baseline", "target", "metric", "k"),
    cols.texts("split", "model", "baseline") | cols.FIGURE | {"difference": cols.SHARE} | cols.INTERVAL,
    "Paired differences between models, with 95 % bootstrap intervals over people.",
)
CALIBRATION = Table(
    "calibration",
    "as_of",
    ("split", "target", "bin"),
    cols.texts("split", "target")
    | {"bin": pl.Int64(), "listed": cols.COUNT}  # from 1, the least confident first; candidates of everybody
    | {"confidence": cols.SHARE, "hits": cols.SHARE},  # what was said of them, and the share that was bought
    "Confidence against what came true on the test window, by bins of candidates that expect about as many hits each.",
)
PROMOTION = Table(
    "promotion",
    "as_of",
    ("rule",),
    {
        "rule": pl.String(),
        "passed": pl.Boolean(),
        "value": cols.SHARE,  # null where there was nothing to compare with
        "bound": cols.SHARE,
        "says": pl.String(),
    },
    "Whether the day's lists may go live: each rule of the gate, what was found and what it is held against.",
)
CANDIDATES = Table(
    "candidates",
    "as_of",
    ("person_key", "product_id"),
    {"person_key": cols.KEY, "product_id": pl.String(), "score": cols.SCORE}
    | cols.MEMBER_SCORES
    | {"purchased": pl.Boolean(), "similar_owned": pl.Int64()}
    | cols.texts("model_source"),  # the member with the largest part of the blend's score
    "Level 1: the 200 best products of the blend per person; similar_owned counts the person's products near it.",
)
LISTS = Table(
    "lists",
    "as_of",
    ("person_key", "rank"),
    {"person_key": cols.KEY, "rank": pl.Int64(), "product_id": pl.String(), "score": cols.SCORE}
    | cols.MEMBER_SCORES
    | {
        "confidence": cols.SCORE,
        "price_micros": cols.MONEY,
        **cols.texts("category", "reason_code"),
        "reason_count": pl.Int64(),
        "reason": pl.String(),
        "purchased": pl.Boolean(),
        "position": pl.Int64(),  # place in the served list, from 1; null where not served
        **cols.texts("model_source"),  # of `sources.SOURCES`: the rule that placed it, or the loudest member
    },
    "Level 2: candidates in final order, with price, reason and place in the served list.",
)
RULE_EFFECTS = Table(
    "rule_effects",
    "as_of",
    ("person_key", "product_id"),
    {
        "person_key": cols.KEY,
        "product_id": pl.String(),
        "score_place": pl.Int64(),  # place by score alone, behind pins; null where it was taken out of the list
        **dict.fromkeys(("price_factor", "upsell_factor"), cols.SCORE),  # of the score; 1: not touched
        "dropped_by": pl.String(),  # the rule that took it out of the list, or out of the served part; or null
    },
    "What Level 2 did to a candidate; candidates that it left as they were have no row.",
)
OWNED = Table(
    "owned",
    "as_of",
    ("person_key",),
    {
        "person_key": cols.KEY,
        "owned": pl.List(pl.String()),  # what is withheld first, each part by id
        "withheld": cols.COUNT,  # so many of the first of them
        "tiers": pl.List(pl.String()),  # from which what is new to the person may come; null: all
    },
    "What each person has bought, how much of it lists may not show now, and from which price tiers new products come.",
)
SIMILAR_ITEMS = Table(
    "similar_items",
    "as_of",
    ("product_id", "rank"),
    {
        "product_id": pl.String(),
        "rank": pl.Int64(),
        "similar_product_id": pl.String(),
        "score": cols.SCORE,
        "confidence": cols.SCORE,  # share of the product's buyers (or lookers) who took the other too; null of content
        "price_micros": cols.MONEY,
        **cols.texts("source"),  # purchases / views / content
    },
    "Products bought, or looked at, by the same people, else described alike; `source` says which.",
)
NEXT_ITEMS = Table(  # a score is the strength of the rule; rules of several products add up
    "next_items",
    "as_of",
    ("product_id", "rank"),
    cols.texts("product_id") | {"rank": pl.Int64(), "next_product_id": pl.String(), "score": cols.SCORE},
    "Products taken after one another: answers visits that no night has seen.",
)
POPULAR_ITEMS = Table(
    "popular_items",
    "as_of",
    ("category", "rank"),
    {
        "category": pl.String(),  # '' = overall
        "rank": pl.Int64(),
        "product_id": pl.String(),
        "score": cols.SCORE,
        "buyers": cols.COUNT,  # or people who looked at it, as the reason says
        "price_micros": cols.MONEY,
        "reason": pl.String(),
    },
    "What most people buy lately, overall and per top category; where nobody does, what they look at.",
)

# Of these two, category '' is the whole shop, and a null is a figure that too few people stand behind.
DAILY_SALES = Table(
    "daily_sales",
    "daily",
    ("event_date", "category"),
    {"event_date": cols.DAY, "category": pl.String()}
    | cols.counts("orders", "buyers", "lines", "units")
    | {"revenue_micros": cols.MONEY, "returned_units": cols.COUNT, "returned_micros": cols.MONEY}
    | cols.counts("sessions", "converted_sessions", "visitors", "views", "carts"),
    "What each top category sold; sessions and visitors of the whole shop.",
)
LIST_COVERAGE = Table(
    "list_coverage",
    "as_of",
    ("as_of_date", "category"),
    {"as_of_date": cols.DAY, "category": pl.String()}
    | cols.counts(
        "products", "recommendable", "listed_products", "served_products", "people", "places", "purchased_places"
    )
    | {"places_micros": cols.MONEY},
    "How much of each top category stands in candidates and in served lists.",
)

TABLES: dict[str, Table] = {table.name: table for table in list(globals().values()) if isinstance(table, Table)}
