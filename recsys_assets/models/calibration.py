"""From a score to the share of such products that were bought: confidence."""

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from recsys_assets.logic.choices import Curve


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
