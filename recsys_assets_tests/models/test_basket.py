import re

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.models.base import Interactions, Steps
from recsys_assets.models.basket import Basket, strongest
from recsys_assets_tests.models.builders import random_shop

Taken = dict[str, list[tuple[str, float]]]


def shop(taken: Taken, products: str = "abcdef") -> Interactions:
    """People who took products (single letters) at ages, each in a basket of its own."""
    people = sorted(taken)
    entries = [entry for person in people for entry in taken[person]]
    steps = Steps(
        np.cumsum([0, *(len(taken[person]) for person in people)]).astype(np.int64),
        np.array([products.index(product) for product, _ in entries], dtype=np.int32),
        np.array([place for person in people for place in range(len(taken[person]))], dtype=np.int32),
        np.zeros(len(entries), dtype=np.int32),
        np.array([age for _, age in entries], dtype=np.float32),
    )
    empty = sp.csr_matrix(np.zeros((len(people), len(products)), dtype=np.float32))
    return Interactions(np.array(people), np.array(list(products)), empty, empty, empty, empty, steps)


def scores(model: Basket, train: Interactions, person: int) -> dict[str, object]:
    """What the fitted model says to a person, without zeros."""
    model.fit(train)
    row = model.scores(train)[person]
    return {product: pytest.approx(float(row[place])) for place, product in enumerate(train.product_ids) if row[place]}


def test_own_counts_fade_inside_of_a_group_and_from_group_to_group() -> None:
    model = Basket(own=1, group=2, within_decay=0.5, between_decay=0.1)
    train = shop({"p": [("d", 4), ("c", 3), ("b", 2), ("a", 1), ("a", 0)]})
    assert scores(model, train, 0) == {"a": 1 + 0.5, "b": 0.1, "c": 0.1 * 0.5, "d": 0.1**2}


def test_neighbours_say_what_they_took_weighted_by_nearness() -> None:
    """p shares one product of two with q (nearness .5) and one of one with r (.7071); s shares none."""
    train = shop({"p": [("a", 0), ("b", 0)], "q": [("a", 0), ("c", 0)], "r": [("b", 0)], "s": [("d", 0), ("e", 0)]})
    q, r = 0.5, 1 / 2**0.5
    model = Basket(own=0, popularity_exponent=0)
    assert scores(model, train, 0) == {"a": q / (q + r), "b": r / (q + r), "c": q / (q + r)}


def test_own_counts_and_neighbours_are_mixed() -> None:
    train = shop({"p": [("a", 0), ("b", 0)], "q": [("a", 0), ("c", 0)]})
    assert scores(Basket(own=0.25), train, 0) == {"a": 0.25 + 0.75, "b": 0.25, "c": 0.75}


def test_only_the_nearest_are_asked() -> None:
    train = shop({"p": [("a", 0), ("b", 0)], "q": [("a", 0), ("c", 0), ("d", 0)], "r": [("b", 0), ("e", 0)]})
    assert scores(Basket(own=0, neighbours=1, popularity_exponent=0), train, 0) == {"b": 1, "e": 1}


def test_of_equally_near_people_the_first_are_asked() -> None:
    train = shop({"p": [("a", 0)], "q": [("a", 0), ("c", 0)], "r": [("a", 0), ("d", 0)]})
    assert scores(Basket(own=0, neighbours=1), train, 0) == {"a": 1, "c": 1}


def test_a_rare_product_says_more_about_whom_one_is_like() -> None:
    """Everybody takes a; b is shared with q alone, who took more than r did."""
    taken: Taken = {"p": [("a", 0), ("b", 0)], "q": [("b", 0), ("c", 0), ("d", 0)], "r": [("a", 0), ("e", 0)]}
    train = shop(taken | {f"s{place}": [("a", 0), ("f", 0)] for place in range(6)})
    assert "e" in scores(Basket(own=0, neighbours=1, popularity_exponent=0), train, 0)
    assert scores(Basket(own=0, neighbours=1, popularity_exponent=0.5), train, 0) == {"b": 1, "c": 1, "d": 1}


def test_nobody_is_asked_about_themselves() -> None:
    assert scores(Basket(own=0), shop({"p": [("a", 0)], "q": [("b", 0)]}), 0) == {}


def test_of_people_with_equal_counts_one_is_left_out() -> None:
    """p, q and r are the same: each asks two of the three, and s, who is .7071 near."""
    same = [("a", 0.0)]
    train = shop({"p": same, "q": same, "r": same, "s": [("a", 0), ("b", 0)]})
    near = 1 / 2**0.5
    expected = {"a": 1, "b": near / (2 + near)}
    for person in range(3):
        assert scores(Basket(own=0, popularity_exponent=0), train, person) == expected


def test_people_found_by_a_product_are_bounded() -> None:
    """q took a twice and is found by it, r once and is not."""
    train = shop({"p": [("a", 0), ("b", 0)], "q": [("a", 0), ("a", 0), ("c", 0)], "r": [("a", 0), ("d", 0), ("e", 0)]})
    assert set(scores(Basket(own=0), train, 0)) == {"a", "c", "d", "e"}
    assert scores(Basket(own=0, known_by=1), train, 0) == {"a": 2, "c": 1}


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=5), st.integers(0, 5))
def test_strongest_keeps_the_largest_of_each_row_and_of_equals_the_first(rows: list[list[int]], most: int) -> None:
    kept = strongest(sp.csr_matrix(np.array(rows, dtype=np.float32)), most).toarray()
    for row, values in zip(kept, rows, strict=True):
        best = sorted(range(4), key=lambda place: (-values[place], place))[:most]
        assert row.tolist() == [value if place in best else 0 for place, value in enumerate(values)]


def test_a_loaded_model_has_to_meet_people_first() -> None:
    train = random_shop()
    fitted, loaded = Basket(), Basket()
    fitted.fit(train)
    loaded.restore(fitted.arrays())
    with pytest.raises(AssertionError, match=re.escape("meet() hands them over")):
        loaded.scores(train)
    loaded.meet(train)
    assert loaded.scores(train).tobytes() == fitted.scores(train).tobytes()


def test_it_asks_those_whom_it_met_last() -> None:
    train, later = shop({"p": [("a", 0)], "q": [("a", 0), ("b", 0)]}), shop({"z": [("a", 0), ("f", 0)]})
    model = Basket(own=0)
    model.fit(train)
    model.meet(later)
    assert np.flatnonzero(model.scores(train)[0]).tolist() == [0, 5]
