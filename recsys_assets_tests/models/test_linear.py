"""Neighbourhood SLIM on shops small enough for the whole regression."""

import numpy as np

from recsys_assets.models.base import Interactions, tastes
from recsys_assets.models.linear import Linear
from recsys_assets_tests.models.builders import answer, bought, checkerboard, random_shop


def test_with_everything_in_the_neighbourhood_it_is_the_ridge_regression() -> None:
    shop = random_shop()
    model = Linear(neighbours=100, ridge=2.0)
    model.fit(shop)
    taken = tastes(shop, 5.0).toarray().astype(np.float64)
    products = taken.shape[1]
    for product in range(products):
        others = (taken.T @ taken[:, product] > 0) & (np.arange(products) != product)
        common = taken[:, others].T @ taken[:, others] + 2.0 * np.eye(others.sum())
        expected = np.linalg.solve(common, taken[:, others].T @ taken[:, product])
        np.testing.assert_allclose(model.weights.toarray()[others, product], expected, atol=1e-5)
        assert model.weights[product, product] == 0


def test_two_that_say_the_same_are_not_counted_twice() -> None:
    """b is a copy of a; c follows either: a count of buyers gives both its whole weight, a regression shares it."""
    pairs = [(f"p{person}", product, 1) for person in range(20) for product in ("a", "b", "c")]
    pairs += [(f"q{person}", "d", 1) for person in range(20)]
    model = Linear(ridge=0.01)
    model.fit(Interactions.from_frame(bought(pairs)))
    a, b, c, d = range(4)
    np.testing.assert_allclose(model.weights[[a, b], c].toarray().ravel(), [0.5, 0.5], atol=0.01)
    assert model.weights[d, c] == 0


def test_a_popular_product_can_be_held_down() -> None:
    shop = random_shop()
    plain, held = Linear(), Linear(popularity_exponent=0.5)
    plain.fit(shop)
    held.fit(shop)
    buyers = np.asarray(shop.owned.sum(axis=0)).ravel()
    np.testing.assert_allclose(held.weights.toarray(), plain.weights.toarray() / np.sqrt(buyers), rtol=1e-5)


def test_the_planted_product_comes_first() -> None:
    shop = Interactions.from_frame(checkerboard())
    model = Linear(ridge=1.0)
    model.fit(shop)
    scores = model.scores(shop)
    scores[shop.owned.toarray() > 0] = -np.inf
    assert scores.argmax(axis=1).tolist() == [answer(person) for person in range(len(shop.person_keys))]
