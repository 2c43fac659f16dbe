"""Each product as a weighted sum of its neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys_assets.logic.compiled import compiled
from recsys_assets.models.base import Arrays, Floats, Interactions, Matrix, names, tastes
from recsys_assets.models.multiply import Integers, best_of, by_rows, damped, dense, scaled, square


class Linear:
    """Neighbourhood SLIM: per product, the ridge regression of who took it on who took its nearest products.

    SLIM (Ning and Karypis 2011) and EASE (Steck 2019) regress on the whole catalogue; the ``neighbours`` nearest by
    cosine carry nearly all of it, and the work then grows with products × neighbours³, whatever the catalogue. Unlike
    a count of common buyers, a regression does not credit two products twice for the same people; weights may be
    below 0.

    Args:
        purchase_weight: a purchase's, as in ``signal``.
        neighbours: products that each product is regressed on.
        ridge: penalty on weights, the same for all: scaled by the neighbour's buyers to ±.25 it finds 2 % less on
            Gowalla's validation slice, and so do people divided by a power of what they took.
        person_exponent: a person's row is divided by how many products they took to this power.
        popularity_exponent: a product's weights are divided by its buyers to this power.
        threads: 0 = all cores; never changes a result.
    """

    name = "linear"

    def __init__(
        self,
        *,
        purchase_weight: float = 5.0,
        neighbours: int = 100,
        ridge: float = 25.0,
        person_exponent: float = 0.0,
        popularity_exponent: float = 0.0,
        threads: int = 0,
    ) -> None:
        self.purchase_weight = purchase_weight
        self.neighbours = neighbours
        self.ridge = ridge
        self.person_exponent = person_exponent
        self.popularity_exponent = popularity_exponent
        self._threads = threads

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {
            "purchase_weight": self.purchase_weight,
            "neighbours": self.neighbours,
            "ridge": self.ridge,
            "person_exponent": self.person_exponent,
            "popularity_exponent": self.popularity_exponent,
        }

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``."""
        self.product_ids = train.product_ids
        given = tastes(train, self.purchase_weight)
        products = given.shape[1]
        buyers = np.bincount(given.indices, minlength=products)
        rows = scaled(given, damped(np.diff(given.indptr), self.person_exponent), np.ones(products))
        near = scaled(rows, np.ones(given.shape[0]), damped(buyers, 0.5))
        nearest = best_of(sp.csr_matrix(near.T), near, self.neighbours, others=True, threads=self._threads)
        by_product = sp.csr_matrix(rows.T)
        by_product.sort_indices()
        penalties = np.full(products, self.ridge)

        def work(first: int, last: int) -> Floats:
            return regressions(
                by_product.indptr, by_product.indices, by_product.data, nearest.indptr, nearest.indices,
                penalties, given.shape[0], first, last,
            )  # fmt: skip

        weights = np.concatenate([np.zeros(0, dtype=np.float32), *by_rows(work, products, self._threads)])
        weights *= np.repeat(damped(buyers, self.popularity_exponent), np.diff(nearest.indptr)).astype(np.float32)
        made = sp.csr_matrix((weights, nearest.indices, nearest.indptr), shape=(products, products))
        self.weights: Matrix = sp.csr_matrix(made.T)
        self.weights.eliminate_zeros()
        self.weights.sort_indices()

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        return dense(tastes(history, self.purchase_weight), self.weights, threads=self._threads)

    def arrays(self) -> Arrays:
        """Item-side arrays."""
        return {
            "product_ids": self.product_ids,
            "data": self.weights.data,
            "indices": self.weights.indices,
            "indptr": self.weights.indptr,
        }

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``."""
        self.product_ids = names(arrays)
        self.weights = square(arrays, len(self.product_ids))


@compiled
def regressions(  # noqa: PLR0912 - passes over one neighbourhood, which share ten arrays
    starts: Integers, people: Integers, values: Floats, near_starts: Integers, near: Integers,
    penalties: npt.NDArray[np.float64], count: int, first: int, last: int,
) -> Floats:  # fmt: skip
    """Weights of the neighbours of the products from ``first`` to ``last``, one after the other.

    (``user_linear`` hands in the matrix on its side: then people stand where products do here.)

    The products of columns are summed person by person over what a person took of the neighbourhood: that is far less
    work than comparing columns two by two, and no products × products matrix is ever made.
    """
    made = np.zeros(near_starts[last] - near_starts[first], dtype=np.float32)
    slot = np.full(count, -1, dtype=np.int32)
    for product in range(first, last):
        begin, end = near_starts[product], near_starts[product + 1]
        size = end - begin
        if size == 0:
            continue
        # The neighbours, and the product itself in the last place.
        members = np.empty(size + 1, dtype=np.int32)
        members[:size] = near[begin:end]
        members[size] = product
        entries = 0
        for member in members:
            entries += starts[member + 1] - starts[member]
        met = np.empty(entries, dtype=np.int32)
        bounds = np.zeros(entries + 1, dtype=np.int32)
        reached = 0
        for member in members:
            for entry in range(starts[member], starts[member + 1]):
                person = people[entry]
                if slot[person] < 0:
                    slot[person] = reached
                    met[reached] = person
                    reached += 1
                bounds[slot[person] + 1] += 1
        for place in range(reached):
            bounds[place + 1] += bounds[place]
        filled = bounds[:reached].copy()
        places = np.empty(entries, dtype=np.int32)
        taken = np.empty(entries, dtype=np.float64)
        for place in range(size + 1):
            member = members[place]
            for entry in range(starts[member], starts[member + 1]):
                at = slot[people[entry]]
                places[filled[at]] = place
                taken[filled[at]] = values[entry]
                filled[at] += 1
        common = np.zeros((size + 1, size + 1), dtype=np.float64)
        for at in range(reached):
            for one in range(bounds[at], bounds[at + 1]):
                row = common[places[one]]
                for other in range(bounds[at], one + 1):
                    row[places[other]] += taken[one] * taken[other]
            slot[met[at]] = -1
        for place in range(size):
            common[place, place] += penalties[members[place]]
        made[begin - near_starts[first] : end - near_starts[first]] = _solved(common)
    return made


@compiled
def _solved(common: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """``a⁻¹ b`` of the lower triangle ``[[a, ·], [bᵀ, ·]]``: Cholesky, row by row of the upper factor.

    Eight earlier rows at a time are taken off a row, which keeps the processor's vectors full: 100 unknowns take a
    quarter of the time of the textbook loop (72 against 310 µs), and as long as LAPACK, which may share the work among
    threads and so round otherwise.
    """
    size = len(common) - 1
    width = size + 1
    upper = np.zeros((size, width), dtype=np.float64)
    for row in range(width):
        for column in range(min(row + 1, size)):
            upper[column, row] = common[row, column]
    line = np.empty(width, dtype=np.float64)
    for pivot in range(size):
        line[:] = upper[pivot]
        row = 0
        while row + 8 <= pivot:
            a, b, c, d = upper[row, pivot], upper[row + 1, pivot], upper[row + 2, pivot], upper[row + 3, pivot]
            e, f, g, h = upper[row + 4, pivot], upper[row + 5, pivot], upper[row + 6, pivot], upper[row + 7, pivot]
            for column in range(pivot, width):
                line[column] -= (
                    (a * upper[row, column] + b * upper[row + 1, column])
                    + (c * upper[row + 2, column] + d * upper[row + 3, column])
                ) + (
                    (e * upper[row + 4, column] + f * upper[row + 5, column])
                    + (g * upper[row + 6, column] + h * upper[row + 7, column])
                )
            row += 8
        while row < pivot:
            a = upper[row, pivot]
            for column in range(pivot, width):
                line[column] -= a * upper[row, column]
            row += 1
        inverse = 1.0 / np.sqrt(line[pivot])
        for column in range(pivot, width):
            upper[pivot, column] = line[column] * inverse
    # The last column is now U⁻ᵀ b, and what is left is a triangle.
    made = upper[:, size].copy()
    for row in range(size - 1, -1, -1):
        made[row] /= upper[row, row]
        for above in range(row):
            made[above] -= upper[above, row] * made[row]
    return made
