import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.errors import TableError
from recsys_assets.logic.hashing import list_hash
from recsys_assets.tables import LISTS
from recsys_assets_tests.published import frames

KEYS = ["0" * 32, "1" * 32]
FRAME = frames(KEYS).lists


@given(st.randoms(use_true_random=False))
def test_row_order_does_not_matter(shuffle: random.Random) -> None:
    order = list(range(FRAME.height))
    shuffle.shuffle(order)
    assert list_hash(FRAME[order]) == list_hash(FRAME)


def test_column_order_and_chunks_do_not_matter() -> None:
    chunked = pl.concat([FRAME[:2], FRAME[2:]], rechunk=False)
    assert list_hash(chunked.select(sorted(FRAME.columns))) == list_hash(FRAME)


@pytest.mark.parametrize("column", LISTS.columns)
def test_every_column_counts(column: str) -> None:
    value = FRAME[0, column]
    other: object = (
        not value if isinstance(value, bool) else value + "x" if isinstance(value, str) else (value or 0) + 7
    )
    changed = FRAME.with_columns(
        pl.when(pl.int_range(pl.len()) == 0)
        .then(pl.lit(other, dtype=LISTS.columns[column]))
        .otherwise(pl.col(column))
        .alias(column)
    )
    assert list_hash(changed) != list_hash(FRAME)


def test_a_row_less_counts_and_another_table_is_refused() -> None:
    assert list_hash(FRAME[:-1]) != list_hash(FRAME) != list_hash(LISTS.empty())
    with pytest.raises(TableError, match="rank is missing"):
        list_hash(FRAME.drop("rank"))
