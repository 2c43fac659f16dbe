"""From a score to the share of such products that were bought: confidence, and how far it is off."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.isotonic import IsotonicRegression

from recsys_assets.logic.choices import Choices, Curve
from recsys_assets.models.blend import Blend
from recsys_assets.models.fused import values_at
from recsys_assets.models.holdout import Holdout
from recsys_assets.models.tried import Level1
from recsys_assets.tables import CALIBRATION, EVALUATION
from recsys_assets.tuning import Tuning

BINS = 10
Floats = npt.NDArray[np.float64]


class Put(NamedTuple):
    """Products that Level 1 puts before ``people`` people, one entry each: its score, and whether it was bought."""

    scores: npt.NDArray[np.float32]
    hits: npt.NDArray[np.bool_]
    people: int


class CalibrationError(NamedTuple):
    """How far confidence is off, over ``listed`` products; both are 0 at best, and NaN where nothing was listed.

    ``expected`` is the mean distance between confidence and the share of hits, over groups of like confidence
    (expected calibration error: Naeini, Cooper and Hauskrecht 2015). ``brier`` is the mean of (confidence - hit)²
    (Brier 1950).
    """

    expected: float
    brier: float
    listed: int


class Bin(NamedTuple):
    """Products of like confidence: how many, their mean confidence, and the share of them that was bought."""

    listed: int
    confidence: float
    hits: float


def put_forward(held: Holdout, blend: Blend, choices: Choices, tuning: Tuning, threads: int = 0) -> dict[str, Put]:
    """All candidates of everybody whom the window's training knows: who gets a list, whether they bought or not.

    So a confidence is fitted on, and compared with, what is served: whoever bought nothing in the window is a miss
    down to the last candidate. People whom the training does not know get no list; popular products have no confidence.

    Args:
        held: the window.
        blend: fitted on its training, with all members that the choices ask.
        choices: what decides over the lists.
        tuning: all knobs; at most ``evaluation.people`` people are asked, drawn by the seed.
        threads: 0 = all cores; never changes a result.

    Returns:
        ``new`` and ``repeat`` products, in no order that means anything.
    """
    level_1 = Level1(held, blend, choices, tuning, threads)
    everybody = len(held.train.person_keys)
    places = np.arange(everybody)
    if everybody > tuning.evaluation.people:
        drawn = np.random.default_rng(tuning.seed).choice(everybody, tuning.evaluation.people, replace=False)
        places = np.sort(drawn)
    scores, hits, again = [], [], []
    for start, picks, bought_before in level_1.of(held.train.take(places)):
        scores.append(picks.scores)
        again.append(bought_before)
        hits.append(values_at(held.taken, places[start + picks.rows], picks.columns) > 0)
    score, hit, old = np.concatenate(scores), np.concatenate(hits), np.concatenate(again)
    return {name: Put(score[own], hit[own], len(places)) for name, own in (("new", ~old), ("repeat", old))}


def with_confidence(choices: Choices, put: dict[str, Put]) -> Choices:
    """``choices`` with the curves that ``put``, of the window that chose, gives."""
    return replace(
        choices,
        new_calibration=calibrate(put["new"].scores, put["new"].hits),
        repeat_calibration=calibrate(put["repeat"].scores, put["repeat"].hits),
    )


def calibrate(scores: npt.NDArray[np.float32], hits: npt.NDArray[np.bool_]) -> Curve:
    """Isotonic regression of hits on scores: never falling, as few points as it needs; empty where there is nothing."""
    if not len(scores):
        return ((), ())
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
        scores.astype(np.float64), hits.astype(np.float64)
    )
    return (
        tuple(round(float(x), 6) for x in fitted.X_thresholds_),
        tuple(round(float(y), 6) for y in fitted.y_thresholds_),
    )


def confidence(scores: npt.NDArray[np.float32], curve: Curve) -> Floats:
    """What ``curve``, which is not empty, says of ``scores``."""
    xs, ys = curve
    return np.interp(scores.astype(np.float64), xs, ys)


def calibration_bins(shares: Floats, hits: npt.NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """Groups of like confidence, the least confident first, each of which expects about as many hits.

    Groups of equal size would put all that anybody sees into one: of 200 candidates a person is shown some at the top.

    Args:
        shares: confidence, one per product.
        hits: whether it was bought.
        bins: groups at most; like confidences are never parted.

    >>> calibration_bins(np.array([0.2, 0.2, 0.4]), np.array([True, False, False]), bins=2)
    [Bin(listed=2, confidence=0.2, hits=0.5), Bin(listed=1, confidence=0.4, hits=0.0)]
    """
    if not len(shares):
        return []
    ordered = np.sort(shares)
    sums = np.cumsum(ordered)
    at = np.searchsorted(sums, sums[-1] * np.arange(1, bins) / bins, side="right") - 1
    group = np.searchsorted(np.unique(ordered[at[at >= 0]]), shares)
    listed = np.bincount(group)
    said, bought = np.bincount(group, shares), np.bincount(group, hits)
    return [
        Bin(int(n), float(expected / n), float(found / n))
        for n, expected, found in zip(listed, said, bought, strict=True)
        if n
    ]


def calibration_error(
    scores: npt.NDArray[np.float32], hits: npt.NDArray[np.bool_], curve: Curve, bins: int = BINS
) -> CalibrationError:
    """How far the confidence that ``curve`` gives is off, on products that it was not fitted on.

    Args:
        scores: one per product.
        hits: whether it was bought.
        curve: what `calibrate` made of another window.
        bins: groups at most; see `calibration_bins`.

    >>> scores, hits = np.array([0.2, 0.8], dtype=np.float32), np.array([False, True])
    >>> calibration_error(scores, hits, ((0.0, 1.0), (0.5, 0.5)))
    CalibrationError(expected=0.0, brier=0.25, listed=2)
    """
    if not (len(scores) and curve[0]):
        return CalibrationError(np.nan, np.nan, 0)
    shares = confidence(scores, curve)
    apart = sum(one.listed * abs(one.confidence - one.hits) for one in calibration_bins(shares, hits, bins))
    return CalibrationError(apart / len(scores), float(((shares - hits) ** 2).mean()), len(scores))


def calibration_markdown(bins: pl.DataFrame) -> str:
    """Table CALIBRATION, for a page."""
    made = [
        "| window | products | bin | candidates | confidence | came true |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    made += [
        f"| {split} | {target} | {number} | {listed:,} | {said:.4f} | {true:.4f} |"
        for split, target, number, listed, said, true in bins.iter_rows()
    ]
    return "\n".join(made)


def calibration_figures(split: str, put: dict[str, Put], choices: Choices) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of tables EVALUATION, k 0, and CALIBRATION: confidence on a window that it was not fitted on."""
    made: list[dict[str, object]] = []
    bins: list[dict[str, object]] = []
    for target, curve in (("new", choices.new_calibration), ("repeat", choices.repeat_calibration)):
        scores, hits, people = put[target]
        error = calibration_error(scores, hits, curve)
        if not error.listed:
            continue
        about = {"split": split, "model": "published", "target": target, "k": 0, "people": people}
        made += [
            about | {"metric": "calibration_error", "value": error.expected},
            about | {"metric": "brier", "value": error.brier},
        ]
        bins += [
            {"split": split, "target": target, "bin": number} | one._asdict()
            for number, one in enumerate(calibration_bins(confidence(scores, curve), hits), 1)
        ]
    return pl.DataFrame(made, schema=EVALUATION.columns), pl.DataFrame(bins, schema=CALIBRATION.columns)
