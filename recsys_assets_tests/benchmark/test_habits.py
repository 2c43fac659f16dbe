import numpy as np
import pytest

from recsys_assets.benchmark.habits import Habits
from recsys_assets.models.base import Steps
from recsys_assets.models.pool import Pool


def habits() -> Habits:
    """p took a, then a and b, then b, then a; q took a, and nothing since; r nothing. c was never taken."""
    steps = Steps(
        np.array([0, 5, 6, 6]),
        np.array([0, 0, 1, 1, 0, 0], dtype=np.int32),
        np.array([0, 1, 1, 2, 3, 0], dtype=np.int32),
        np.zeros(6, dtype=np.int32),
        np.array([4, 3, 3, 2, 1, 1], dtype=np.float32),
    )
    return Habits.of(steps, 3)


def facts(people: list[int], columns: list[int]) -> dict[str, list[float]]:
    asked = np.unique(people)
    rows = np.searchsorted(asked, people)
    pool = Pool(rows, np.array(columns), np.ones((len(rows), 1), dtype=np.float32), ("score",))
    told = habits().beside(pool, asked)
    return {name: told.feature(name).tolist() for name in told.names}


def test_what_is_said_of_a_person_and_a_product() -> None:
    told = facts([0, 0, 0, 1], [0, 1, 2, 0])
    assert told["score"] == [1, 1, 1, 1]
    assert told["times"] == [3, 2, 0, 1]
    assert told["since"] == [1, 2, 0, 1]
    assert told["tenure"] == [4, 3, 0, 1]
    assert told["gap"] == [(4 - 1) / 2, (3 - 2) / 1, 0, 0]
    assert told["regularity"] == [3 / 4, 2 / 4, 0, 1 / 1]


def test_a_pool_of_some_people_is_told_of_those() -> None:
    told = facts([1, 2], [0, 0])
    assert told["times"] == [1, 0]
    assert told["person_baskets"] == [1, 0]


def test_overdue_is_the_time_since_against_the_products_usual_gap() -> None:
    """Only p took a twice, with a gap of 1.5."""
    assert facts([0, 1], [0, 0])["overdue"] == pytest.approx([1 / 1.5, 1 / 1.5])


def test_what_is_said_of_a_person() -> None:
    told = facts([0, 1, 2], [0, 0, 0])
    assert told["person_baskets"] == [4, 1, 0]
    assert told["person_size"] == [5 / 4, 1, 0]
    assert told["person_latest_size"] == [1, 1, 0]
    assert told["person_kinds"] == [2, 1, 0]
    assert told["person_repeats"] == pytest.approx([3 / 5, 0, 0])
    assert told["person_mainstream"] == pytest.approx([(3 * np.log1p(4) + 2 * np.log1p(2)) / 5, np.log1p(4), 0])


def test_what_is_said_of_a_product() -> None:
    told = facts([0, 0, 0], [0, 1, 2])
    assert told["product_entries"] == [4, 2, 0]
    assert told["product_people"] == [2, 1, 0]
    assert told["product_repeats"] == [2 / 4, 1 / 2, 0]
    assert told["product_trend"] == [2 / 4, 0, 0]
    assert told["product_size"] == pytest.approx([(3 * 5 / 4 + 1) / 4, 5 / 4, 0])
    assert told["product_gap"] == [1.5, 1, 0]


def test_nobody_took_anything() -> None:
    told = Habits.of(Steps.none(1), 2).beside(
        Pool(np.array([0]), np.array([1]), np.ones((1, 1), dtype=np.float32), ("score",)), np.array([0])
    )
    assert told.feature("times").tolist() == [0]
