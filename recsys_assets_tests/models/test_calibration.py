import numpy as np
import pytest

from recsys_assets.logic.choices import Choices
from recsys_assets.models.calibration import calibrate, calibration_error, calibration_figures
from recsys_assets.models.holdout import Listed


def lists(people: int, places: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores from 0 to 1 (0: the list has ended), of which half is the share of hits."""
    random = np.random.default_rng(seed)
    scores = np.where(random.random((people, places)) < 0.1, 0, random.random((people, places))).astype(np.float32)
    return scores, random.random((people, places)) < scores / 2


def test_a_curve_holds_on_lists_it_was_not_fitted_on() -> None:
    curve = calibrate(*lists(2000, 10, seed=1))
    assert np.interp([0.1, 0.5, 0.9], *curve) == pytest.approx([0.05, 0.25, 0.45], abs=0.03)
    error = calibration_error(*lists(2000, 10, seed=2), curve)
    assert error.expected < 0.015
    assert error.brier == pytest.approx(1 / 4 - 1 / 12, abs=0.005)  # mean of p(1-p), p even from 0 to .5
    assert error.listed == pytest.approx(18_000, rel=0.02)


def test_the_error_is_the_distance_between_confidence_and_hits() -> None:
    """Two groups: .2 of which a half are hits, .8 of which none are: (4 × .3 + 2 × .8) / 6."""
    scores = np.array([[0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.0]], dtype=np.float32)
    hits = np.array([[True, False, True, False, False, False, True]])
    error = calibration_error(scores, hits, ((0.0, 1.0), (0.0, 1.0)), bins=2)
    assert error.expected == pytest.approx((4 * 0.3 + 2 * 0.8) / 6)
    assert error.brier == pytest.approx((2 * 0.64 + 2 * 0.04 + 2 * 0.64) / 6)
    assert error.listed == 6


def test_without_lists_or_a_curve_nothing_is_said() -> None:
    scores, hits = lists(3, 4, seed=1)
    assert calibrate(scores * 0, hits) == ((), ())
    assert calibration_error(scores, hits, ((), ())).listed == 0
    assert np.isnan(calibration_error(scores * 0, hits, ((0.0,), (0.5,))).brier)


def test_figures_of_what_is_published() -> None:
    scores, hits = lists(50, 10, seed=3)
    made = {("published", target): Listed.none(50, 10) for target in ("new", "repeat")}
    made["published", "new"].scores[:] = scores
    made["published", "new"].hits[:] = hits
    choices = Choices(True, 1.0, 1.0, ((0.0, 1.0), (0.0, 0.5)), ((0.0, 1.0), (0.0, 0.5)))
    figures = calibration_figures("test", made, choices)
    assert figures.select("split", "model", "target", "metric", "k", "people").rows() == [
        ("test", "published", "new", "calibration_error", 0, 50),
        ("test", "published", "new", "brier", 0, 50),
    ]
    assert figures["value"].to_list() == list(calibration_error(scores, hits, choices.new_calibration)[:2])
