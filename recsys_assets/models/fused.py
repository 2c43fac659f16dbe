"""What the members of a blend say of a block of people: scaled, summed and cut to the best in one pass each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys_assets.logic.compiled import compiled
from recsys_assets.models.base import Floats, Interactions, Matrix, Recommender, Sparsely
from recsys_assets.models.top import Picks, Places, best_columns
from recsys_assets.tables import MICROS

Scale = Literal["best", "rms"]
Mask = npt.NDArray[np.bool_]

_LEAST = 1 / MICROS**2
_MICROS = np.float32(MICROS)


@dataclass(frozen=True)
class Said:
    """Each member's scores for a block of people, unscaled: people × products, dense or, where most are 0, sparse.

    ``divisors`` is members × people: what a member's scores of a person are divided by. All sums are made in the
    order of ``names`` and rounded to 6 decimals, so they are the same bits as those of whole matrices.
    """

    names: tuple[str, ...]
    parts: tuple[Floats | Matrix, ...]
    divisors: Floats

    @classmethod
    def by(cls, models: dict[str, Recommender], history: Interactions, scale: Scale) -> Said:
        """What ``models`` say of the people of ``history``."""
        parts = tuple(
            model.sparse_scores(history) if isinstance(model, Sparsely) else model.scores(history)
            for model in models.values()
        )
        divisors = np.stack([_divisors(part, scale) for part in parts])
        return cls(tuple(models), parts, divisors)

    @property
    def shape(self) -> tuple[int, int]:
        """People and products."""
        people, products = self.parts[0].shape
        return int(people), int(products)

    def combined(self, weights: Floats) -> Floats:
        """Σ weight × member, people × products, rounded to 6 decimals.

        Args:
            weights: people × members, in the order of ``names``.
        """
        total = np.zeros(self.shape, dtype=np.float32)
        for place, part in enumerate(self.parts):
            own = np.ascontiguousarray(weights[:, place])
            if not own.any():
                continue
            if isinstance(part, np.ndarray):
                _add(total, part, self.divisors[place], own)
            else:
                _add_sparse(total, part.data, part.indices, part.indptr, self.divisors[place], own)
        _round(total)
        return total

    def at(self, rows: Places, columns: Places) -> dict[str, Floats]:
        """Each member's scaled scores of some entries, which are ordered by row."""
        made = {}
        starts = np.searchsorted(rows, np.arange(self.shape[0] + 1))
        for name, part, divisors in zip(self.names, self.parts, self.divisors, strict=True):
            if isinstance(part, np.ndarray):
                made[name] = _picked(part, rows, columns, divisors)
            else:
                made[name] = _picked_sparse(
                    part.data, part.indices, part.indptr, part.shape[1], starts, columns, divisors
                )
        return made

    def dense(self, place: int) -> Floats:
        """One member's scaled scores, people × products."""
        weights = np.zeros((self.shape[0], len(self.names)), dtype=np.float32)
        weights[:, place] = 1
        return self.combined(weights)


def _divisors(part: Floats | Matrix, scale: Scale) -> Floats:
    """Each person's best score, or root mean square; 1 where nothing is above 0."""
    if scale == "rms":
        if isinstance(part, np.ndarray):
            squares = np.einsum("pi,pi->p", part, part, dtype=np.float64)
        else:
            squares = np.asarray(part.astype(np.float64).power(2).sum(axis=1)).ravel()
        made = np.sqrt(squares / max(part.shape[1], 1)).astype(np.float32)
    elif isinstance(part, np.ndarray):
        made = part.max(axis=1, initial=0.0)
    else:
        made = _best_sparse(part.data, part.indptr)
    return np.where(made > _LEAST, made, np.float32(1)).astype(np.float32)


@compiled
def _best_sparse(data: Floats, indptr: npt.NDArray[np.int32]) -> Floats:
    best = np.zeros(len(indptr) - 1, dtype=np.float32)
    for row in range(len(best)):
        for place in range(indptr[row], indptr[row + 1]):
            best[row] = max(best[row], data[place])
    return best


@compiled
def _add(total: Floats, scores: Floats, divisors: Floats, weights: Floats) -> None:
    """``total`` gains weight × score ÷ divisor, the quotient rounded to 6 decimals as numpy rounds it."""
    for row in range(len(total)):
        weight, divisor = weights[row], divisors[row]
        if weight == 0:
            continue
        for column in range(total.shape[1]):
            total[row, column] += weight * (np.rint(scores[row, column] / divisor * _MICROS) / _MICROS)


@compiled
def _add_sparse(
    total: Floats,
    data: Floats,
    indices: npt.NDArray[np.int32],
    indptr: npt.NDArray[np.int32],
    divisors: Floats,
    weights: Floats,
) -> None:
    for row in range(len(total)):
        weight, divisor = weights[row], divisors[row]
        if weight == 0:
            continue
        for place in range(indptr[row], indptr[row + 1]):
            total[row, indices[place]] += weight * (np.rint(data[place] / divisor * _MICROS) / _MICROS)


@compiled
def _round(total: Floats) -> None:
    for row in range(len(total)):
        for column in range(total.shape[1]):
            total[row, column] = np.rint(total[row, column] * _MICROS) / _MICROS


@compiled
def _picked(scores: Floats, rows: Places, columns: Places, divisors: Floats) -> Floats:
    made = np.empty(len(rows), dtype=np.float32)
    for place in range(len(rows)):
        row = rows[place]
        made[place] = np.rint(scores[row, columns[place]] / divisors[row] * _MICROS) / _MICROS
    return made


@compiled
def _picked_sparse(
    data: Floats,
    indices: npt.NDArray[np.int32],
    indptr: npt.NDArray[np.int32],
    products: int,
    starts: Places,
    columns: Places,
    divisors: Floats,
) -> Floats:
    made = np.zeros(len(columns), dtype=np.float32)
    line = np.zeros(products, dtype=np.float32)
    for row in range(len(starts) - 1):
        for place in range(indptr[row], indptr[row + 1]):
            line[indices[place]] = data[place]
        for entry in range(starts[row], starts[row + 1]):
            made[entry] = np.rint(line[columns[entry]] / divisors[row] * _MICROS) / _MICROS
        for place in range(indptr[row], indptr[row + 1]):
            line[indices[place]] = 0
    return made


def separated(scores: Floats, listable: Mask, history: Interactions, k: int) -> tuple[Picks, Picks]:
    """The ``k`` best new products of each person, and all scored ones bought before; ``scores`` is overwritten.

    Args:
        scores: people × products; only those above 0 are picked.
        listable: per product, whether it may be listed.
        history: of the same people.
        k: new products per person.
    """
    _mask(scores, np.flatnonzero(~listable))
    owned = sp.csr_matrix(history.purchases)
    lengths = np.diff(owned.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    columns = owned.indices.astype(np.int64)
    bought = scores[rows, columns]
    scores[rows, columns] = 0
    said = bought > 0
    new_rows, new_columns, new_scores = best_columns(scores, k)
    return Picks(new_rows, new_columns, new_scores), Picks.ordered(rows[said], columns[said], bought[said])


@compiled
def _mask(scores: Floats, columns: Places) -> None:
    for row in range(len(scores)):
        for column in columns:
            scores[row, column] = 0


def counted(near: sp.csr_matrix[np.int32], history: Interactions, rows: Places, columns: Places) -> Places:
    """How many of the person's bought products have the product among their neighbours, per entry, ordered by row."""
    owned = sp.csr_matrix(history.purchases)
    starts = np.searchsorted(rows, np.arange(len(history.person_keys) + 1))
    made: Places = _counted(owned.indices, owned.indptr, near.indices, near.indptr, near.shape[1], starts, columns)
    return made


@compiled
def _counted(
    owned: npt.NDArray[np.int32],
    indptr: npt.NDArray[np.int32],
    neighbours: npt.NDArray[np.int32],
    neighbours_indptr: npt.NDArray[np.int32],
    products: int,
    starts: Places,
    columns: Places,
) -> Places:
    made = np.zeros(len(columns), dtype=np.int64)
    times = np.zeros(products, dtype=np.int64)
    for row in range(len(starts) - 1):
        if starts[row] == starts[row + 1]:
            continue
        for own in owned[indptr[row] : indptr[row + 1]]:
            for neighbour in neighbours[neighbours_indptr[own] : neighbours_indptr[own + 1]]:
                times[neighbour] += 1
        for entry in range(starts[row], starts[row + 1]):
            made[entry] = times[columns[entry]]
        for own in owned[indptr[row] : indptr[row + 1]]:
            for neighbour in neighbours[neighbours_indptr[own] : neighbours_indptr[own + 1]]:
                times[neighbour] = 0
    return made


def values_at(matrix: sp.csr_matrix[Any], rows: Places, columns: Places) -> Floats:
    """A matrix's value of each entry; 0 where it stores none. scipy makes a matrix of no entries at all."""
    if not len(rows):
        return np.zeros(0, dtype=np.float32)
    return np.asarray(matrix[rows, columns], dtype=np.float32).ravel()
