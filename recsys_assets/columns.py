"""Columns that several tables share: their dtypes, and the groups in which they come."""

import polars as pl

from recsys_assets.sources import MEMBERS as MEMBERS

DTypes = dict[str, pl.DataType]

KEY = pl.String()
DAY = pl.Date()
TIME = pl.Datetime("us", "UTC")
MONEY = pl.Int64()
COUNT = pl.Int64()
SHARE = pl.Float64()
SCORE = pl.Float32()


def counts(*names: str) -> DTypes:
    """Columns of whole numbers."""
    return dict.fromkeys(names, COUNT)


def texts(*names: str) -> DTypes:
    """Columns of text."""
    return dict.fromkeys(names, pl.String())


# What a shop sends, after reading: people as keys, money as micros, unparsable values null with a `problem`.
EVENT: DTypes = {
    **texts("event_id", "event_type"),
    "event_time": TIME,
    "user_key": KEY,
    "anon_key": KEY,
    "session_id": KEY,
    "product_id": pl.String(),
    "quantity": pl.Int64(),
    "unit_price_micros": MONEY,
    "list_price_micros": MONEY,
    **texts("currency", "order_id", "query"),
    "results": pl.Int64(),
    "recommendation_id": pl.String(),
    "position": pl.Int64(),
    "context": pl.String(),
    "dwell_seconds": pl.Float64(),
    "rating": pl.Float64(),
    **texts("device", "referrer"),
    "event_date": DAY,
}
SOURCE: DTypes = {
    "source_file": pl.String(),  # the delivery's id: a hash of the file's bytes
    "source_line": pl.Int64(),  # 1-based; of a Parquet file, the row
    "source_offset": pl.Int64(),  # byte at which the line starts (uncompressed); null for Parquet
    "row_hash": pl.String(),  # of the row's source fields
}
PRODUCT: DTypes = {
    **texts("product_id", "parent_id", "name", "description"),
    "category": pl.String(),  # a path: "Grocery > Bread > Rye"
    "brand": pl.String(),
    "unit_price_micros": MONEY,
    "list_price_micros": MONEY,
    "currency": pl.String(),
    **texts("image_url", "url"),
    "tags": pl.List(pl.String()),
    "rating": pl.Float64(),
    "in_stock": pl.Boolean(),
    "stock_level": pl.Int64(),
    "shipping_days": pl.Int64(),
    "attributes": pl.String(),  # a JSON object, as sent
    "updated_at": TIME,
}
LANDED: DTypes = {"event_date": DAY, "landed_at": TIME} | SOURCE | {"problem": pl.String()}
USER: DTypes = {
    **texts("locale", "market"),
    "consent": pl.Boolean(),  # null: not told
    "transactional_only": pl.Boolean(),
    "attributes": pl.String(),  # a JSON object
}
MEMBER_SCORES: DTypes = dict.fromkeys(MEMBERS, SCORE)

FIGURE: DTypes = {"target": pl.String(), "metric": pl.String(), "k": pl.Int64()}  # target: all / new / repeat
INTERVAL: DTypes = {"low": SHARE, "high": SHARE, "people": COUNT}  # 95 %, bootstrap over people
