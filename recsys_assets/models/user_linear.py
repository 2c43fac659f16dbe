"""Each person as a weighted sum of people like them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recsys_assets.logic.compiled import compiled
from recsys_assets.models.base import Arrays, Floats, Interactions, Matrix, names, tastes
from recsys_assets.models.linear import regressions
from recsys_assets.models.multiply import Integers, best_of, by_rows, damped, dense, scaled


class UserLinear:
    """Per person, the ridge regression of what they took on what their nearest people took: SLIM on its side.

    What ``linear`` is to ``item_cf``, this is to ``user_knn``: people who say the same are not counted twice. Of the
    people nothing is kept but how many bought each product (promise 4): ``meet`` hands them over. People whose history
    is the very same (the person among them) are not asked: they would explain it all and add nothing.

    Args:
        purchase_weight: a purchase's, as in ``signal``.
        neighbours: people that each person is regressed on.
        ridge: penalty on weights.
        product_exponent: how much less a popular product in common says.
        person_exponent: nearness is divided by how many products the other took to this power.
        popularity_exponent: what is put forward is divided by its buyers to this power.
        threads: 0 = all cores; never changes a result.
    """

    name = "user_linear"

    def __init__(
        self,
        *,
        purchase_weight: float = 5.0,
        neighbours: int = 100,
        ridge: float = 5.0,
        product_exponent: float = 0.25,
        person_exponent: float = 0.5,
        popularity_exponent: float = 0.15,
        threads: int = 0,
    ) -> None:
        self.purchase_weight = purchase_weight
        self.neighbours = neighbours
        self.ridge = ridge
        self.product_exponent = product_exponent
        self.person_exponent = person_exponent
        self.popularity_exponent = popularity_exponent
        self._threads = threads
        self._by_product: Matrix | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {
            "purchase_weight": self.purchase_weight,
            "neighbours": self.neighbours,
            "ridge": self.ridge,
            "product_exponent": self.product_exponent,
            "person_exponent": self.person_exponent,
            "popularity_exponent": self.popularity_exponent,
        }

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``."""
        self.product_ids = train.product_ids
        given = tastes(train, self.purchase_weight)
        self.buyers = np.bincount(given.indices, minlength=given.shape[1]).astype(np.int32)
        self.meet(train)

    def meet(self, people: Interactions) -> None:
        """Hand over the people to ask, with the columns of the training."""
        given = tastes(people, self.purchase_weight)
        self._people = self._weighed(given)
        near = scaled(self._people, damped(np.diff(given.indptr), self.person_exponent), np.ones(given.shape[1]))
        self._by_product = sp.csr_matrix(near.T)
        self._taken = scaled(given, np.ones(given.shape[0]), damped(self.buyers, self.popularity_exponent))

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        assert self._by_product is not None, "user_linear keeps no people: meet() hands them over before it scores"
        given = self._weighed(tastes(history, self.purchase_weight))
        people, asking = self._people.shape[0], given.shape[0]
        nearest = best_of(given, self._by_product, self.neighbours + 1, threads=self._threads)
        _forget_twins(
            nearest.indptr, nearest.indices, nearest.data, given.indptr, given.indices, given.data,
            self._people.indptr, self._people.indices, self._people.data,
        )  # fmt: skip
        nearest.eliminate_zeros()
        # Those who ask stand below the people, and regress on these.
        both = sp.csr_matrix(sp.vstack([self._people, given]))
        starts = np.concatenate([np.zeros(people, dtype=np.int64), nearest.indptr.astype(np.int64)])
        penalties = np.full(people, self.ridge)

        def work(first: int, last: int) -> Floats:
            return regressions(
                both.indptr, both.indices, both.data, starts, nearest.indices,
                penalties, both.shape[1], people + first, people + last,
            )  # fmt: skip

        parts = by_rows(work, asking, self._threads)
        weights = np.concatenate([np.zeros(0, dtype=np.float32), *parts])
        mixed = sp.csr_matrix((weights, nearest.indices, nearest.indptr), shape=(asking, people))
        return dense(mixed, self._taken, threads=self._threads)

    def arrays(self) -> Arrays:
        """Item-side arrays."""
        return {"product_ids": self.product_ids, "buyers": self.buyers}

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``; ``meet`` comes next."""
        self.product_ids = names(arrays)
        self.buyers = arrays["buyers"].astype(np.int32)
        self._by_product = None

    def _weighed(self, given: Matrix) -> Matrix:
        made = scaled(given, np.ones(given.shape[0]), damped(self.buyers, self.product_exponent))
        made.sort_indices()
        return made


@compiled
def _forget_twins(
    starts: Integers, near: Integers, likeness: Floats,
    own_starts: Integers, own_columns: Integers, own_values: Floats,
    their_starts: Integers, their_columns: Integers, their_values: Floats,
) -> None:  # fmt: skip
    """Sets the likeness of those to 0 whose row is the very same."""
    for row in range(len(starts) - 1):
        begin, end = own_starts[row], own_starts[row + 1]
        for place in range(starts[row], starts[row + 1]):
            first = their_starts[near[place]]
            if their_starts[near[place] + 1] - first != end - begin:
                continue
            same = True
            for entry in range(end - begin):
                if (
                    own_columns[begin + entry] != their_columns[first + entry]
                    or own_values[begin + entry] != their_values[first + entry]
                ):
                    same = False
                    break
            if same:
                likeness[place] = 0.0
