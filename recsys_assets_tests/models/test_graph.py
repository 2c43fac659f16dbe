"""Walks over a shop of three people, written out."""

import numpy as np

from recsys_assets.models.base import Interactions
from recsys_assets.models.graph import Graph
from recsys_assets_tests.models.builders import answer, bought, checkerboard

SHOP = Interactions.from_frame(bought([("p", "a", 1), ("p", "b", 1), ("q", "a", 1), ("q", "c", 1), ("r", "c", 1)]))
A, B, C = range(3)
TASTE = float(np.log1p(np.float32(1)))


def test_each_step_divides_by_how_many_ways_lead_on() -> None:
    model = Graph(seed_exponent=1.0, person_exponent=1.0, popularity_exponent=0.0)
    model.fit(SHOP)
    # a (2 buyers) → p (2 products) → b, and a → q (2 products) → c.
    np.testing.assert_allclose(model.walks[A, B], TASTE**2 * 1 / 2 * 1 / 2, rtol=1e-6)
    np.testing.assert_allclose(model.walks[B, A], TASTE**2 * 1 / 1 * 1 / 2, rtol=1e-6)
    assert model.walks[B, C] == 0
    assert model.walks.diagonal().tolist() == [0, 0, 0]


def test_what_is_put_forward_is_divided_by_its_own_buyers() -> None:
    model = Graph(seed_exponent=0.0, person_exponent=0.0, popularity_exponent=1.0)
    model.fit(SHOP)
    np.testing.assert_allclose(model.walks[A].toarray(), [[0, TASTE**2 / 1, TASTE**2 / 2]], rtol=1e-6)


def test_a_product_keeps_its_best_neighbours_only() -> None:
    model = Graph(neighbours=1, seed_exponent=0.0, person_exponent=0.0, popularity_exponent=1.0)
    model.fit(SHOP)
    assert model.walks[A].indices.tolist() == [B]


def test_the_planted_product_comes_first() -> None:
    shop = Interactions.from_frame(checkerboard())
    model = Graph()
    model.fit(shop)
    scores = model.scores(shop)
    scores[shop.owned.toarray() > 0] = -np.inf
    assert scores.argmax(axis=1).tolist() == [answer(person) for person in range(len(shop.person_keys))]
