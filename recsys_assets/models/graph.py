"""Products that a short walk from a person's own reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recsys_assets.models.base import Arrays, Floats, Interactions, Matrix, names, tastes
from recsys_assets.models.multiply import best_of, damped, dense, scaled, square


class Graph:
    """A walk from product to person to product, each step divided by a power of how many ways lead on.

    RP3β (Paudel et al. 2017) and the linear part of GF-CF (Shen et al. 2021) are members of this family; the three
    exponents are its strongest knobs and depend on the shop. Each product keeps its ``neighbours`` best.

    Args:
        purchase_weight: a purchase's, as in ``signal``.
        neighbours: kept per product; what is far still adds up (on Gowalla's validation slice 1,000 neighbours find
            9 % more than 100), and costs memory.
        seed_exponent: what a person took is divided by its buyers to this power.
        person_exponent: people on the way are divided by how many products they took to this power.
        popularity_exponent: what is put forward is divided by its buyers to this power.
        threads: 0 = all cores; never changes a result.
    """

    name = "graph"

    def __init__(
        self,
        *,
        purchase_weight: float = 5.0,
        neighbours: int = 200,
        seed_exponent: float = 0.6,
        person_exponent: float = 0.6,
        popularity_exponent: float = 0.3,
        threads: int = 0,
    ) -> None:
        self.purchase_weight = purchase_weight
        self.neighbours = neighbours
        self.seed_exponent = seed_exponent
        self.person_exponent = person_exponent
        self.popularity_exponent = popularity_exponent
        self._threads = threads

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {
            "purchase_weight": self.purchase_weight,
            "neighbours": self.neighbours,
            "seed_exponent": self.seed_exponent,
            "person_exponent": self.person_exponent,
            "popularity_exponent": self.popularity_exponent,
        }

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``."""
        self.product_ids = train.product_ids
        given = tastes(train, self.purchase_weight)
        people, products = given.shape
        taken = np.diff(given.indptr)
        buyers = np.bincount(given.indices, minlength=products)
        there = scaled(given, damped(taken, self.person_exponent), damped(buyers, self.seed_exponent))
        back = scaled(given, np.ones(people), damped(buyers, self.popularity_exponent))
        self.walks: Matrix = best_of(sp.csr_matrix(there.T), back, self.neighbours, others=True, threads=self._threads)

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        return dense(tastes(history, self.purchase_weight), self.walks, threads=self._threads)

    def arrays(self) -> Arrays:
        """Item-side arrays."""
        return {
            "product_ids": self.product_ids,
            "data": self.walks.data,
            "indices": self.walks.indices,
            "indptr": self.walks.indptr,
        }

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``."""
        self.product_ids = names(arrays)
        self.walks = square(arrays, len(self.product_ids))
