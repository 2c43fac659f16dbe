"""Level 1: the best products of the blend per person."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.logic.choices import Choices
from recsys_assets.models.base import Floats, Interactions
from recsys_assets.models.blend import MEMBERS, Blend
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.models.top import Picks, block_size, top
from recsys_assets.tables import CANDIDATES
from recsys_assets.tuning import Tuning


def candidates(
    blend: Blend,
    interactions: Interactions,
    listable: npt.NDArray[np.bool_],
    choices: Choices,
    tuning: Tuning,
    *,
    block: int | None = None,
) -> Iterator[pl.DataFrame]:
    """Tables CANDIDATES, one per block of people in order of their keys; the rows of a person are best first.

    Of each person the ``candidate_pool_size`` best listable products, of which at least ``served_new_at_least`` were
    not bought before; bought ones only where the choices allow repeats. A person without any history gets what is
    popular. ``score`` is Σ weight × member over the row's own members, rounded to 6 decimals; ties go to the lower
    product id. Memory is bounded by the block: about ten dense matrices of people × products.

    Args:
        blend: fitted; its weights are those that the choices give.
        interactions: who gets candidates, with the columns of the training.
        listable: per column, whether it may be listed.
        choices: whether repeats are allowed.
        tuning: ``candidate_pool_size`` and ``served_new_at_least`` are read.
        block: people per block; default ``block_size``.
    """
    assert np.array_equal(blend.product_ids, interactions.product_ids), "columns differ from those of the training"
    assert listable.shape == interactions.product_ids.shape
    size = block or block_size(len(interactions.product_ids))
    near = _near(blend)
    names = pl.Series(interactions.product_ids.tolist(), dtype=pl.String)
    for start in range(0, len(interactions.person_keys), size):
        history = interactions.rows(start, start + size)
        members = blend.members(history)
        scores = blend.combine(members)
        scores[:, ~listable] = 0
        picks, purchased = _pool(history, scores, choices, tuning)
        keys = pl.Series(history.person_keys.tolist(), dtype=pl.String)
        similar = (history.owned @ near).toarray()[picks.rows, picks.columns]
        yield CANDIDATES.conform(
            pl.DataFrame(
                {
                    "person_key": keys.gather(picks.rows),
                    "product_id": names.gather(picks.columns),
                    "score": picks.scores,
                    **{name: members[name][picks.rows, picks.columns] for name in MEMBERS},
                    "purchased": purchased,
                    "similar_owned": similar.astype(np.int64),
                }
            )
        )


def _pool(
    history: Interactions, scores: Floats, choices: Choices, tuning: Tuning
) -> tuple[Picks, npt.NDArray[np.bool_]]:
    """The picks of a block and whether each was bought before; ``scores`` is overwritten."""
    size = tuning.candidate_pool_size
    owned = history.purchases.tocoo()
    rows, columns = owned.row.astype(np.int64), owned.col.astype(np.int64)
    bought = scores[rows, columns]
    scores[rows, columns] = 0
    new = top(scores, size)
    if not choices.repeats_allowed:
        return new, np.zeros(len(new.rows), dtype=np.bool_)
    said = bought > 0
    repeat = Picks.ordered(rows[said], columns[said], bought[said])
    # Room is kept for the new products that the served list needs; the rest goes to the best of all.
    sure = new.ranks() < tuning.served_new_at_least
    room = size - np.bincount(new.rows[sure], minlength=len(scores))
    rest = new.where(~sure).and_also(repeat)
    picks = new.where(sure).and_also(rest.where(rest.ranks() < room[rest.rows]))
    return picks, np.asarray(history.purchases[picks.rows, picks.columns]).ravel() > 0


def _near(blend: Blend) -> sp.csr_matrix[np.int32]:
    """Products × products: 1 where the column is among the row's stored neighbours."""
    member = blend.models["item_cf"]
    assert isinstance(member, ItemCf)
    return sp.csr_matrix(member.similarity.astype(np.bool_).astype(np.int32))
