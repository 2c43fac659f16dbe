"""People of whom little is known, in a shop where everybody else is known well."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from recsys_assets.logic.choices import Choices
from recsys_assets.logic.split import Window
from recsys_assets.models import make_blend, slices
from recsys_assets.models.choosing import choose, lists_of
from recsys_assets.models.holdout import Holdout, Lists, holdout
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import event, events

CUTOFF = date(2024, 6, 23)
WINDOW = Window(CUTOFF, CUTOFF + timedelta(7))
PRODUCTS = [f"i{number:02}" for number in range(24)]
TUNING = Tuning.model_validate(
    {
        "als": {"factors": 4, "iterations": 2, "regularizations": ()},
        "repeats": {"allowed": "always", "weights": (8.0,)},
        "evaluation": {"holdout_days": 7, "ks": (3, 10), "bootstrap": 100, "beginners": 40},
        "blend": {"members": ("popularity", "personal"), "people_per_type": 20, "people_to_learn": 10_000},
    }
)


def shop() -> pl.DataFrame:
    """Regulars buy their own three products every three days, and the most popular one now and then."""
    random = np.random.default_rng(3)
    made = []
    for person in range(40):
        own = 1 + random.permutation(23)[:3]
        for turn in range(10):
            day = CUTOFF + timedelta(5 - 3 * turn)
            bought = [PRODUCTS[product] for product in own] + [PRODUCTS[0]] * (turn == 9 or person % 2)
            made += [event(f"p{person:02}", product, day, order=f"{person} {turn}") for product in bought]
    return events(*made)


@pytest.fixture(scope="module")
def window() -> Holdout:
    made = holdout(shop(), WINDOW, PRODUCTS, TUNING)
    assert made is not None
    return made


def chosen(window: Holdout, early: list[Holdout]) -> Choices:
    return choose(window, TUNING, 1, lambda _: None, early)[0]


def lists(window: Holdout, choices: Choices, count: int) -> tuple[Holdout, Lists]:
    blend = make_blend(TUNING, Choices.unchosen(TUNING), 1, every=True)
    blend.fit(window.train)
    then = slices.beginners(window, shop(), WINDOW, TUNING, count)
    return then, lists_of(then, blend, choices, TUNING, 1)


def test_somebody_of_whom_nothing_is_known_gets_what_is_popular(window: Holdout) -> None:
    for early in ([], slices.all_beginners(window, shop(), WINDOW, TUNING)):
        _, made = lists(window, chosen(window, early), 0)
        assert (made["published", "all"].columns[:, 0] == made["popularity", "all"].columns[:, 0]).all()
        assert (made["published", "all"].scores[:, 0] > 0).all()


def test_types_that_nobody_in_the_window_has_are_weighed_on_peoples_first_days(window: Holdout) -> None:
    without = chosen(window, [])
    assert "sparse" not in without.weights  # everybody has ten baskets
    early = slices.all_beginners(window, shop(), WINDOW, TUNING)
    assert sum(len(one.history.person_keys) for one in early) == 4 * 40
    choices = chosen(window, early)
    assert choices.weights["all"] == without.weights["all"]
    assert set(choices.weights) >= {"new", "sparse"}
    assert choices.figures == without.figures
