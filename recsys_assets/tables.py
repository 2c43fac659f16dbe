"""Columns, dtypes and grain of every table: the one vocabulary of this platform.

Money is ``*_micros``: whole millionths of the base currency, so that sums are exact in any order. Weights are
micros too. Times are UTC; ``event_date`` is the day in the home's time zone. People are keys (32 hex digits,
see ``identity``). ``person_key`` is the user's key where the user is known, else the anonymous key.

A daily table holds one day's rows in a partition; an as-of table holds, in the partition of day D, what was known
at the end of D. Columns that live only inside one function start with an underscore.
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from recsys_assets.errors import TableError

Partition = Literal["daily", "as_of"]
DTypes = dict[str, pl.DataType]

MICROS = 1_000_000
EVENT_TYPES = (
    "purchase", "add_to_cart", "click", "search_click", "view", "search", "impression", "remove_from_cart",
    "review", "wishlist_add", "return",
)  # fmt: skip

_KEY = pl.String()
_DAY = pl.Date()
_TIME = pl.Datetime("us", "UTC")
_MONEY = pl.Int64()
_COUNT = pl.Int64()
_SHARE = pl.Float64()
_SCORE = pl.Float32()


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    ``grain`` is the columns that identify a row; ``columns`` are in the order in which they are written.
    """

    name: str
    partition: Partition
    grain: tuple[str, ...]
    columns: DTypes
    what: str

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """``frame`` with exactly this table's columns, in order.

        Raises:
            TableError: a column is missing or has another dtype.
        """
        wrong = [
            f"{name} is {frame.schema[name]} instead of {dtype}" if name in frame.schema else f"{name} is missing"
            for name, dtype in self.columns.items()
            if frame.schema.get(name) != dtype
        ]
        if wrong:
            raise TableError(f"table {self.name}: " + "; ".join(wrong))
        return frame.select(list(self.columns))

    def empty(self) -> pl.DataFrame:
        """No rows, all columns."""
        return pl.DataFrame(schema=self.columns)


def _counts(*names: str) -> DTypes:
    return dict.fromkeys(names, _COUNT)


def _texts(*names: str) -> DTypes:
    return dict.fromkeys(names, pl.String())


# What a shop sends, after reading: people as keys, money as micros, unparsable values null with a `problem`.
_EVENT: DTypes = {
    **_texts("event_id", "event_type"),
    "event_time": _TIME,
    "user_key": _KEY,
    "anon_key": _KEY,
    "session_id": _KEY,
    "product_id": pl.String(),
    "quantity": pl.Int64(),
    "unit_price_micros": _MONEY,
    "list_price_micros": _MONEY,
    **_texts("currency", "order_id", "query"),
    "results": pl.Int64(),
    "recommendation_id": pl.String(),
    "position": pl.Int64(),
    "context": pl.String(),
    "dwell_seconds": pl.Float64(),
    "rating": pl.Float64(),
    **_texts("device", "referrer"),
    "event_date": _DAY,
}
_SOURCE: DTypes = {
    "source_file": pl.String(),  # the delivery's id: a hash of the file's bytes
    "source_line": pl.Int64(),  # 1-based; of a Parquet file, the row
    "source_offset": pl.Int64(),  # byte at which the line starts (uncompressed); null for Parquet
    "row_hash": pl.String(),  # of the row's source fields
}
_PRODUCT: DTypes = {
    **_texts("product_id", "parent_id", "name", "description"),
    "category": pl.String(),  # a path: "Grocery > Bread > Rye"
    "brand": pl.String(),
    "unit_price_micros": _MONEY,
    "list_price_micros": _MONEY,
    "currency": pl.String(),
    **_texts("image_url", "url"),
    "tags": pl.List(pl.String()),
    "rating": pl.Float64(),
    "in_stock": pl.Boolean(),
    "stock_level": pl.Int64(),
    "shipping_days": pl.Int64(),
    "attributes": pl.String(),  # a JSON object, as sent
    "updated_at": _TIME,
}
_LANDED: DTypes = {"event_date": _DAY, "landed_at": _TIME} | _SOURCE | {"problem": pl.String()}
_USER: DTypes = {
    **_texts("locale", "market"),
    "consent": pl.Boolean(),  # null: not told
    "transactional_only": pl.Boolean(),
    "attributes": pl.String(),  # a JSON object
}
_MEMBERS: DTypes = {"als": _SCORE, "item_cf": _SCORE, "popularity": _SCORE, "personal": _SCORE}

_FIGURE: DTypes = {"target": pl.String(), "metric": pl.String(), "k": pl.Int64()}  # target: all / new / repeat
_INTERVAL: DTypes = {"low": _SHARE, "high": _SHARE, "people": _COUNT}  # 95 %, bootstrap over people

LANDING_EVENTS = Table(
    "landing_events",
    "daily",
    ("source_file", "source_line"),
    _EVENT | _SOURCE | {"problem": pl.String()},
    "Every row of every delivered event file, parsed; people are keys.",
)
LANDING_CATALOG = Table(
    "landing_catalog",
    "daily",
    ("source_file", "source_line"),
    _PRODUCT | {"event_date": _DAY} | _SOURCE | {"problem": pl.String()},
    "Every row of every delivered catalogue file; event_date is the day from which it holds.",
)
LANDING_RATES = Table(
    "landing_rates",
    "daily",
    ("source_file", "source_line"),
    {"currency": pl.String(), "rate": pl.String()} | _LANDED,
    "Every row of every delivered file of exchange rates; `rate` is the decimal number as sent, exact.",
)
LANDING_USERS = Table(
    "landing_users",
    "daily",
    ("source_file", "source_line"),
    {"user_key": _KEY} | _USER | {"updated_at": _TIME} | _LANDED,
    "Every row of every delivered users file; event_date is the day from which it holds.",
)
CLEAN_EVENTS = Table(
    "clean_events",
    "daily",
    ("event_id",),
    _EVENT | {"flag": pl.String()},
    "Valid events, each once, ordered by time and id; `flag` names what is odd about a kept row.",
)
REJECTED_EVENTS = Table(
    "rejected_events",
    "daily",
    ("source_file", "source_line"),
    _EVENT | _SOURCE | {"reason": pl.String()},
    "Rows that break the contract, with the first reason found.",
)
DELIVERY_AUDIT = Table(
    "delivery_audit",
    "daily",
    ("event_date", "source_file"),
    {"event_date": _DAY, "source_file": pl.String()} | _counts("rows", "clean", "rejected", "duplicates"),
    "Per file and day: rows = clean + rejected + duplicates.",
)
SESSIONS = Table(
    "sessions",
    "daily",
    ("session_id",),
    {
        "session_id": _KEY,
        "person_key": _KEY,
        "event_date": _DAY,
        **dict.fromkeys(("started_at", "ended_at"), _TIME),
        "duration_seconds": pl.Int64(),
        "events": _COUNT,
        "views": _COUNT,  # view
        "clicks": _COUNT,  # click and search_click
        "carts": _COUNT,  # add_to_cart
        "purchases": _COUNT,
        "returns": _COUNT,
        "searches": _COUNT,
        "impressions": _COUNT,
        "products": _COUNT,  # distinct
        "value_micros": _MONEY,  # bought, at the price paid
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
    _PRODUCT | {"updated_date": _DAY, "not_recommendable": pl.String()},
    "Every product known by the day, at that day's price; `not_recommendable` says why, or is null.",
)
USERS = Table(
    "users",
    "as_of",
    ("person_key",),
    {"person_key": _KEY} | _USER | {"updated_date": _DAY},
    "Everybody whom users files have named by the day, as last told.",
)
IDENTITIES = Table(
    "identities",
    "as_of",
    ("anon_key",),
    {"anon_key": _KEY, "user_key": _KEY, "first_seen_date": _DAY, "last_seen_date": _DAY},
    "Anonymous keys seen beside a known user; `user_key` is null where they were seen with several.",
)
PRICE_TIERS = Table(
    "price_tiers",
    "as_of",
    ("category",),
    {"category": pl.String(), "products": _COUNT, "mid_from_micros": _MONEY, "premium_from_micros": _MONEY},
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
        **_counts("purchases", "buyers", "units", "views", "carts", "returns", "recent_buyers", "recent_purchases"),
        "trend": _SHARE,  # recent purchases per day over those of the window before; null where none before
        "view_to_cart": _SHARE,
        "cart_to_purchase": _SHARE,
        "return_rate": _SHARE,
        "average_price_micros": _MONEY,
        "average_quantity": _SHARE,
        "rating": pl.Float64(),
        **dict.fromkeys(("first_sold_date", "last_sold_date"), _DAY),
    },
    "How each product sold over the window.",
)
USER_PROFILES = Table(
    "user_profiles",
    "as_of",
    ("person_key",),
    {
        "person_key": _KEY,
        "locale": pl.String(),  # of the users file
        "market": pl.String(),
        "user_type": pl.String(),  # new / sparse / regular / loyal
        "spending_segment": pl.String(),  # small / low_average / average / high
        "price_tier": pl.String(),
        "orders": _COUNT,
        "purchases": _COUNT,  # lines bought
        **_counts("unique_items", "units"),
        "lifetime_value_micros": _MONEY,  # bought less returned
        "average_item_price_micros": _MONEY,
        "first_purchase_date": _DAY,
        "last_purchase_date": _DAY,
        "last_visit_date": _DAY,
        "days_since_last_visit": pl.Int64(),
        "favourite_categories": pl.List(pl.String()),  # up to three
        "favourite_hour": pl.Int8(),  # home's time zone
        "favourite_weekday": pl.Int8(),  # 1 = Monday
        "favourite_season": pl.String(),
        "orders_per_30_days": _SHARE,
        "return_rate": _SHARE,
        "click_rate": _SHARE,  # clicks per impression
        "conversion_rate": _SHARE,  # share of sessions that bought
        "average_session_seconds": _SHARE,
    },
    "One person's habits as of the day.",
)
INTERACTIONS = Table(
    "interactions",
    "as_of",
    ("person_key", "product_id"),
    {
        "person_key": _KEY,
        "product_id": pl.String(),
        "weight_micros": pl.Int64(),  # Σ event weights, never below 0
        "frequency_micros": pl.Int64(),  # Σ over purchase days of a decay by age
        "purchases": _COUNT,  # days on which it was bought, less days returned
        "units": _COUNT,
        "spend_micros": _MONEY,
        "last_event_date": _DAY,
        "last_purchase_date": _DAY,
        "spending_ratio": _SHARE,  # price paid ÷ the person's average item price
        "quantity_ratio": _SHARE,  # units per purchase ÷ the item's average quantity
    },
    "What one person did with one product over the window.",
)
EVALUATION = Table(
    "evaluation",
    "as_of",
    ("split", "model", "target", "metric", "k"),
    _texts("split", "model") | _FIGURE | {"value": _SHARE} | _INTERVAL,
    "Offline figures; models 'random' and 'ceiling' are the floor and the best attainable.",
)
COMPARISONS = Table(
    "comparisons",
    "as_of",
    ("split", "model", "baseline", "target", "metric", "k"),
    _texts("split", "model", "baseline") | _FIGURE | {"difference": _SHARE} | _INTERVAL,
    "Paired differences between models, with 95 % bootstrap intervals over people.",
)
CANDIDATES = Table(
    "candidates",
    "as_of",
    ("person_key", "product_id"),
    {"person_key": _KEY, "product_id": pl.String(), "score": _SCORE}
    | _MEMBERS
    | {"purchased": pl.Boolean(), "similar_owned": pl.Int64()},
    "Level 1: the 200 best products of the blend per person; similar_owned counts the person's products near it.",
)
LISTS = Table(
    "lists",
    "as_of",
    ("person_key", "rank"),
    {"person_key": _KEY, "rank": pl.Int64(), "product_id": pl.String(), "score": _SCORE}
    | _MEMBERS
    | {
        "confidence": _SCORE,
        "price_micros": _MONEY,
        **_texts("category", "reason_code"),
        "reason_count": pl.Int64(),
        "reason": pl.String(),
        "purchased": pl.Boolean(),
        "position": pl.Int64(),  # place in the served list, from 1; null where not served
    },
    "Level 2: candidates in final order, with price, reason and place in the served list.",
)
SIMILAR_ITEMS = Table(
    "similar_items",
    "as_of",
    ("product_id", "rank"),
    {
        "product_id": pl.String(),
        "rank": pl.Int64(),
        "similar_product_id": pl.String(),
        "score": _SCORE,
        "confidence": _SCORE,  # share of the product's buyers who bought the other too
        "price_micros": _MONEY,
    },
    "Products bought by the same people.",
)
POPULAR_ITEMS = Table(
    "popular_items",
    "as_of",
    ("category", "rank"),
    {
        "category": pl.String(),  # '' = overall
        "rank": pl.Int64(),
        "product_id": pl.String(),
        "score": _SCORE,
        "buyers": _COUNT,
        "price_micros": _MONEY,
        "reason": pl.String(),
    },
    "What most people buy lately, overall and per top category.",
)

# Of these two, category '' is the whole shop, and a null is a figure that too few people stand behind.
DAILY_SALES = Table(
    "daily_sales",
    "daily",
    ("event_date", "category"),
    {"event_date": _DAY, "category": pl.String()}
    | _counts("orders", "buyers", "lines", "units")
    | {"revenue_micros": _MONEY, "returned_units": _COUNT, "returned_micros": _MONEY}
    | _counts("sessions", "converted_sessions", "visitors", "views", "carts"),
    "What each top category sold; sessions and visitors of the whole shop.",
)
LIST_COVERAGE = Table(
    "list_coverage",
    "as_of",
    ("as_of_date", "category"),
    {"as_of_date": _DAY, "category": pl.String()}
    | _counts("products", "recommendable", "listed_products", "served_products", "people", "places", "purchased_places")
    | {"places_micros": _MONEY},
    "How much of each top category stands in candidates and in served lists.",
)

TABLES: dict[str, Table] = {table.name: table for table in list(globals().values()) if isinstance(table, Table)}
