"""From a score to the share of such products that were bought: confidence, and how far it is off."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.isotonic import IsotonicRegression

from recsys_assets.logic.choices import Choices, Curve
from recsys_assets.models.holdout import Lists
from recsys_assets.tables import EVALUATION

BINS = 10


class CalibrationError(NamedTuple):
    """How far confidence is off, over ``listed`` products; both are 0 at best, and NaN where nothing was listed.

    ``expected`` is the mean distance between confidence and the share of hits, over groups of about equal size with
    like confidence (expected calibration error: Naeini, Cooper and Hauskrecht 2015; equal groups: Nguyen and O'Connor
    2015, because no confidence of a list is near 1). ``brier`` is the mean of (confidence - hit)² (Brier 1950).
    """

    expected: float
    brier: float
    listed: int


def calibrate(scores: npt.NDArray[np.float32], hits: npt.NDArray[np.bool_]) -> Curve:
    """Isotonic regression of hits on scores: never falling, as few points as it needs.

    Args:
        scores: people × places; 0 where a list had ended.
        hits: people × places, whether the product was bought.
    """
    listed = scores != 0
    if not listed.any():
        return ((), ())
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
        scores[listed].astype(np.float64), hits[listed].astype(np.float64)
    )
    return (
        tuple(round(float(x), 6) for x in fitted.X_thresholds_),
        tuple(round(float(y), 6) for y in fitted.y_thresholds_),
    )


def calibration_error(
    scores: npt.NDArray[np.float32], hits: npt.NDArray[np.bool_], curve: Curve, bins: int = BINS
) -> CalibrationError:
    """How far the confidence that ``curve`` gives is off, on lists that it was not fitted on.

    Args:
        scores: people × places; 0 where a list had ended.
        hits: people × places, whether the product was bought.
        curve: what `calibrate` made of another window.
        bins: groups at most; like confidences are never parted.

    >>> scores, hits = np.array([[0.2, 0.8, 0.0]], dtype=np.float32), np.array([[False, True, False]])
    >>> calibration_error(scores, hits, ((0.0, 1.0), (0.5, 0.5)))
    CalibrationError(expected=0.0, brier=0.25, listed=2)
    """
    listed = scores != 0
    xs, ys = curve
    if not (listed.any() and xs):
        return CalibrationError(np.nan, np.nan, 0)
    confidence, hit = np.interp(scores[listed].astype(np.float64), xs, ys), hits[listed].astype(np.float64)
    edges = np.unique(np.quantile(confidence, np.arange(1, bins) / bins, method="lower"))
    group = np.searchsorted(edges, confidence)
    apart = np.bincount(group, confidence) - np.bincount(group, hit)
    return CalibrationError(
        float(np.abs(apart).sum() / len(hit)), float(((confidence - hit) ** 2).mean()), int(listed.sum())
    )


def calibration_figures(split: str, lists: Lists, choices: Choices) -> pl.DataFrame:
    """Rows of table EVALUATION, k 0: how far the published confidence is off on a window that did not choose it."""
    made: list[dict[str, object]] = []
    for target, curve in (("new", choices.new_calibration), ("repeat", choices.repeat_calibration)):
        listed = lists["published", target]
        error = calibration_error(listed.scores, listed.hits, curve)
        if error.listed:
            about = {"split": split, "model": "published", "target": target, "k": 0}
            people = int((listed.scores != 0).any(axis=1).sum())
            made += [
                about | {"metric": "calibration_error", "value": error.expected, "people": people},
                about | {"metric": "brier", "value": error.brier, "people": people},
            ]
    return pl.DataFrame(made, schema=EVALUATION.columns)
