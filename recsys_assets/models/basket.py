"""What a person takes time and again, and what people like them do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys_assets.models.base import Arrays, Floats, Interactions, Matrix, Steps, names
from recsys_assets.models.multiply import best_of, damped, dense, scaled
from recsys_assets.tables import MICROS


class Basket:
    """TIFU-KNN: a person's decayed counts of each product, mixed with the mean of those of the people nearest to them.

    An entry of age t counts ``within_decay`` ** (t modulo ``group``) · ``between_decay`` ** (t div ``group``): what is
    old fades slowly inside of a group of days (of baskets, where ages are those) and by a step from group to group.
    People are near by the cosine of these counts, each divided by the product's people to ``popularity_exponent``:
    milk says little about whom one is like (Hu, He, Gao and Zhang 2020, "Modeling personalized item frequency
    information for next-basket recommendation"). The mean is weighted by nearness.

    The published model takes the nearest by distance, which finds people with as few purchases rather than the same
    ones, and a plain mean. On each user's last known basket of Ta-Feng the neighbours alone reach a recall@10 of .121
    with ``popularity_exponent`` .25, .113 with 0, .119 with .4 and .115 with .5.

    Ages are days by default. On a month of a grocer's purchases (500 of 2,417 people, half a year before it) NDCG@10 is
    .417 with these defaults, .409 with ``own`` .95, .351 with .2, .402 without any decay; neighbours from 100 to 600
    and exponents from .1 to .4 change it by .003 at most.

    A person is not asked about themselves: of the people whose counts equal theirs one is left out. Which one does not
    matter, and a model that keeps no people cannot tell anyway.

    Args:
        own: share of the person's own counts; the rest is the neighbours'.
        group: days, or baskets, whose entries fade together.
        within_decay: per day inside of a group.
        between_decay: per group.
        neighbours: people asked.
        popularity_exponent: 0 lets everybody's products decide who is near.
        known_by: people who can be found by one product, those who took it most; bounds the work of a large shop.
        threads: 0 = all cores; never changes a result.
    """

    name = "basket"

    def __init__(
        self,
        *,
        own: float = 0.5,
        group: float = 28.0,
        within_decay: float = 0.99,
        between_decay: float = 0.8,
        neighbours: int = 300,
        popularity_exponent: float = 0.25,
        known_by: int = 5000,
        threads: int = 0,
    ) -> None:
        self.own = own
        self.group = group
        self.within_decay = within_decay
        self.between_decay = between_decay
        self.neighbours = neighbours
        self.popularity_exponent = popularity_exponent
        self.known_by = known_by
        self._threads = threads
        self._asked: Matrix | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {
            "own": self.own,
            "group": self.group,
            "within_decay": self.within_decay,
            "between_decay": self.between_decay,
            "neighbours": self.neighbours,
            "popularity_exponent": self.popularity_exponent,
            "known_by": self.known_by,
        }

    def fit(self, train: Interactions) -> None:
        """Count the people of each product, and meet the people of ``train``."""
        self.product_ids = train.product_ids
        counts = self._counts(train.steps)
        self._people = np.bincount(counts.indices, minlength=len(train.product_ids)).astype(np.int64)
        self._meet(counts)

    def meet(self, people: Interactions) -> None:
        """Ask ``people`` from now on."""
        self._meet(self._counts(people.steps))

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        counts = self._counts(history.steps)
        made: Floats = dense(self._near(counts), self._met, threads=self._threads)
        made *= np.float32(1 - self.own)
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        made[rows, counts.indices] += np.float32(self.own) * counts.data
        return made

    def arrays(self) -> Arrays:
        """How many people took each product: item-side; whose counts they are stays with the people."""
        return {"product_ids": self.product_ids, "people": self._people}

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``; ``meet`` comes next."""
        self.product_ids = names(arrays)
        self._people = arrays["people"].astype(np.int64)
        self._asked = None

    def _counts(self, steps: Steps) -> Matrix:
        """People × products: the decayed counts, in whole micros, so that no sum depends on the order of entries."""
        groups, places = np.divmod(np.maximum(steps.ages.astype(np.float64), 0.0), self.group)
        weights = self.within_decay**places * self.between_decay**groups
        micros = np.rint(weights * MICROS).astype(np.int64)
        shape = (len(steps.indptr) - 1, len(self.product_ids))
        summed = sp.csr_matrix((micros, (steps.rows, steps.columns)), shape=shape)
        summed.sum_duplicates()
        made: Matrix = summed.astype(np.float32)
        made.data = (summed.data / MICROS).astype(np.float32)
        made.eliminate_zeros()
        return made

    def _meet(self, counts: Matrix) -> None:
        self._met = counts
        self._met_prints = self._prints(counts)
        self._asked = strongest(sp.csr_matrix(self._directions(counts).T), self.known_by)

    def _directions(self, counts: Matrix) -> Matrix:
        """``counts`` by the rarity of products, rows of length 1."""
        rare = scaled(counts, np.ones(counts.shape[0]), damped(self._people, self.popularity_exponent))
        lengths = np.sqrt(np.asarray(rare.astype(np.float64).power(2).sum(axis=1)).ravel())
        return scaled(rare, 1 / np.where(lengths > 0, lengths, 1.0), np.ones(counts.shape[1]))

    def _near(self, counts: Matrix) -> Matrix:
        """People × people met: nearness to the nearest, less one who is the person, or as good as; rows sum to 1."""
        assert self._asked is not None, "basket keeps no people: meet() hands them over before it scores"
        near = best_of(self._directions(counts), self._asked, self.neighbours + 1, threads=self._threads)
        rows = np.repeat(np.arange(near.shape[0]), np.diff(near.indptr))
        twins = np.flatnonzero(self._prints(counts)[rows] == self._met_prints[near.indices])
        near.data[twins[np.unique(rows[twins], return_index=True)[1]]] = 0.0
        sums = np.asarray(near.astype(np.float64).sum(axis=1)).ravel()
        return scaled(near, 1 / np.where(sums > 0, sums, 1.0), np.ones(near.shape[1]))

    def _prints(self, counts: Matrix) -> npt.NDArray[np.float64]:
        """A number per person that people with equal counts share, and hardly anybody else."""
        drawn = np.random.default_rng(0).random(counts.shape[1])
        return np.asarray(counts.astype(np.float64) @ drawn)


def strongest(matrix: Matrix, most: int) -> Matrix:
    """``matrix`` with the ``most`` largest entries of each row, ties by column."""
    lengths = np.diff(matrix.indptr)
    if lengths.max(initial=0) <= most:
        return matrix
    rows = np.repeat(np.arange(matrix.shape[0]), lengths)
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order)) - np.repeat(matrix.indptr[:-1], lengths)
    kept = matrix.copy()
    kept.data[ranks >= most] = 0.0
    kept.eliminate_zeros()
    return kept
