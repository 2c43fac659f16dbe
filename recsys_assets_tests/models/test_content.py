from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from recsys_assets.models.base import Interactions
from recsys_assets.models.content import Content
from recsys_assets_tests.models.builders import bought

# Facts: wine, bread, cheap. Nobody bought n1 (wine), n2 (bread), n3 (cheap bread) or bare (of which nothing is said).
FACTS = {"bare": [0, 0, 0], "n1": [1, 0, 0], "n2": [0, 1, 0], "n3": [0, 0.6, 0.8], "w1": [1, 0, 0], "b1": [0, 0.8, 0.6]}
PRODUCTS = np.array(sorted(FACTS))
ROWS = [
    ("ann", "w1", 1),
    ("bob", "b1", 1),
    ("cem", "b1", 1),
    ("dan", "b1", 3),
    ("dan", "w1", 1),
]


def shop(people: list[tuple[str, str, int]] = ROWS) -> Interactions:
    made = Interactions.from_frame(bought(people), PRODUCTS)
    return replace(made, features=sp.csr_matrix(np.array([FACTS[p] for p in PRODUCTS], dtype=np.float32)))


def scores(person: str, popularity_exponent: float = 0.0) -> dict[str, float]:
    train, model = shop(), Content(popularity_exponent=popularity_exponent)
    model.fit(train)
    row = model.scores(train)[train.person_keys.tolist().index(person)]
    return dict(zip(PRODUCTS.tolist(), row.tolist(), strict=True))


def test_products_that_nobody_took_are_reached_by_what_they_are_like() -> None:
    ann, bob = (scores(person, popularity_exponent=0.0) for person in ("ann", "bob"))
    assert ann["n1"] == pytest.approx(1)
    assert ann["n2"] == ann["n3"] == 0
    assert bob["n3"] == pytest.approx(0.6 * 0.8 + 0.8 * 0.6)
    assert bob["n2"] == pytest.approx(0.8)
    assert bob["n1"] == 0


def test_both_sides_of_a_taste_count_by_how_often_they_were_bought() -> None:
    dan = scores("dan", popularity_exponent=0.0)
    assert dan["n2"] > dan["n1"] > 0  # bread on three days, wine on one


def test_what_is_like_products_that_sell_gains() -> None:
    # w1 was taken by two people, b1 by three; only the bread's own are like n3.
    plain, weighed = (scores("dan", popularity_exponent=exponent) for exponent in (0.0, 1.0))
    assert weighed["n3"] / plain["n3"] == pytest.approx(3)
    assert weighed["n1"] / plain["n1"] == pytest.approx(2)


def test_of_products_without_facts_and_without_any_nothing_is_said() -> None:
    assert scores("dan")["bare"] == 0
    bare = replace(shop(), features=None)
    model = Content()
    model.fit(bare)
    assert not model.scores(bare).any()
