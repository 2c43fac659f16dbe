"""The best products of each person, in one order for everybody: score, then product id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys_assets.logic.compiled import compiled
from recsys_assets.models.base import Floats

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Picks:
    """Products picked for people of a block: one entry per person and product, by person, best first.

    ``rows`` is the person's row in the block, ``columns`` the product's column.
    """

    rows: Places
    columns: Places
    scores: Floats

    @classmethod
    def ordered(cls, rows: Places, columns: Places, scores: Floats) -> Picks:
        """By row; within it the highest score first, ties by column (so by product id)."""
        order = np.lexsort((columns, -scores, rows))
        return cls(rows[order], columns[order], scores[order])

    def first(self, k: int) -> Picks:
        """At most ``k`` per person."""
        return self.where(self.ranks() < k)

    def ranks(self) -> Places:
        """Each entry's place in its person's list, from 0."""
        return np.arange(len(self.rows)) - np.searchsorted(self.rows, self.rows, side="left")

    def where(self, mask: npt.NDArray[np.bool_]) -> Picks:
        """The entries of ``mask``, in the same order."""
        return Picks(self.rows[mask], self.columns[mask], self.scores[mask])

    def and_also(self, other: Picks) -> Picks:
        """Both, in order; they share no entry."""
        return Picks.ordered(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.columns, other.columns]),
            np.concatenate([self.scores, other.scores]),
        )


def top(scores: Floats, k: int) -> Picks:
    """At most ``k`` products per row of ``scores``; only scores above 0 are picked.

    0 is how a model says that it knows nothing (and how callers mask): filling up with such products would list the
    first ids of the catalogue for everybody.
    """
    if scores.shape[1] == 0 or k < 1:
        none = np.zeros(0, dtype=np.int64)
        return Picks(none, none, np.zeros(0, dtype=np.float32))
    return Picks(*best_columns(scores, k))


def best_columns(scores: Floats, k: int) -> tuple[Places, Places, Floats]:
    """Rows, columns and scores of `top`: by row, best first, ties by column."""
    columns, found = _best_columns(scores, min(k, scores.shape[1]))
    rows = np.repeat(np.arange(len(found)), found)
    kept = columns[np.arange(columns.shape[1]) < found[:, None]]
    return rows, kept, scores[rows, kept]


@compiled
def _best_columns(scores: Floats, k: int) -> tuple[Places, Places]:
    """People × k columns, best first, and how many of them there are.

    A row keeps what is above the k-th best of the 2k seen last and sorts those: one look at most products, 64 of them
    at a time. On 40,000 products that takes a tenth of a partition of the whole row, and ties are cut by column, not
    by chance.
    """
    people, products = scores.shape
    made = np.zeros((people, k), dtype=np.int64)
    found = np.zeros(people, dtype=np.int64)
    room = 2 * k + 64
    kept = np.empty(room, dtype=np.float32)
    places = np.empty(room, dtype=np.int64)
    for row in range(people):
        line = scores[row]
        size = 0
        bound = np.float32(0)
        for start in range(0, products, 64):
            stop = min(start + 64, products)
            above = 0
            for column in range(start, stop):
                above += line[column] > bound
            if not above:
                continue
            for column in range(start, stop):
                if line[column] > bound:
                    kept[size] = line[column]
                    places[size] = column
                    size += 1
            if size > 2 * k:
                size = _cut(kept, places, size, k)
                bound = kept[:size].min()
        size = _cut(kept, places, size, k)
        order = np.argsort(-kept[:size], kind="mergesort")  # stable: ties by column
        found[row] = size
        for place in range(size):
            made[row, place] = places[order[place]]
    return made, found


@compiled
def _cut(kept: Floats, places: Places, size: int, k: int) -> int:
    """The k best of ``size`` entries, in place and in their order; of ties with the k-th the first ones, so the lower
    columns. What comes later and ties is out, too: it has a higher column.
    """
    if size <= k:
        return size
    bound = np.partition(kept[:size], size - k)[size - k]
    ties = k
    for place in range(size):
        ties -= kept[place] > bound
    filled = 0
    for place in range(size):
        if kept[place] > bound or (kept[place] == bound and ties > 0):
            ties -= kept[place] == bound
            kept[filled], places[filled] = kept[place], places[place]
            filled += 1
    return filled


def block_size(products: int) -> int:
    """People scored at once: 8 MB per dense matrix, and a function of the catalogue only, never of the machine.

    Memory of 32 MB is taken from the system anew each time and cleared by it, which took a quarter of Level 1.

    >>> block_size(65_000), block_size(100_000_000)
    (32, 1)
    """
    return max(1, 2**21 // max(products, 1))
