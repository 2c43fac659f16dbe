"""What most people buy lately, overall and per top category."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.catalog import top_category
from recsys_assets.logic.facts import category_path
from recsys_assets.logic.reasons import popular_text
from recsys_assets.tables import POPULAR_ITEMS
from recsys_assets.tuning import Tuning


def popular_items(item_stats: pl.DataFrame, catalog: pl.DataFrame, tuning: Tuning) -> pl.DataFrame:
    """Table POPULAR_ITEMS, ordered by its grain: up to ``popular_items`` products overall (``''``) and per category.

    Ordered by recent buyers, then by buyers of the whole window, then by product id. A product with fewer than
    ``k_anonymity`` recent buyers is left out. ``score`` is the buyers as a share of the first one's.

    Args:
        item_stats: table ITEM_STATS.
        catalog: table CATALOG of the same day; only recommendable products are listed.
        tuning: ``popular_items``, ``k_anonymity``, ``recent_days`` are read.
    """
    sold = (
        catalog.filter(pl.col("not_recommendable").is_null())
        .select(
            "product_id",
            pl.col("unit_price_micros").alias("price_micros"),
            top_category(pl.col("category")).alias("category"),
        )
        .join(
            item_stats.select("product_id", pl.col("recent_buyers"), pl.col("buyers").alias("_ever")), on="product_id"
        )
        .filter(pl.col("recent_buyers") >= tuning.k_anonymity)
    )
    overall = sold.with_columns(pl.lit("").alias("category"))
    of_category = sold.filter(pl.col("category").is_not_null() & (pl.col("category") != ""))
    return POPULAR_ITEMS.conform(
        pl.concat([overall, of_category])
        .sort(
            "category", "recent_buyers", "_ever", "product_id",
            descending=[False, True, True, False],
        )
        .with_columns(
            pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("category").alias("rank"),
            (pl.col("recent_buyers") / pl.col("recent_buyers").max().over("category"))
            .round(6).cast(pl.Float32).alias("score"),
            pl.col("recent_buyers").alias("buyers"),
            popular_text(pl.col("recent_buyers"), tuning.recent_days).alias("reason"),
        )
        .filter(pl.col("rank") <= tuning.popular_items)
    )  # fmt: skip


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
