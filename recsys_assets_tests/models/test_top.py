import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from recsys_assets.models.base import Floats
from recsys_assets.models.top import Picks, top


@given(
    st_np.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 60)), elements=st.sampled_from([-2, 0, 1, 2])),
    st.integers(1, 70),
)
def test_it_is_what_sorting_everything_would_give(scores: Floats, k: int) -> None:
    picks = top(scores, k)
    for row in range(len(scores)):
        every = sorted((-score, column) for column, score in enumerate(scores[row].tolist()) if score > 0)
        mine = picks.where(picks.rows == row)
        assert [
            (-score, column) for score, column in zip(mine.scores.tolist(), mine.columns.tolist(), strict=True)
        ] == every[:k]


def test_masked_and_unsaid_products_are_never_picked() -> None:
    picks = top(np.array([[-np.inf, 0, -0.5, 1e-6]], dtype=np.float32), 3)
    assert picks.columns.tolist() == [3]


def test_no_products_no_picks() -> None:
    assert len(top(np.zeros((3, 0), dtype=np.float32), 5).rows) == 0


def test_two_lists_become_one_in_order() -> None:
    def picks(rows: list[int], columns: list[int], scores: list[float]) -> Picks:
        return Picks(np.array(rows), np.array(columns), np.array(scores, dtype=np.float32))

    both = picks([0, 0, 1], [5, 6, 5], [3, 1, 1]).and_also(picks([0, 1], [2, 4], [3, 2]))
    assert list(zip(both.rows.tolist(), both.columns.tolist(), strict=True)) == [(0, 2), (0, 5), (0, 6), (1, 4), (1, 5)]
    assert both.first(2).columns.tolist() == [2, 5, 4, 5]
