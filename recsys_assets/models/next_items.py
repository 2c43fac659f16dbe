"""Next items: what is taken after a product, as the rules of `transitions` say."""

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.models.transitions import Transitions
from recsys_assets.tables import NEXT_ITEMS
from recsys_assets.tuning import Tuning


def next_items(
    model: Transitions, listable: npt.NDArray[np.bool_], catalog: pl.DataFrame, tuning: Tuning
) -> pl.DataFrame:
    """Table NEXT_ITEMS, ordered by its grain: up to ``next_items`` per product, the strongest, ties by id.

    ``score`` is the rule itself, because rules of several products are summed when a visit asks. Of the variants of one
    parent the strongest alone is kept, and none of the product's own: another size of the shirt would take the places
    of what goes with it. Any product that was ever followed may be asked, also one that may not be listed.

    These are weights of a model and no counts, so the k-anonymity floor does not bind them; with it, products that few
    take, which the popular list helps least, would have nothing to say.

    Args:
        model: fitted transitions.
        listable: per column, whether it may be listed.
        catalog: table CATALOG; ``parent_id`` is read.
        tuning: ``next_items`` is read.
    """
    names = pl.Series(model.product_ids.tolist(), dtype=pl.String)
    parents = catalog.select("product_id", pl.coalesce("parent_id", "product_id").alias("_family"))
    families = names.to_frame("product_id").join(parents, on="product_id", how="left", maintain_order="left")
    family = families.select(pl.coalesce("_family", "product_id").rank("dense")).to_series().to_numpy()
    rules = model.rules.tocoo()
    kept = listable[rules.col] & (rules.data > 0) & (family[rules.row] != family[rules.col])
    found = (
        pl.DataFrame(
            {
                "_product": rules.row[kept],
                "_next": rules.col[kept],
                "_family": family[rules.col[kept]],
                "score": rules.data[kept].astype(np.float32),
            }
        )
        .sort("_product", "score", "_next", descending=[False, True, False])  # columns are in the order of ids
        .unique(["_product", "_family"], keep="first", maintain_order=True)
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("_product").alias("rank"))
        .filter(pl.col("rank") <= tuning.next_items)
    )
    return NEXT_ITEMS.conform(
        found.with_columns(
            names.gather(found["_product"]).alias("product_id"), names.gather(found["_next"]).alias("next_product_id")
        )
    )
