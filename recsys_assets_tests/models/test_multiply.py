"""Products of sparse matrices against those of numpy."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recsys_assets.models.base import Matrix
from recsys_assets.models.multiply import best_of, by_rows, dense, scaled

Whole = npt.NDArray[np.int64]
SMALL = arrays(np.int64, (7, 7), elements=st.integers(0, 3))


def sparse(matrix: Whole) -> Matrix:
    return sp.csr_matrix(matrix.astype(np.float32))


@given(SMALL, SMALL, st.integers(1, 9), st.booleans())
def test_the_best_of_each_row_with_ties_by_column(left: Whole, right: Whole, best: int, others: bool) -> None:
    product = left @ right
    if others:
        np.fill_diagonal(product, 0)
    expected = np.zeros_like(product)
    for row, values in enumerate(product):
        kept = sorted(np.flatnonzero(values), key=lambda column: (-values[column], column))[:best]
        expected[row, kept] = values[kept]
    # The diagonal takes no place that another product could have.
    assert best_of(sparse(left), sparse(right), best, others=others).toarray().tolist() == expected.tolist()


@given(SMALL, SMALL)
def test_a_dense_product(left: Whole, right: Whole) -> None:
    assert dense(sparse(left), sparse(right)).tolist() == (left @ right).tolist()


def test_nobody_has_no_best() -> None:
    assert best_of(sparse(np.zeros((0, 3), dtype=np.int64)), sparse(np.zeros((3, 5), dtype=np.int64)), 2).shape == (
        0,
        5,
    )


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_blocks_come_back_in_order(threads: int) -> None:
    assert by_rows(lambda first, last: (first, last), 7, threads, at_once=3) == [(0, 3), (3, 6), (6, 7)]


def test_scaling_leaves_the_matrix_alone() -> None:
    given_ = sparse(np.array([[1, 2], [0, 3]]))
    made = scaled(given_, np.array([2.0, 1.0]), np.array([1.0, 10.0]))
    assert made.toarray().tolist() == [[2, 40], [0, 30]]
    assert given_.toarray().tolist() == [[1, 2], [0, 3]]
