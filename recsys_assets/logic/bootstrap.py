"""Percentile intervals by resampling people, seeded."""

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


def resampled_means(values: Values, replicates: int, seed: int) -> Values:
    """Replicates × columns: means of ``values`` (people × columns) over people drawn with replacement.

    Every column sees the same draws, so the difference of two columns is a paired one.
    """
    people = len(values)
    assert people > 0, "no people to draw from"
    random = np.random.default_rng(seed)
    means = np.empty((replicates, values.shape[1]))
    for replicate in range(replicates):
        drawn = np.bincount(random.integers(people, size=people), minlength=people)
        # einsum and not @: BLAS would split the sum by threads, and the last digit with it.
        means[replicate] = np.einsum("p,pc->c", drawn.astype(np.float64), values) / people
    return means


def interval(means: Values, level: float = 0.95) -> tuple[Values, Values]:
    """Low and high end per column of ``resampled_means``.

    >>> low, high = interval(np.arange(101.0)[:, None], level=0.9)
    >>> round(float(low[0]), 9), round(float(high[0]), 9)
    (5.0, 95.0)
    """
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high
