"""What people of the same taste took."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recsys_assets.models.base import Arrays, Floats, Interactions, Matrix, names, tastes
from recsys_assets.models.multiply import best_of, damped, dense, scaled


class UserKnn:
    """User-user neighbours (Herlocker et al. 1999): Σ likeness × taste over the people most like a person.

    Two people are alike by the products that both took, each divided by its buyers to ``product_exponent``, and less so
    if the other one took many. Of the people nothing is kept but how many bought each product (promise 4): ``meet``
    hands them over. A person who is among them is their own best neighbour, which counts for nothing once lists leave
    out what was bought.

    Args:
        purchase_weight: a purchase's, as in ``signal``.
        neighbours: people asked per person.
        product_exponent: how much less a popular product in common says.
        person_exponent: the other's likeness is divided by how many products they took to this power.
        popularity_exponent: what is put forward is divided by its buyers to this power.
        threads: 0 = all cores; never changes a result.
    """

    name = "user_knn"

    def __init__(
        self,
        *,
        purchase_weight: float = 5.0,
        neighbours: int = 300,
        product_exponent: float = 0.5,
        person_exponent: float = 0.5,
        popularity_exponent: float = 0.3,
        threads: int = 0,
    ) -> None:
        self.purchase_weight = purchase_weight
        self.neighbours = neighbours
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
        there = damped(np.diff(given.indptr), self.person_exponent)
        alike = scaled(given, there, damped(self.buyers, self.product_exponent))
        self._by_product = sp.csr_matrix(alike.T)
        self._taken = scaled(given, np.ones(given.shape[0]), damped(self.buyers, self.popularity_exponent))

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        assert self._by_product is not None, "user_knn keeps no people: meet() hands them over before it scores"
        given = tastes(history, self.purchase_weight)
        alike = best_of(given, self._by_product, self.neighbours, threads=self._threads)
        return dense(alike, self._taken, threads=self._threads)

    def arrays(self) -> Arrays:
        """Item-side arrays."""
        return {"product_ids": self.product_ids, "buyers": self.buyers}

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``; ``meet`` comes next."""
        self.product_ids = names(arrays)
        self.buyers = arrays["buyers"].astype(np.int32)
        self._by_product = None
