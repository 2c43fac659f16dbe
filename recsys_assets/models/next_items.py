"""Next items: what is taken after a product, as the rules of `transitions` say."""

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic import variants
from recsys_assets.logic.compiled import compiled
from recsys_assets.models.base import Floats
from recsys_assets.models.multiply import Integers
from recsys_assets.models.transitions import Transitions
from recsys_assets.tables import NEXT_ITEMS
from recsys_assets.tuning import Tuning


def next_items(
    model: Transitions, listable: npt.NDArray[np.bool_], catalog: pl.DataFrame, tuning: Tuning
) -> pl.DataFrame:
    """Table NEXT_ITEMS, ordered by its grain: up to ``next_items`` per product, the strongest, ties by id.

    ``score`` is the rule itself, because rules of several products are summed when a visit asks. Of the variants of one
    parent the strongest ``variants_at_most`` are kept, and the product counts as one of its own: another size of the
    shirt would take the places of what goes with it. Any product that was ever followed may be asked, also one that may
    not be listed.

    These are weights of a model and no counts, so the k-anonymity floor does not bind them; with it, products that few
    take, which the popular list helps least, would have nothing to say.

    Args:
        model: fitted transitions.
        listable: per column, whether it may be listed.
        catalog: table CATALOG; ``parent_id`` is read.
        tuning: ``next_items`` and ``variants_at_most`` are read.
    """
    names = pl.Series(model.product_ids.tolist(), dtype=pl.String)
    parents = catalog.select("product_id", variants.family().alias("_family"))
    families = names.to_frame("product_id").join(parents, on="product_id", how="left", maintain_order="left")
    family = families.select(pl.coalesce("_family", "product_id").rank("dense")).to_series().to_numpy()
    rules = model.rules
    count, columns, score = _strongest(
        rules.indptr,
        rules.indices,
        rules.data,
        listable,
        family.astype(np.int64),
        tuning.next_items,
        tuning.variants_at_most or len(family),
    )
    source = np.repeat(np.arange(len(names)), count)
    return NEXT_ITEMS.conform(
        pl.DataFrame(
            {
                "product_id": names.gather(source),
                "rank": np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count) + 1,
                "next_product_id": names.gather(columns),
                "score": score,
            }
        )
    )


@compiled
def _strongest(
    indptr: Integers, indices: Integers, rules: Floats, listable: npt.NDArray[np.bool_],
    family: npt.NDArray[np.int64], depth: int, at_most: int,
) -> tuple[Integers, Integers, Floats]:  # fmt: skip
    """How many of each product, to which, how strong; columns of a row ascend, so that ties go by id.

    Sorted as one frame, the rules of a year of a grocer took 20 s; row by row they take two.
    """
    size = len(indptr) - 1
    count = np.zeros(size, dtype=np.int32)
    columns = np.empty(size * depth, dtype=np.int32)
    scores = np.empty(size * depth, dtype=np.float32)
    seen = np.empty(depth, dtype=np.int64)
    filled = 0
    for source in range(size):
        first, last = indptr[source], indptr[source + 1]
        found = 0
        for place in np.argsort(-rules[first:last], kind="mergesort"):
            column, rule = indices[first + place], rules[first + place]
            if found == depth or rule <= 0:
                break
            own = family[column]
            if listable[column] and (seen[:found] == own).sum() + (own == family[source]) < at_most:
                seen[found] = own
                columns[filled], scores[filled] = column, rule
                filled += 1
                found += 1
        count[source] = found
    return count, columns[:filled].copy(), scores[:filled].copy()
