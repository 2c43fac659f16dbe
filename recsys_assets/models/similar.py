"""Similar items: products bought by the same people."""

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.logic.variants import family, few_of_each
from recsys_assets.models.base import Interactions
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.tables import SIMILAR_ITEMS
from recsys_assets.tuning import Tuning

_PAIRS_AT_ONCE = 100_000


def similar_items(
    model: ItemCf,
    interactions: Interactions,
    listable: npt.NDArray[np.bool_],
    catalog: pl.DataFrame,
    tuning: Tuning,
) -> pl.DataFrame:
    """Table SIMILAR_ITEMS, ordered by its grain: up to ``similar_items`` per listable product.

    A pair with fewer than ``k_anonymity`` common buyers is left out. ``score`` is the similarity as a share of the
    product's best one, ties by id; ``confidence`` is common buyers ÷ the product's buyers.
    Of each family ``variants_at_most`` stay, and the product itself counts as one of its own.

    Args:
        model: fitted item_cf, with the columns of ``interactions``.
        interactions: everybody's, to count buyers in.
        listable: per column, whether it may be listed.
        catalog: table CATALOG; gives the price of the similar product, and parents.
        tuning: ``similar_items``, ``k_anonymity`` and ``variants_at_most`` are read.
    """
    assert np.array_equal(model.product_ids, interactions.product_ids), "columns differ from those of the training"
    buyers = sp.csr_matrix(interactions.owned.T)
    count = np.diff(buyers.indptr)
    pairs = model.similarity.tocoo()
    enough = listable & (count >= tuning.k_anonymity)
    wanted = enough[pairs.row] & enough[pairs.col] & (pairs.data > 0)
    product, other, score = pairs.row[wanted], pairs.col[wanted], np.round(pairs.data[wanted].astype(np.float64), 6)

    common = np.zeros(len(product), dtype=np.int64)
    for start in range(0, len(product), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        common[part] = np.asarray(buyers[product[part]].multiply(buyers[other[part]]).sum(axis=1)).ravel()

    names = pl.Series(interactions.product_ids.tolist(), dtype=pl.String)
    prices = catalog.select(
        pl.col("product_id").alias("similar_product_id"), pl.col("unit_price_micros").alias("price_micros")
    )
    families = catalog.select("product_id", family().alias("_family"))
    ordered = (
        pl.DataFrame(
            {
                "product_id": names.gather(product),
                "similar_product_id": names.gather(other),
                "_score": score,
                "_common": common,
                "_buyers": count[product],
            }
        )
        .filter(pl.col("_common") >= tuning.k_anonymity)
        .sort("product_id", "_score", "similar_product_id", descending=[False, True, False])
        .join(families.rename({"_family": "_own"}), on="product_id", how="left", maintain_order="left")
        .join(families.rename({"product_id": "similar_product_id"}), on="similar_product_id", how="left",
              maintain_order="left")
    )  # fmt: skip
    return SIMILAR_ITEMS.conform(
        few_of_each(ordered, "product_id", tuning.variants_at_most, "_own")
        .with_columns(
            pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("product_id").alias("rank"),
            (pl.col("_score") / pl.col("_score").max().over("product_id")).round(6).cast(pl.Float32).alias("score"),
            (pl.col("_common") / pl.col("_buyers")).round(6).cast(pl.Float32).alias("confidence"),
        )
        .filter(pl.col("rank") <= tuning.similar_items)
        .join(prices, on="similar_product_id", how="left")
        .sort("product_id", "rank")
    )
