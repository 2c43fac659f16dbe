"""The simulator's shop as the tables that a planner is learned from, and what is true of its orders."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import polars as pl

from recsys_assets.logic.baskets import Shopping, planned_products, shopping
from recsys_assets.logic.price_tiers import price_tiers
from recsys_assets.logic.repurchase import repurchase_cycles
from recsys_assets.logic.simulate import days
from recsys_assets.logic.simulated_shop import LABEL, Scale, make_shop
from recsys_assets.models.planning import Known
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, MICROS, Table
from recsys_assets.tuning import Tuning


@dataclass(frozen=True)
class MadeShop:
    """Tables CLEAN_EVENTS and CATALOG of all days, and of each order its person, intent, trigger and category."""

    events: pl.DataFrame
    catalog: pl.DataFrame
    orders: pl.DataFrame

    def until(self, day: date, tuning: Tuning) -> tuple[Shopping, pl.DataFrame]:
        """What people did, and table REPURCHASE_CYCLES, at the end of a day."""
        return shop_of(self.events.filter(pl.col("event_date") <= day), self.catalog, day, tuning)


def shop_of(
    events: pl.DataFrame, catalog: pl.DataFrame, day: date, tuning: Tuning
) -> tuple[Shopping, pl.DataFrame]:  # fmt: skip
    """`shopping` and `repurchase_cycles` as the assets make them."""
    knobs = tuning.planner
    products = planned_products(catalog, price_tiers(catalog, tuning), knobs.category_depth, knobs.gift_words)
    return shopping(events, products), repurchase_cycles(events, catalog, day, tuning)


def known_of(events: pl.DataFrame, catalog: pl.DataFrame, tuning: Tuning) -> Callable[[date], Known]:
    """What was known at the end of a day, in a shop whose catalogue and people's keys stay as they are."""
    knobs = tuning.planner
    products = planned_products(catalog, price_tiers(catalog, tuning), knobs.category_depth, knobs.gift_words)
    return lambda day: Known(events, products, repurchase_cycles(events, catalog, day, tuning))


def filled(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with the columns of a table that it lacks, empty."""
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in table.columns.items() if name not in frame]
    return table.conform(frame.with_columns(missing))


def made_shop(scale: Scale) -> MadeShop:
    """The shop's whole life. What a device did without a login is its user's, where they were once seen together."""
    passed = list(days(make_shop(scale)))
    sent, orders = pl.concat([day.events for day in passed]), pl.concat([day.orders for day in passed])
    owners = sent.select("anon_id", "user_id").drop_nulls().unique().rename({"user_id": "_owner"})
    events = sent.join(owners, on="anon_id", how="left", maintain_order="left").select(
        "event_id", "event_type", "event_time", "product_id", "quantity", "order_id", "query",
        pl.col("event_time").dt.date().alias("event_date"),
        pl.coalesce("user_id", "_owner").alias("user_key"),
        pl.col("anon_id").alias("anon_key"),
        (pl.col("unit_price") * MICROS).round().cast(pl.Int64).alias("unit_price_micros"),
    )  # fmt: skip
    catalog = (
        pl.concat([day.catalog for day in passed])
        .unique("product_id", keep="last", maintain_order=True)
        .select(
            "product_id", "name", "category", "brand", "tags",
            (pl.col("unit_price") * MICROS).round().cast(pl.Int64).alias("unit_price_micros"),
        )
        .sort("product_id")
    )  # fmt: skip
    assert sent["event_id"].str.starts_with(LABEL).all()
    return MadeShop(filled(CLEAN_EVENTS, events.sort("event_time", "event_id")), filled(CATALOG, catalog), orders)
