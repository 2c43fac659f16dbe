"""Level 1: the best products of the blend per person."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import polars as pl
import scipy.sparse as sp

from recsys_assets.columns import MEMBERS
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.compiled import CORES, compiled
from recsys_assets.models.base import Floats, Interactions, one_blas_thread
from recsys_assets.models.blend import Blend
from recsys_assets.models.fused import Mask, Said, counted, separated, values_at
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.models.top import Picks, Places, block_size
from recsys_assets.tables import CANDIDATES
from recsys_assets.tuning import Tuning

_Made = TypeVar("_Made")
Reorder = Callable[[Picks, Said, Interactions], Picks]


def candidates(
    blend: Blend,
    interactions: Interactions,
    listable: Mask,
    choices: Choices,
    tuning: Tuning,
    *,
    reorder: Reorder | None = None,
    block: int | None = None,
    threads: int = 0,
) -> Iterator[pl.DataFrame]:
    """Tables CANDIDATES, one per block of people in order of their keys; the rows of a person are best first.

    Of each person the ``candidate_pool_size`` best listable products, of which at least ``served_new_at_least`` were
    not bought before; bought ones only where the choices allow repeats. A person without any history gets what is
    popular. ``score`` is Σ weight × member over the row's own members, rounded to 6 decimals, or what ``reorder``
    makes of it; ties go to the lower product id. Members that the blend lacks are null. ``model_source`` is the member
    whose weight × score is the largest part of the blend's score. So it is under a learned order too: trees move
    candidates, and it is the weights that put them forward.

    Blocks are made side by side, as many as there are threads; memory is bounded by them, about six dense matrices of
    people × products each.

    Args:
        blend: fitted, and has met the people to ask; its weights are those that the choices give.
        interactions: who gets candidates, with the columns of the training.
        listable: per column, whether it may be listed.
        choices: whether repeats are allowed.
        tuning: ``candidate_pool_size`` and ``served_new_at_least`` are read.
        reorder: gives the candidates of a block new scores, and their order; see `learned.Learned`.
        block: people per block; default ``block_size``.
        threads: 0 = all cores; never changes a result.
    """
    assert np.array_equal(blend.product_ids, interactions.product_ids), "columns differ from those of the training"
    assert listable.shape == interactions.product_ids.shape
    size = block or block_size(len(interactions.product_ids))
    near = _near(blend)
    names = pl.Series(interactions.product_ids.tolist(), dtype=pl.String)

    def made(start: int) -> pl.DataFrame:
        history = interactions.rows(start, start + size)
        said = blend.said(history)
        picks = picked(said, blend, history, listable, choices, tuning)
        if reorder is not None:
            picks = reorder(picks, said, history)
        keys = pl.Series(history.person_keys.tolist(), dtype=pl.String)
        members = said.at(picks.rows, picks.columns)
        missing = pl.Series([None], dtype=pl.Float32).new_from_index(0, len(picks.rows))
        return CANDIDATES.conform(
            pl.DataFrame(
                {
                    "person_key": keys.gather(picks.rows),
                    "product_id": names.gather(picks.columns),
                    "score": picks.scores,
                    **{name: members.get(name, missing) for name in MEMBERS},
                    "purchased": values_at(history.purchases, picks.rows, picks.columns) > 0,
                    "similar_owned": counted(near, history, picks.rows, picks.columns),
                    "model_source": loudest(members, blend.weights_of(history), picks.rows),
                }
            )
        )

    with one_blas_thread():
        yield from side_by_side(made, range(0, len(interactions.person_keys), size), threads)


def loudest(members: Mapping[str, Floats], weights: Floats, rows: Places) -> pl.Series:
    """Per entry the member with the largest weight × score; of equal ones, the first.

    Args:
        members: scaled scores of the entries, by member.
        weights: people × members, in their order.
        rows: each entry's person.

    >>> scores = {"als": np.array([0.5, 0.1]), "item_cf": np.array([0.5, 1.0])}
    >>> loudest(scores, np.array([[0.4, 0.2]]), np.array([0, 0])).to_list()
    ['als', 'item_cf']
    """
    names = pl.Series(list(members), dtype=pl.String)
    best, code = np.zeros(len(rows), dtype=np.float64), np.zeros(len(rows), dtype=np.int64)
    for place, scores in enumerate(members.values()):
        part = weights[rows, place].astype(np.float64) * scores
        louder = part > best
        best[louder], code[louder] = part[louder], place
    return names.gather(code)


def picked(said: Said, blend: Blend, history: Interactions, listable: Mask, choices: Choices, tuning: Tuning) -> Picks:
    """The candidates of a block of people under the blend's weights, best first."""
    new, repeat = separated(said.combined(blend.weights_of(history)), listable, history, tuning.candidate_pool_size)
    return mixed(new, repeat, len(history.person_keys), tuning) if choices.repeats_allowed else new


def mixed(new: Picks, repeat: Picks, people: int, tuning: Tuning) -> Picks:
    """The best of both, each by row, best first; room is kept for the new products that the served list needs."""
    starts, old_starts = (np.searchsorted(picks.rows, np.arange(people + 1)) for picks in (new, repeat))
    made: tuple[Places, Places, Floats] = _mixed(
        starts, old_starts, new.columns, new.scores, repeat.columns, repeat.scores,
        tuning.served_new_at_least, tuning.candidate_pool_size,
    )  # fmt: skip
    return Picks(*made)


@compiled
def _mixed(
    new_starts: Places,
    old_starts: Places,
    new: Places,
    new_scores: Floats,
    old: Places,
    old_scores: Floats,
    sure: int,
    size: int,
) -> tuple[Places, Places, Floats]:
    rows = np.empty(len(new) + len(old), dtype=np.int64)
    columns = np.empty(len(rows), dtype=np.int64)
    scores = np.empty(len(rows), dtype=np.float32)
    made = 0
    for row in range(len(new_starts) - 1):
        first, last = new_starts[row], new_starts[row + 1]
        other, end = old_starts[row], old_starts[row + 1]
        # New products that are sure of their place, and how many more of each kind are among the best of the rest.
        until = min(first + sure, last)
        room = size - (until - first)
        stop = other
        while room > 0 and (until < last or stop < end):
            if stop == end or (
                until < last
                and (
                    new_scores[until] > old_scores[stop]
                    or (new_scores[until] == old_scores[stop] and new[until] < old[stop])
                )
            ):
                until += 1
            else:
                stop += 1
            room -= 1
        while first < until or other < stop:
            rows[made] = row
            if other == stop or (
                first < until
                and (
                    new_scores[first] > old_scores[other]
                    or (new_scores[first] == old_scores[other] and new[first] < old[other])
                )
            ):
                columns[made], scores[made] = new[first], new_scores[first]
                first += 1
            else:
                columns[made], scores[made] = old[other], old_scores[other]
                other += 1
            made += 1
    return rows[:made], columns[:made], scores[:made]


def side_by_side(work: Callable[[int], _Made], starts: range, threads: int) -> Iterator[_Made]:
    """What ``work`` makes of each start, in order; no more of them are in hand than there are threads, and one."""
    at_once = threads or CORES
    if at_once == 1 or len(starts) < 2:
        yield from map(work, starts)
        return
    with ThreadPoolExecutor(at_once) as pool:
        running: deque[Future[_Made]] = deque()
        for start in starts:
            running.append(pool.submit(work, start))
            if len(running) > at_once:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _near(blend: Blend) -> sp.csr_matrix[np.int32]:
    """Products × products: 1 where the column is among the row's stored neighbours."""
    member = blend.models["item_cf"]
    assert isinstance(member, ItemCf)
    return sp.csr_matrix(member.similarity.astype(np.bool_).astype(np.int32))
