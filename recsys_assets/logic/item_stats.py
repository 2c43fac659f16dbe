"""How each product sold over the window."""

from datetime import date, timedelta

import polars as pl

from recsys_assets.logic.baskets import LOOKS
from recsys_assets.logic.price_tiers import product_tiers
from recsys_assets.tables import ITEM_STATS, MICROS
from recsys_assets.tuning import Tuning


def item_stats(
    events: pl.DataFrame, catalog: pl.DataFrame, tiers: pl.DataFrame, as_of: date, tuning: Tuning
) -> pl.DataFrame:
    """One row per product with an event in the window: table ITEM_STATS, ordered by product.

    A purchase is a line. ``trend`` is the purchases of the last ``recent_days`` days over those of as many days
    before, per day; days before the first of ``events`` are none. The average price is per unit, over lines with a
    price. The rating is the mean of the window's ratings, else the catalogue's. A rate with nothing below its line is
    null; one of a step is at most 1, also where more was bought than was put into carts, or more came back than was
    bought in the window. Who put a product into a cart or on a wish list has looked at it, too.

    Args:
        events: table CLEAN_EVENTS; days outside the window are ignored.
        catalog: table CATALOG of the day.
        tiers: table PRICE_TIERS of the day.
        as_of: last day of the window.
        tuning: ``window_days`` and ``recent_days`` are read.
    """
    window, recent = tuning.window_days, min(tuning.recent_days, tuning.window_days)
    day, kind = pl.col("event_date"), pl.col("event_type")
    oldest = events.filter(day <= as_of)["event_date"].min()
    known = (as_of - oldest).days + 1 if isinstance(oldest, date) else 0
    before = max(min(recent, window - recent, known - recent), 0)
    recent_from, before_from = as_of - timedelta(recent - 1), as_of - timedelta(recent + before - 1)
    lines = events.filter(
        day.is_between(as_of - timedelta(window - 1), as_of), pl.col("product_id").is_not_null()
    ).select(
        pl.coalesce("user_key", "anon_key").alias("_person"),
        "product_id", "event_type", "event_date", "quantity", "unit_price_micros", "rating",
    )  # fmt: skip
    bought = lines.filter(kind == "purchase")
    price, quantity = pl.col("unit_price_micros"), pl.col("quantity")
    counted = lines.group_by("product_id").agg(
        _count(kind == "view", "views"),
        _count(kind == "add_to_cart", "carts"),
        _count(kind == "return", "returns"),
        _count(kind == "purchase", "purchases"),
        (pl.col("rating") * MICROS).round().cast(pl.Int64).sum().alias("_ratings"),
        pl.col("rating").count().alias("_rated"),
    )
    sold = bought.group_by("product_id").agg(
        pl.col("_person").n_unique().cast(pl.Int64).alias("buyers"),
        quantity.sum().alias("units"),
        (quantity * price).sum().alias("_value"),
        quantity.filter(price.is_not_null()).sum().alias("_priced"),
        _count(day >= recent_from, "recent_purchases"),
        _count((day >= before_from) & (day < recent_from), "_before"),
        day.min().alias("first_sold_date"),
        day.max().alias("last_sold_date"),
    )
    lately = (
        bought.filter(day >= recent_from)
        .group_by("product_id")
        .agg(
            pl.col("_person").n_unique().cast(pl.Int64).alias("recent_buyers"),
            quantity.sum().alias("recent_units"),
        )
    )
    looked = (
        lines.filter(kind.is_in(LOOKS))
        .group_by("product_id")
        .agg(
            pl.col("_person").n_unique().cast(pl.Int64).alias("lookers"),
            pl.col("_person").filter(day >= recent_from).n_unique().cast(pl.Int64).alias("recent_lookers"),
        )
    )
    counts = (
        "buyers", "units", "recent_buyers", "recent_units", "recent_purchases", "lookers", "recent_lookers", "_before",
    )  # fmt: skip
    zero = [pl.col(name).fill_null(0) for name in counts]
    stats = (
        counted.join(sold, on="product_id", how="left")
        .join(lately, on="product_id", how="left")
        .join(looked, on="product_id", how="left")
        .join(product_tiers(catalog, tiers), on="product_id", how="left")
        .join(catalog.select("product_id", pl.col("rating").alias("_listed")), on="product_id", how="left")
        .with_columns(zero)
    )
    return ITEM_STATS.conform(
        stats.with_columns(
            (_ratio("recent_purchases", "_before") * before / recent).alias("trend"),
            _share("carts", "views").alias("view_to_cart"),
            _share("purchases", "carts").alias("cart_to_purchase"),
            _share("returns", "purchases").alias("return_rate"),
            pl.when(pl.col("_priced") > 0).then(pl.col("_value") // pl.col("_priced")).alias("average_price_micros"),
            _ratio("units", "purchases").alias("average_quantity"),
            pl.coalesce(_ratio("_ratings", "_rated") / MICROS, "_listed").alias("rating"),
        ).sort("product_id")
    )


def _count(condition: pl.Expr, name: str) -> pl.Expr:
    return condition.sum().cast(pl.Int64).alias(name)


def _ratio(part: str, whole: str) -> pl.Expr:
    return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole))


def _share(part: str, whole: str) -> pl.Expr:
    return pl.when(pl.col(whole) > 0).then(pl.min_horizontal(part, whole) / pl.col(whole))
