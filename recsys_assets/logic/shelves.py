"""What Level 2 knows of products and of people, as arrays: prepared once a day, asked for every block of people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.catalog import top_category
from recsys_assets.logic.price_tiers import TIERS, price_tiers, product_tiers
from recsys_assets.tuning import Tuning

Codes = npt.NDArray[np.int32]
Whole = npt.NDArray[np.int64]
NONE = -1


@dataclass(frozen=True)
class Shelf:
    """Products in order of their ids: entry i of every array is of product ``products["product_id"][i]``.

    ``products`` has ``product_id``, ``price_micros`` and ``category``. Codes number the values that differ; -1 is none.
    ``out`` is a place in ``rules.DROPPED`` for products that nobody may be shown, else 0; ``pin`` the place among the
    pinned ones from 0, else -1.
    """

    products: pl.DataFrame
    price: Whole
    category: Codes
    top_category: Codes
    brand: Codes
    variant: Codes
    tier: Codes
    buyers: Whole
    cycle_days: npt.NDArray[np.float64]
    out: npt.NDArray[np.int8]
    pin: Codes

    @classmethod
    def of(cls, catalog: pl.DataFrame, item_stats: pl.DataFrame, cycles: pl.DataFrame, tuning: Tuning) -> Shelf:
        """Tables CATALOG, ITEM_STATS and REPURCHASE_CYCLES of one day, rows in any order."""
        known = (
            catalog.join(item_stats.select("product_id", "recent_buyers"), on="product_id", how="left")
            # Of the catalogue's prices, so that a product that nobody has done anything with has its tier, too.
            .join(product_tiers(catalog, price_tiers(catalog, tuning)).drop("category"), on="product_id", how="left")
            .join(cycles.select("product_id", "cycle_days"), on="product_id", how="left")
            .sort("product_id")
        )
        pins = {product: place for place, product in enumerate(tuning.pins)}
        out = (
            pl.when(pl.col("not_recommendable") == "out_of_stock").then(2)
            .when(pl.col("not_recommendable") == "banned").then(3)
            .when(pl.col("not_recommendable").is_not_null()).then(1)
            .otherwise(0)
        )  # fmt: skip
        made = known.select(
            price=pl.col("unit_price_micros").fill_null(0),
            category=_code(pl.col("category")),
            top_category=_code(top_category(pl.col("category"))),
            brand=_code(pl.col("brand")),
            variant=_code(pl.coalesce("parent_id", "product_id")),
            tier=pl.col("price_tier").replace_strict(list(TIERS), range(len(TIERS)), default=NONE).cast(pl.Int32),
            buyers=pl.col("recent_buyers").fill_null(0),
            cycle_days=pl.col("cycle_days").fill_null(float(tuning.repurchase_cycle.default_cycle_days)),
            out=out.cast(pl.Int8),
            pin=pl.col("product_id").replace_strict(
                list(pins), list(pins.values()), default=NONE, return_dtype=pl.Int32
            ),
        )
        products = known.select("product_id", pl.col("unit_price_micros").alias("price_micros"), "category")
        return cls(products, **{name: made[name].to_numpy() for name in made.columns})

    @property
    def pinned(self) -> Whole:
        """Places of the pinned products, in the order of the pins."""
        places = np.flatnonzero(self.pin >= 0)
        return places[np.argsort(self.pin[places])]


@dataclass(frozen=True)
class Shoppers:
    """People and what they bought: entries of the person in row i are ``indptr[i]:indptr[i + 1]``, by product.

    ``rows`` has ``person_key`` and its ``_row``. ``days`` counts days of purchase, ``since`` the days from the last one
    to the day that is looked from, ``month`` is that one's. ``usual_price`` (micros; 0: unknown) and ``segment`` (a
    place in ``rules.SEGMENTS``; -1: unknown) come from the profiles.
    """

    rows: pl.DataFrame
    indptr: Whole
    product: Codes
    days: Codes
    since: Codes
    month: npt.NDArray[np.int8]
    usual_price: Whole
    segment: Codes

    @classmethod
    def of(
        cls, interactions: pl.DataFrame, profiles: pl.DataFrame, shelf: Shelf, segments: tuple[str, ...], as_of: date
    ) -> Shoppers:
        """Tables INTERACTIONS and USER_PROFILES of one day, rows in any order; products off the shelf do not count."""
        bought = interactions.filter(pl.col("purchases") > 0).select(
            "person_key", "product_id", "purchases", "last_purchase_date"
        )
        people = pl.concat([bought.select("person_key"), profiles.select("person_key")]).unique().sort("person_key")
        rows = people.with_row_index("_row").with_columns(pl.col("_row").cast(pl.Int64))
        places = shelf.products.select("product_id").with_row_index("_product")
        known = (
            bought.join(places, on="product_id")
            .join(rows, on="person_key")
            .sort("_row", "_product")
            .select(
                "_row",
                _product=pl.col("_product").cast(pl.Int32),
                _days=pl.col("purchases").cast(pl.Int32),
                _since=(pl.lit(as_of) - pl.col("last_purchase_date")).dt.total_days().cast(pl.Int32),
                _month=pl.col("last_purchase_date").dt.month(),
            )
        )
        about = rows.join(
            profiles.select("person_key", "average_item_price_micros", "spending_segment"),
            on="person_key", how="left", maintain_order="left",
        ).select(
            usual=pl.col("average_item_price_micros").fill_null(0),
            segment=pl.col("spending_segment").replace_strict(
                list(segments), range(len(segments)), default=NONE, return_dtype=pl.Int32
            ),
        )  # fmt: skip
        entries = np.bincount(known["_row"].to_numpy(), minlength=rows.height)
        return cls(
            rows,
            np.concatenate([[0], np.cumsum(entries)]).astype(np.int64),
            known["_product"].to_numpy(),
            known["_days"].to_numpy(),
            known["_since"].to_numpy(),
            known["_month"].to_numpy(),
            about["usual"].to_numpy(),
            about["segment"].to_numpy(),
        )


def _code(values: pl.Expr) -> pl.Expr:
    """Numbers from 0 for the values that differ, -1 for none; by value, so that they do not depend on anything else."""
    return (values.rank("dense").cast(pl.Int32) - 1).fill_null(NONE)
