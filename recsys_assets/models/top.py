"""The best products of each person, in one order for everybody: score, then product id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    people, products = scores.shape
    if products == 0 or k < 1:
        none = np.zeros(0, dtype=np.int64)
        return Picks(none, none, np.zeros(0, dtype=np.float32))
    # The k-th best of the best of disjoint groups of columns is at most the k-th best of all: a bound that costs a
    # fifth of a partition of whole rows (on 65,000 products).
    groups = min(products, 8 * k)
    width = products // groups
    best = scores[:, : groups * width].reshape(people, width, groups).max(axis=1)
    kth = max(groups - k, 0)
    bound = np.partition(best, kth, axis=1)[:, kth]
    # All ties of the bound are taken and cut by id afterwards: a partition alone breaks ties by chance.
    rows, columns = np.nonzero(scores >= np.maximum(bound, np.finfo(np.float32).tiny)[:, None])
    return Picks.ordered(rows, columns, scores[rows, columns]).first(k)


def block_size(products: int) -> int:
    """People scored at once: 32 MB per dense matrix, and a function of the catalogue only, never of the machine.

    >>> block_size(65_000), block_size(100_000_000)
    (129, 1)
    """
    return max(1, 2**23 // max(products, 1))
