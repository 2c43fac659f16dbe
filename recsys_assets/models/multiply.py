"""Products of sparse matrices that are too large to keep whole: cut to the best per row, or dense for a few people."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys_assets.logic.compiled import compiled
from recsys_assets.models.base import Arrays, Floats, Matrix

Integers = npt.NDArray[np.int32]
Made = TypeVar("Made")

_ROWS_AT_ONCE = 64


def by_rows(work: Callable[[int, int], Made], rows: int, threads: int, *, at_once: int = _ROWS_AT_ONCE) -> list[Made]:
    """What ``work(first, last)`` makes of each block of rows, in the order of rows.

    Rows are independent of one another, so that the number of threads never changes a result.

    Args:
        work: compiled, so that it holds no GIL.
        rows: how many there are.
        threads: 0 = as many as the executor thinks fit.
        at_once: rows of a block; a function of nothing that differs between machines.
    """
    blocks = [(first, min(first + at_once, rows)) for first in range(0, rows, at_once)]
    if threads == 1 or len(blocks) < 2:
        return [work(*block) for block in blocks]
    with ThreadPoolExecutor(threads or None) as pool:
        return list(pool.map(lambda block: work(*block), blocks))


def square(arrays: Arrays, size: int) -> Matrix:
    """Products × products from the arrays ``data``, ``indices`` and ``indptr``."""
    data = arrays["data"].astype(np.float32)
    indices, indptr = arrays["indices"].astype(np.int32), arrays["indptr"].astype(np.int32)
    return sp.csr_matrix((data, indices, indptr), shape=(size, size))


def scaled(matrix: Matrix, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Matrix:
    """``matrix`` with its rows and columns multiplied, float32."""
    made = matrix.copy()
    made.data *= (np.repeat(rows, np.diff(made.indptr)) * columns[made.indices]).astype(np.float32)
    return made


def damped(counts: npt.NDArray[np.generic], exponent: float) -> npt.NDArray[np.float64]:
    """1 ÷ count^exponent; a count below 1 is one.

    >>> damped(np.array([0, 1, 4]), 0.5).tolist()
    [1.0, 1.0, 0.5]
    """
    powers: npt.NDArray[np.float64] = np.maximum(counts, 1).astype(np.float64) ** -exponent
    return powers


def best_of(left: Matrix, right: Matrix, best: int, *, others: bool = False, threads: int = 0) -> Matrix:
    """``left @ right`` cut to the ``best`` largest entries of each row, ties by column; columns of a row ascend.

    All entries of both are above 0, and so are those of the product that are kept.

    Args:
        left: rows × inner.
        right: inner × columns.
        best: entries kept per row.
        others: the product is square and its diagonal is left out.
        threads: 0 = all cores; never changes a result.
    """
    rows, columns = left.shape[0], right.shape[1]

    def work(first: int, last: int) -> tuple[Integers, Integers, Floats]:
        return _best_of(
            left.indptr, left.indices, left.data, right.indptr, right.indices, right.data,
            columns, first, last, best, others,
        )  # fmt: skip

    # Nobody's row is a block too, so that there is something to concatenate.
    parts = by_rows(work, rows, threads) or [work(0, 0)]
    lengths, indices, data = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return sp.csr_matrix((data, indices, indptr), shape=(rows, columns))


@compiled
def _best_of(  # noqa: PLR0912 - one row: sum, cut, sort, clear
    left_starts: Integers, left_inner: Integers, left_values: Floats,
    right_starts: Integers, right_columns: Integers, right_values: Floats,
    columns: int, first: int, last: int, best: int, others: bool,
) -> tuple[Integers, Integers, Floats]:  # fmt: skip
    """Lengths of the rows from ``first`` to ``last``, and their columns and values."""
    sums = np.zeros(columns, dtype=np.float64)
    touched = np.empty(columns, dtype=np.int32)
    lengths = np.zeros(last - first, dtype=np.int32)
    room = 0
    for row in range(first, last):
        reach = 0
        for entry in range(left_starts[row], left_starts[row + 1]):
            inner = left_inner[entry]
            reach += right_starts[inner + 1] - right_starts[inner]
        room += min(best, reach)
    kept = np.empty(room, dtype=np.int32)
    values = np.empty(room, dtype=np.float32)
    filled = 0
    for row in range(first, last):
        count = 0
        for entry in range(left_starts[row], left_starts[row + 1]):
            inner, weight = left_inner[entry], left_values[entry]
            for other in range(right_starts[inner], right_starts[inner + 1]):
                column = right_columns[other]
                if sums[column] == 0.0:
                    touched[count] = column
                    count += 1
                sums[column] += weight * right_values[other]
        if others and sums[row] != 0.0:
            sums[row] = -1.0
        chosen = touched[:count]
        if count > best:
            floor = np.partition(sums[chosen], count - best)[count - best]
            above = 0
            for place in range(count):
                if sums[touched[place]] > floor:
                    above += 1
            tied = np.sort(chosen[sums[chosen] == floor])[: best - above]
            chosen = np.concatenate((chosen[sums[chosen] > floor], tied))
        chosen = np.sort(chosen)
        for column in chosen:
            if sums[column] > 0.0:
                kept[filled] = column
                values[filled] = sums[column]
                filled += 1
                lengths[row - first] += 1
        for place in range(count):
            sums[touched[place]] = 0.0
    return lengths, kept[:filled], values[:filled]


def dense(left: Matrix, right: Matrix, *, threads: int = 0) -> Floats:
    """``left @ right`` as a dense matrix, without the sparse one that scipy would make of it first."""
    made = np.zeros((left.shape[0], right.shape[1]), dtype=np.float32)

    def work(first: int, last: int) -> None:
        _add_to(
            made, left.indptr, left.indices, left.data, right.indptr, right.indices, right.data, first, last
        )  # fmt: skip

    by_rows(work, left.shape[0], threads)
    return made


@compiled
def _add_to(
    made: Floats, left_starts: Integers, left_inner: Integers, left_values: Floats,
    right_starts: Integers, right_columns: Integers, right_values: Floats, first: int, last: int,
) -> None:  # fmt: skip
    for row in range(first, last):
        line = made[row]
        for entry in range(left_starts[row], left_starts[row + 1]):
            inner, weight = left_inner[entry], left_values[entry]
            for other in range(right_starts[inner], right_starts[inner + 1]):
                line[right_columns[other]] += weight * right_values[other]
