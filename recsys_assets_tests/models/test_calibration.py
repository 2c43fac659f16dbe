from dataclasses import replace

import numpy as np
import pytest

from recsys_assets.logic.choices import Choices
from recsys_assets.logic.split import windows
from recsys_assets.models import make_blend
from recsys_assets.models.calibration import (
    Put,
    calibrate,
    calibration_bins,
    calibration_error,
    calibration_figures,
    put_forward,
)
from recsys_assets.models.candidates import candidates
from recsys_assets.models.choosing import choose
from recsys_assets.models.holdout import Holdout, holdout
from recsys_assets.models.learned import Learned
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.test_evaluation import AS_OF, PRODUCTS, TUNING, shop


def lists(products: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores from 0 to 1, of which half is the share of hits."""
    random = np.random.default_rng(seed)
    scores = random.random(products).astype(np.float32)
    return scores, random.random(products) < scores / 2


def test_a_curve_holds_on_lists_it_was_not_fitted_on() -> None:
    curve = calibrate(*lists(20_000, seed=1))
    assert np.interp([0.1, 0.5, 0.9], *curve) == pytest.approx([0.05, 0.25, 0.45], abs=0.03)
    error = calibration_error(*lists(20_000, seed=2), curve)
    assert error.expected < 0.015
    assert error.brier == pytest.approx(1 / 4 - 1 / 12, abs=0.005)  # mean of p(1-p), p even from 0 to .5
    assert error.listed == 20_000


def test_the_error_is_the_distance_between_confidence_and_hits() -> None:
    """Two groups: .2 of which a half are hits, .8 of which none are: (4 × .3 + 2 × .8) / 6."""
    scores = np.array([0.2, 0.2, 0.2, 0.2, 0.8, 0.8], dtype=np.float32)
    hits = np.array([True, False, True, False, False, False])
    error = calibration_error(scores, hits, ((0.0, 1.0), (0.0, 1.0)), bins=2)
    assert error.expected == pytest.approx((4 * 0.3 + 2 * 0.8) / 6)
    assert error.brier == pytest.approx((2 * 0.64 + 2 * 0.04 + 2 * 0.64) / 6)
    assert error.listed == 6


def test_bins_expect_the_same_hits_and_part_no_equals() -> None:
    shares = np.repeat([0.0, 0.01, 0.1, 1.0], [500, 100, 10, 1])
    made = calibration_bins(shares, np.zeros(611, dtype=np.bool_), bins=3)
    assert [one.listed for one in made] == [600, 10, 1]
    assert [round(one.listed * one.confidence, 9) for one in made] == [1, 1, 1]
    assert len(calibration_bins(np.zeros(5), np.ones(5, dtype=np.bool_))) == 1
    assert calibration_bins(np.zeros(0), np.zeros(0, dtype=np.bool_)) == []


def test_without_products_or_a_curve_nothing_is_said() -> None:
    scores, hits = lists(12, seed=1)
    assert calibrate(scores[:0], hits[:0]) == ((), ())
    assert calibration_error(scores, hits, ((), ())).listed == 0
    assert np.isnan(calibration_error(scores[:0], hits[:0], ((0.0,), (0.5,))).brier)


def test_figures_of_what_is_published() -> None:
    scores, hits = lists(500, seed=3)
    put = {"new": Put(scores, hits, 50), "repeat": Put(scores[:0], hits[:0], 50)}
    choices = Choices(True, 1.0, 1.0, ((0.0, 1.0), (0.0, 0.5)), ((0.0, 1.0), (0.0, 0.5)))
    figures, bins = calibration_figures("test", put, choices)
    assert figures.select("split", "model", "target", "metric", "k", "people").rows() == [
        ("test", "published", "new", "calibration_error", 0, 50),
        ("test", "published", "new", "brier", 0, 50),
    ]
    assert figures["value"].to_list() == list(calibration_error(scores, hits, choices.new_calibration)[:2])
    assert bins["listed"].sum() == 500
    assert (bins["listed"] * bins["hits"]).sum() == pytest.approx(hits.sum())


def held(tuning: Tuning, *, repeats: bool = True) -> Holdout:
    found = holdout(shop(repeats=repeats, people=60), windows(AS_OF, 7)["validation"], PRODUCTS, tuning)
    assert found is not None
    return found


def stay_away(window: Holdout) -> Holdout:
    """The same window in which only one in ten of those who came buys."""
    taken = window.taken.toarray()
    taken[np.arange(len(taken)) % 10 > 0] = False
    few = np.isin(window.history.person_keys, window.train.person_keys[::10])
    return replace(
        window,
        taken=type(window.taken)(taken),
        history=window.history.take(np.flatnonzero(few)),
        bought=window.bought[np.flatnonzero(few)],
        relevant={target: counts[few] for target, counts in window.relevant.items()},
    )


@pytest.mark.parametrize("kind", ["default", "weights"])
def test_who_bought_nothing_is_a_miss(kind: str) -> None:
    """A tenth of the people buy: a confidence is a tenth of what the buyers alone would say."""
    blending = TUNING.blend.model_copy(update={"kind": kind, "people_to_weigh": 4})
    tuning = TUNING.model_copy(update={"blend": blending})
    window = stay_away(held(tuning))
    choices, _ = choose(window, tuning, 1, lambda _: None)
    assert choices.kind == kind
    for curve, hits in ((choices.repeat_calibration, "repeat"), (choices.new_calibration, "new")):
        blend = make_blend(tuning, replace(choices, repeats_allowed=False), 1, every=True)
        blend.fit(window.train)
        put = put_forward(window, blend, choices, tuning)[hits]
        assert put.people == 60
        assert np.interp(put.scores, *curve).sum() == pytest.approx(put.hits.sum(), rel=1e-3)
        assert put.hits.mean() <= 0.11


@pytest.mark.parametrize("kind", ["default", "weights", "learned"])
def test_the_curve_is_fitted_on_what_a_night_serves(kind: str) -> None:
    """The same scores as Level 1 gives everybody, down to the last candidate."""
    blending = TUNING.blend.model_copy(update={"kind": kind, "people_to_weigh": 4, "people_to_learn": 4})
    tuning = TUNING.model_copy(update={"blend": blending})
    window = held(tuning)
    choices, _ = choose(window, tuning, 1, lambda _: None)
    assert choices.kind == kind
    every = make_blend(tuning, replace(choices, repeats_allowed=False), 1, every=True)
    night = make_blend(tuning, choices, 1)
    for blend in (every, night):
        blend.fit(window.train)
    reorder = Learned.of(choices, window.traits, 1) if kind == "learned" else None
    made = list(candidates(night, window.train, window.listable, choices, tuning, reorder=reorder))
    put = put_forward(window, every, choices, tuning)
    for target, purchased in (("new", False), ("repeat", True)):
        served = np.concatenate([frame.filter(purchased=purchased)["score"].to_numpy() for frame in made])
        assert np.array_equal(np.sort(served), np.sort(put[target].scores))
    assert len(put["new"].scores) + len(put["repeat"].scores) == sum(frame.height for frame in made) > 0
