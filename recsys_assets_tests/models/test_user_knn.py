"""People like a person: counted, and regressed on."""

from collections.abc import Callable

import numpy as np
import pytest

from recsys_assets.models.base import Interactions, Neighbourly, Recommender
from recsys_assets.models.user_knn import UserKnn
from recsys_assets.models.user_linear import UserLinear
from recsys_assets_tests.models.builders import answer, bought, checkerboard, random_shop

SHOP = Interactions.from_frame(bought([("p", "a", 1), ("p", "b", 1), ("q", "a", 1), ("r", "c", 1), ("r", "d", 1)]))
TASTE = float(np.log1p(np.float32(1)))
BOTH = pytest.mark.parametrize("make", [UserKnn, UserLinear])
Make = Callable[..., Recommender]


def asking(*products: str, about: Interactions = SHOP) -> Interactions:
    return Interactions.from_frame(bought([("new", product, 1) for product in products]), about.product_ids)


def test_likeness_and_popularity_written_out() -> None:
    model = UserKnn(product_exponent=1.0, person_exponent=1.0, popularity_exponent=1.0)
    model.fit(SHOP)
    # p and q both took a (2 buyers); p took 2 products, q one.
    p, q = TASTE**2 / 2 / 2, TASTE**2 / 2 / 1
    expected = [[(p + q) * TASTE / 2, p * TASTE / 1, 0, 0]]
    np.testing.assert_allclose(model.scores(asking("a")), expected, rtol=1e-6)


def test_only_the_nearest_are_asked() -> None:
    model = UserKnn(neighbours=1, person_exponent=1.0)
    model.fit(SHOP)
    # q, who took a alone, is nearer than p.
    assert (model.scores(asking("a")) > 0).tolist() == [[True, False, False, False]]


def test_the_regression_is_the_one_of_numpy() -> None:
    shop = random_shop(people=12, products=30)
    model = UserLinear(ridge=0.5, product_exponent=0.0, popularity_exponent=0.0)
    model.fit(shop)
    taken = np.log1p(shop.frequency.toarray().astype(np.float64))
    for person in range(12):
        others = taken[(taken @ taken[person] > 0) & (np.arange(12) != person)]
        weights = np.linalg.solve(others @ others.T + 0.5 * np.eye(len(others)), others @ taken[person])
        made = model.scores(shop.rows(person, person + 1))[0]
        np.testing.assert_allclose(made, weights @ others, atol=1e-4)


def test_who_took_the_very_same_is_not_asked() -> None:
    model = UserLinear()
    model.fit(SHOP)
    assert not model.scores(asking("c", "d")).any()


@BOTH
def test_the_planted_product_comes_first(make: Make) -> None:
    shop = Interactions.from_frame(checkerboard())
    model = make()
    model.fit(shop)
    scores = model.scores(shop)
    scores[shop.owned.toarray() > 0] = -np.inf
    assert scores.argmax(axis=1).tolist() == [answer(person) for person in range(len(shop.person_keys))]


@BOTH
def test_it_asks_the_people_it_met_last_and_forgets_the_others(make: Make) -> None:
    model = make(popularity_exponent=0.0)
    model.fit(SHOP)
    assert isinstance(model, Neighbourly)
    assert model.scores(asking("a"))[0, 1] > 0
    model.meet(Interactions.from_frame(bought([("s", "a", 1), ("s", "d", 1)]), SHOP.product_ids))
    scores = model.scores(asking("a"))[0]
    assert scores[1] == 0
    assert scores[3] > 0


@BOTH
def test_restored_it_wants_to_meet_people_first(make: Make) -> None:
    model, again = make(), make()
    model.fit(SHOP)
    again.restore(model.arrays())
    with pytest.raises(AssertionError, match="meet"):
        again.scores(SHOP)
