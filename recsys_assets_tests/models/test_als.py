"""ALS beside bare ``implicit`` and beside the equations that it solves."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from implicit.als import AlternatingLeastSquares

from recsys_assets.models.als import Als
from recsys_assets.models.base import Interactions, one_blas_thread, tastes
from recsys_assets_tests.models.builders import answer, checkerboard, random_shop

SMALL: dict[str, Any] = {"factors": 8, "iterations": 3, "regularization": 0.1, "alpha": 10.0}


def test_at_equal_settings_the_item_factors_are_those_of_implicit() -> None:
    shop = random_shop()
    ours = Als(**SMALL, seed=3)
    ours.fit(shop)
    with one_blas_thread():
        bare = AlternatingLeastSquares(**SMALL, random_state=3, use_gpu=False)
        bare.fit(tastes(shop, 5.0), show_progress=False)
    assert ours.item_factors.tobytes() == bare.item_factors.tobytes()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_a_served_vector_solves_its_own_equation(exponent: float) -> None:
    """(YᵀY + Yᵀ(C - 1)Y + penalty) x = Yᵀ C 1, where the penalty grows with the weight of the row."""
    shop = random_shop()
    model = Als(**SMALL, frequency_exponent=exponent)
    model.fit(shop)
    items = model.item_factors.astype(np.float64)
    scores = model.scores(shop)
    for person in range(5):
        given = 10.0 * tastes(shop, 5.0)[person].toarray().ravel().astype(np.float64)
        step = np.rint(4 * exponent * np.log2(1 + given.sum() / len(given)))
        penalty = 0.1 * 2 ** (step / 4)
        weights = np.where(given > 0, given, 1.0)
        common = items.T @ (weights[:, None] * items) + penalty * np.eye(8)
        expected = items @ np.linalg.solve(common, items.T @ given)
        np.testing.assert_allclose(scores[person], expected, atol=2e-3)


def test_a_penalty_by_frequency_holds_back_the_heavy_rows() -> None:
    shop = random_shop()
    heavy = replace(shop, frequency=shop.frequency * 20)
    taken = tastes(heavy, 5.0)
    groups = Als(**SMALL, frequency_exponent=1.0)._groups(taken)
    assert sorted(np.concatenate([rows for _, rows in groups]).tolist()) == list(range(40))
    penalties = np.zeros(40)
    for penalty, rows in groups:
        penalties[rows] = penalty
    weight = 1 + 10.0 * np.asarray(taken.sum(axis=1)).ravel() / 30
    assert (np.abs(np.log(penalties / (0.1 * weight))) < np.log(2) / 8 + 1e-6).all()
    assert len(groups) > 1


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_the_planted_product_comes_first(exponent: float) -> None:
    shop = Interactions.from_frame(checkerboard())
    model = Als(factors=8, regularization=0.1, frequency_exponent=exponent)
    model.fit(shop)
    scores = model.scores(shop)
    scores[shop.owned.toarray() > 0] = -np.inf
    assert scores.argmax(axis=1).tolist() == [answer(person) for person in range(len(shop.person_keys))]


def test_the_same_bits_on_any_number_of_threads_with_penalties_by_frequency() -> None:
    shop = random_shop(people=300, products=120)
    made = []
    for threads in (1, 2):
        model = Als(**SMALL, frequency_exponent=1.0, threads=threads)
        model.fit(shop)
        made.append(model.scores(shop).tobytes())
    assert made[0] == made[1]
