"""Similar items: products bought, or looked at, by the same people; where too few did, those described alike."""

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
from implicit.nearest_neighbours import all_pairs_knn

from recsys_assets.logic.facts import facts
from recsys_assets.logic.variants import family, few_of_each
from recsys_assets.models.base import Interactions
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.tables import SIMILAR_ITEMS
from recsys_assets.tuning import Tuning

_PAIRS_AT_ONCE = 100_000
_LIKE = 3  # times as many described alike as are kept are looked at: of some families only one stays
_PAIR = ["product_id", "similar_product_id"]


def similar_items(
    model: ItemCf,
    interactions: Interactions,
    listable: npt.NDArray[np.bool_],
    catalog: pl.DataFrame,
    tuning: Tuning,
    threads: int = 0,
) -> pl.DataFrame:
    """Table SIMILAR_ITEMS, ordered by its grain: up to ``similar_items`` per listable product, source by source.

    - ``purchases``: neighbours of item_cf that ``k_anonymity`` people bought both of; ``confidence`` is common buyers ÷
      the product's buyers.
    - ``views``: its other neighbours, that so many people looked at, or bought, both of; ``confidence`` is the same of
      those.
    - ``content``: what the catalogue says the same of (`facts`), also of products that nobody took yet; no confidence.

    ``similar_sources`` says which of them, in which order. Within a source ``score`` is the likeness as a share of the
    product's best one, ties by id; the next source begins where the one before it ended. Of each family
    ``variants_at_most`` stay, and the product itself counts as one of its own.

    Args:
        model: fitted item_cf, with the columns of ``interactions``.
        interactions: everybody's, to count people in.
        listable: per column, whether it may be listed.
        catalog: table CATALOG; gives facts, parents and the price of the similar product.
        tuning: ``similar_items``, ``similar_sources``, ``k_anonymity``, ``variants_at_most`` and ``content`` are read.
        threads: 0 = all cores; never changes a result.
    """
    assert np.array_equal(model.product_ids, interactions.product_ids), "columns differ from those of the training"
    found = _taken(model, interactions, listable, tuning)
    if "content" in tuning.similar_sources:
        offered = catalog.filter(pl.col("not_recommendable").is_null())["product_id"]
        known = interactions.product_ids[~listable].tolist()
        found = pl.concat([found, _described(offered.filter(~offered.is_in(known)), catalog, tuning, threads)])
    order = {source: place for place, source in enumerate(tuning.similar_sources)}
    families = catalog.select("product_id", family().alias("_family"))
    prices = catalog.select(
        pl.col("product_id").alias("similar_product_id"), pl.col("unit_price_micros").alias("price_micros")
    )
    ordered = (
        found.with_columns(pl.col("source").replace_strict(order, return_dtype=pl.Int64).alias("_order"))
        .sort("product_id", "_order", "_score", "similar_product_id", descending=[False, False, True, False])
        .unique(_PAIR, keep="first", maintain_order=True)
        .join(families.rename({"_family": "_own"}), on="product_id", how="left", maintain_order="left")
        .join(families.rename({"product_id": "similar_product_id"}), on="similar_product_id", how="left",
              maintain_order="left")
    )  # fmt: skip
    kept = (
        few_of_each(ordered, "product_id", tuning.variants_at_most, "_own")
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("product_id").alias("rank"))
        .filter(pl.col("rank") <= tuning.similar_items)
        .with_columns((pl.col("_score") / pl.col("_score").max().over("product_id", "source")).alias("_share"))
    )
    scale = pl.lit(1.0)
    for place in range(len(order) - 1):
        end = pl.col("_share").filter(pl.col("_order") == place).min().over("product_id").fill_null(1.0)
        scale = scale * pl.when(pl.col("_order") > place).then(end).otherwise(1.0)
    return SIMILAR_ITEMS.conform(
        kept.with_columns((pl.col("_share") * scale).round(6).cast(pl.Float32).alias("score"))
        .join(prices, on="similar_product_id", how="left")
        .sort("product_id", "rank")
    )


def _taken(
    model: ItemCf,
    interactions: Interactions,
    listable: npt.NDArray[np.bool_],
    tuning: Tuning,
) -> pl.DataFrame:
    """Neighbours of item_cf that enough people bought, or else looked at, both of."""
    pairs = model.similarity.tocoo()
    wanted = listable[pairs.row] & listable[pairs.col] & (pairs.data > 0)
    product, other, score = pairs.row[wanted], pairs.col[wanted], np.round(pairs.data[wanted].astype(np.float64), 6)
    names = pl.Series(interactions.product_ids.tolist(), dtype=pl.String)
    made = [_FOUND.clear()]
    by = {"purchases": interactions.owned, "views": interactions.weights.astype(np.bool_).astype(np.int32)}
    for source, taken in by.items():
        if source not in tuning.similar_sources:
            continue
        people = sp.csr_matrix(taken.T)
        count = np.diff(people.indptr)
        enough = np.flatnonzero((count[product] >= tuning.k_anonymity) & (count[other] >= tuning.k_anonymity))
        common = np.zeros(len(product), dtype=np.int64)
        for start in range(0, len(enough), _PAIRS_AT_ONCE):
            part = enough[start : start + _PAIRS_AT_ONCE]
            common[part] = np.asarray(people[product[part]].multiply(people[other[part]]).sum(axis=1)).ravel()
        said = common >= max(tuning.k_anonymity, 1)
        made.append(
            pl.DataFrame(
                {
                    "product_id": names.gather(product[said]),
                    "similar_product_id": names.gather(other[said]),
                    "source": [source] * int(said.sum()),
                    "_score": score[said],
                    "confidence": np.round(common[said] / count[product[said]], 6).astype(np.float32),
                },
                schema=_FOUND.schema,
            )
        )
    return pl.concat(made)


def _described(offered: pl.Series, catalog: pl.DataFrame, tuning: Tuning, threads: int) -> pl.DataFrame:
    """The products of which the catalogue says the most alike, per product that is offered."""
    names = offered.sort()
    said = facts(catalog, names.to_list(), tuning.content).astype(np.float64)
    if not said.nnz:
        return _FOUND.clear()
    near = all_pairs_knn(
        sp.csr_matrix(said.T), _LIKE * tuning.similar_items + 1, show_progress=False, num_threads=threads
    ).tocoo()
    wanted = (near.row != near.col) & (np.round(near.data, 6) > 0)
    return pl.DataFrame(
        {
            "product_id": names.gather(near.row[wanted]),
            "similar_product_id": names.gather(near.col[wanted]),
            "source": ["content"] * int(wanted.sum()),
            "_score": np.round(near.data[wanted], 6),
            "confidence": pl.Series([None], dtype=pl.Float32).new_from_index(0, int(wanted.sum())),
        },
        schema=_FOUND.schema,
    )


_FOUND = pl.DataFrame(
    schema={
        "product_id": pl.String,
        "similar_product_id": pl.String,
        "source": pl.String,
        "_score": pl.Float64,
        "confidence": pl.Float32,
    }
)
