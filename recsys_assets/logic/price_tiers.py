"""What is cheap and what is dear in each category."""

import polars as pl

from recsys_assets.logic.catalog import top_category
from recsys_assets.tables import PRICE_TIERS
from recsys_assets.tuning import Tuning

TIERS = ("budget", "mid", "premium")
_FLOAT_DUST = 1e-9  # 2/3 × 3 must count as 2


def price_tiers(catalog: pl.DataFrame, tuning: Tuning) -> pl.DataFrame:
    """One row per top category and one for all (``''``): table PRICE_TIERS, ordered by category.

    A bound is the price of the first product above its share of the category's products, ordered by price (nearest
    rank, no interpolation). Products without a price above 0 are left out; those without a category count in ``''``.

    Args:
        catalog: table CATALOG.
        tuning: ``price_tiers`` is read.
    """
    priced = catalog.filter(pl.col("unit_price_micros") > 0).select(
        top_category(pl.col("category")).alias("category"), "unit_price_micros"
    )
    groups = pl.concat([priced.with_columns(pl.lit("").alias("category")), priced.drop_nulls("category")])
    return PRICE_TIERS.conform(
        groups.group_by("category")
        .agg(
            pl.len().cast(pl.Int64).alias("products"),
            _first_above(tuning.price_tiers.mid_from).alias("mid_from_micros"),
            _first_above(tuning.price_tiers.premium_from).alias("premium_from_micros"),
        )
        .sort("category")
    )


def product_tiers(catalog: pl.DataFrame, tiers: pl.DataFrame) -> pl.DataFrame:
    """One row per product: ``product_id``, ``category`` (top, or null) and ``price_tier`` (null without a price).

    Below the bound of mid is budget, from the bound of premium is premium. Where both bounds are one price, that
    price is mid: a category of equal prices has nothing dear.

    Args:
        catalog: table CATALOG.
        tiers: table PRICE_TIERS made from it.
    """
    price, mid, premium = (pl.col(name) for name in ("unit_price_micros", "mid_from_micros", "premium_from_micros"))
    tier = (
        pl.when(price < mid).then(pl.lit("budget"))
        .when((price >= premium) & ((premium > mid) | (price > premium))).then(pl.lit("premium"))
        .otherwise(pl.lit("mid"))
    )  # fmt: skip
    return (
        catalog.select("product_id", top_category(pl.col("category")).alias("category"), "unit_price_micros")
        .with_columns(pl.col("category").fill_null("").alias("_group"))
        .join(tiers.rename({"category": "_group"}), on="_group", how="left")
        .select("product_id", "category", pl.when(price > 0).then(tier).alias("price_tier"))
        .sort("product_id")
    )


def _first_above(share: float) -> pl.Expr:
    rank = (pl.len() * share + _FLOAT_DUST).floor().cast(pl.UInt32)
    # `get`, not `gather(…).first()`, whose dtype is Null where there is no group.
    return pl.col("unit_price_micros").sort().get(pl.min_horizontal(rank, pl.len() - 1))
