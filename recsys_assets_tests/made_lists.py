"""A generation of some size, for tests of lists: every person has 200 candidates, of which 50 are served."""

from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.stores.publishing import Frames
from recsys_assets.tables import (
    CATALOG,
    LISTS,
    MICROS,
    NEXT_ITEMS,
    POPULAR_ITEMS,
    SIMILAR_ITEMS,
    USER_PROFILES,
    Table,
)

DAY = date(2024, 3, 1)
CANDIDATES, SERVED, POPULAR, NEAR = 200, 50, 100, 20
CATEGORIES = tuple(f"top {n}" for n in range(5))


def name(product: int | np.integer[Any]) -> str:
    return f"p{product:04}"


def generation(keys: list[str], products: int = 1_000) -> Frames:
    """People's lists are drawn; product n costs n + 1, is in category ``top n % 5 > n % 25``, and is bought in 1 of 4.

    Scores fall; the member als orders a row backwards, item_cf knows only every other product.
    """
    chance = np.random.default_rng(1)
    numbers = np.arange(products)
    facts = pl.DataFrame(
        {
            "product_id": [name(n) for n in numbers],
            "category": [f"{CATEGORIES[n % 5]} > {n % 25}" for n in numbers],
            "unit_price_micros": (numbers + 1) * MICROS,
            "in_stock": True,
        }
    )
    drawn = np.concatenate([chance.permutation(products)[:CANDIDATES] for _ in keys])
    rank = np.tile(np.arange(1, CANDIDATES + 1), len(keys))
    lists = pl.DataFrame(
        {
            "person_key": np.repeat(np.array(keys), CANDIDATES),
            "rank": rank,
            "score": 1 - rank / 1_000,
            "als": rank / 1_000,
            "item_cf": np.where(rank % 2 == 0, 1 - rank / 1_000, np.nan),
            "confidence": 0.5 - rank / 1_000,
            "purchased": drawn % 4 == 0,
            "position": np.where(rank <= SERVED, rank, 0),
        }
    ).with_columns(
        facts[drawn]["product_id"],
        facts[drawn]["category"],
        facts[drawn]["unit_price_micros"].alias("price_micros"),
        pl.col("position").replace(0, None),
        pl.col("item_cf").fill_nan(None),
        reason_code=pl.lit("taste"),
        reason=pl.lit("mine"),
        reason_count=pl.lit(0),
        model_source=pl.lit("basket"),
    )
    places = np.arange(1, POPULAR + 1)
    popular = [
        _ranked("", numbers[-POPULAR:], places),
        *(_ranked(category, numbers[n::5][:POPULAR], places) for n, category in enumerate(CATEGORIES)),
    ]
    beside = np.repeat(numbers, NEAR), (np.repeat(numbers, NEAR) + np.tile(np.arange(1, NEAR + 1), products)) % products
    ranked = pl.DataFrame(
        {"product_id": facts["product_id"].gather(beside[0]), "_other": facts["product_id"].gather(beside[1])}
    ).with_columns(
        rank=pl.int_range(1, pl.len() + 1).over("product_id"),
        score=1 / pl.int_range(1, pl.len() + 1).over("product_id"),
    )
    return Frames(
        filled(LISTS, lists),
        filled(SIMILAR_ITEMS, ranked.rename({"_other": "similar_product_id"}).with_columns(
            confidence=pl.lit(0.25), source=pl.lit("purchases"))),
        filled(NEXT_ITEMS, ranked.rename({"_other": "next_product_id"})),
        filled(POPULAR_ITEMS, pl.concat(popular).join(facts.select("product_id", price_micros="unit_price_micros"),
                                                      on="product_id", maintain_order="left")),
        filled(CATALOG, facts),
        filled(USER_PROFILES, pl.DataFrame({"person_key": keys})),
    )  # fmt: skip


def _ranked(category: str, numbers: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "category": category,
            "rank": places,
            "product_id": [name(n) for n in numbers],
            "score": 1 / places,
            "buyers": 100 - places // 2,
            "reason": "popular",
        }
    )


def filled(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` as ``table``: dtypes cast, columns that it lacks null."""
    missing = [pl.lit(None, dtype=dtype).alias(n) for n, dtype in table.columns.items() if n not in frame.columns]
    dtypes = {n: dtype for n, dtype in table.columns.items() if n in frame.columns}
    return table.conform(frame.cast(dtypes).with_columns(missing))  # type: ignore[arg-type]  # instances are dtypes too
