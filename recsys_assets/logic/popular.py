"""What most people buy lately, overall and per top category."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic import reason_texts
from recsys_assets.logic.catalog import top_category
from recsys_assets.logic.facts import category_path
from recsys_assets.logic.reason_texts import PINNED
from recsys_assets.logic.reasons import popular_text
from recsys_assets.logic.variants import family, few_of_each
from recsys_assets.tables import POPULAR_ITEMS
from recsys_assets.tuning import Tuning


class _Basis(NamedTuple):
    """What makes a product popular: people of this column of ITEM_STATS, in these words, lately or in the window."""

    people: str
    text: str
    recent: bool


# The first one by which the shop has a product that enough people stand behind holds for all lists of the night.
_BASES = (
    _Basis("recent_buyers", reason_texts.POPULAR, True),
    _Basis("recent_lookers", reason_texts.LOOKED_AT, True),
    _Basis("buyers", reason_texts.POPULAR, False),
    _Basis("lookers", reason_texts.LOOKED_AT, False),
)
_AMOUNTS = {"purchases": "recent_purchases", "units": "recent_units"}


def popular_items(item_stats: pl.DataFrame, catalog: pl.DataFrame, tuning: Tuning) -> pl.DataFrame:
    """Table POPULAR_ITEMS, ordered by its grain: up to ``popular_items`` products overall (``''``) and per category.

    Ordered by recent buyers (or their purchases or units: ``popularity.counts``), then by buyers of the whole window,
    then by product id; what the shop has pinned leads, in the order of the pins. Any other product with fewer than
    ``k_anonymity`` recent buyers is left out. Of each family the first ``variants_at_most`` stay. ``score`` is the
    count as a share of the most that any has, 1 of a pin.

    Where no product has so many recent buyers, the people who looked at products lately count; then the buyers, then
    the lookers of the whole window. The reason says which; where none are enough, the lists hold the pins alone.

    Args:
        item_stats: table ITEM_STATS.
        catalog: table CATALOG of the same day; only recommendable products are listed.
        tuning: ``popular_items``, ``popularity.counts``, ``k_anonymity``, ``recent_days``, ``window_days``, ``pins``
            and ``variants_at_most`` are read.
    """
    places = {product: place for place, product in enumerate(tuning.pins)}
    offered = (
        catalog.filter(pl.col("not_recommendable").is_null())
        .select(
            "product_id",
            pl.col("unit_price_micros").alias("price_micros"),
            top_category(pl.col("category")).alias("category"),
            family().alias("_family"),
            pl.col("product_id").replace_strict(places, default=None, return_dtype=pl.Int64).alias("_pin"),
        )
        .join(item_stats.drop("category"), on="product_id", how="left")
    )
    enough = {one: (offered[one.people] >= tuning.k_anonymity).any() for one in _BASES}
    basis = next((one for one in _BASES if enough[one]), _BASES[0])
    days = min(tuning.recent_days, tuning.window_days) if basis.recent else tuning.window_days
    amount = _AMOUNTS.get(tuning.popularity.counts, basis.people) if basis is _BASES[0] else basis.people
    sold = offered.with_columns(
        pl.when(pl.col(basis.people) >= tuning.k_anonymity).then(basis.people).alias("_people"),
        pl.when(pl.col(basis.people) >= tuning.k_anonymity).then(amount).alias("_amount"),
    ).filter(pl.col("_people").is_not_null() | pl.col("_pin").is_not_null())
    share = pl.col("_amount") / pl.col("_amount").max().over("category")
    overall = sold.with_columns(pl.lit("").alias("category"))
    of_category = sold.filter(pl.col("category").is_not_null() & (pl.col("category") != ""))
    ordered = pl.concat([overall, of_category]).sort(
        "category", "_pin", "_amount", "buyers", "product_id",
        descending=[False, False, True, True, False], nulls_last=True,
    )  # fmt: skip
    return POPULAR_ITEMS.conform(
        few_of_each(ordered, "category", tuning.variants_at_most)
        .with_columns(
            pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("category").alias("rank"),
            pl.when(pl.col("_pin").is_null()).then(share).otherwise(1.0).round(6).cast(pl.Float32).alias("score"),
            popular_text(pl.col("_people"), days, basis.text).fill_null(PINNED).alias("reason"),
            pl.col("_people").alias("buyers"),
        )
        .filter(pl.col("rank") <= tuning.popular_items)
    )


def of_category(
    scores: npt.NDArray[np.float64], product_ids: Sequence[str], catalog: pl.DataFrame, depth: int = 1
) -> npt.NDArray[np.float64]:
    """One score per product: the mean of those of its category that anybody took, so that a new one has it too.

    A product without a category, or in one that nobody took anything of, gets 0.

    Args:
        scores: of each of ``product_ids``; 0 where nobody took it.
        product_ids: the products.
        catalog: ``product_id`` and ``category`` paths.
        depth: parts of a path that make the category, from the top; a shorter path counts whole.
    """
    paths = dict(catalog.select("product_id", "category").iter_rows())
    named = [" > ".join(category_path(paths.get(product) or "")[:depth][-1:]) for product in product_ids]
    categories, places = np.unique(np.array(named, dtype=np.str_), return_inverse=True)
    taken = np.bincount(places, weights=scores > 0, minlength=len(categories))
    sums = np.bincount(places, weights=scores, minlength=len(categories))
    means = np.divide(sums, taken, out=np.zeros(len(categories)), where=(taken > 0) & (categories != ""))
    return np.asarray(means[places], dtype=np.float64)
