"""Which of several probabilities is named: what is expected to make the best mean F1 of all classes."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_POWERS = 10  # of the usual shares, up to 1, from which the search begins
_STEPS = (0.4, 0.2, 0.1)  # of a class's log weight
_ROUNDS = 6
_LEAST = 1e-6


def expected_f1(chances: Floats, weight: Floats, held: Floats) -> float:
    """Mean F1 over classes, were each person so many of each class as their chances say.

    Args:
        chances: people × classes; rows sum to 1.
        weight: how much each person counts.
        held: what each class's chance is divided by before the greatest is named.
    """
    named = (chances / held).argmax(axis=1)[:, None] == np.arange(chances.shape[1])
    true = chances * weight[:, None]
    hits, said = (true * named).sum(axis=0), (weight[:, None] * named).sum(axis=0)
    return float((2 * hits / np.maximum(_LEAST, said + true.sum(axis=0))).mean())


def helped(chances: Floats, weight: Floats, shares: Floats) -> Floats:
    """What to divide each class's chance by, so that the mean F1 is expected to be the best; sums to 1.

    Begins with the best power of the usual ``shares``, then goes uphill a class at a time. The search depends on
    nothing but its arguments, and of equals the smaller step is taken.
    """
    chances = chances / chances.sum(axis=1, keepdims=True)
    shares = np.maximum(shares, _LEAST)
    starts = [shares ** (power / _POWERS) for power in range(_POWERS + 1)]
    held = max(starts, key=lambda one: round(expected_f1(chances, weight, one), 9))
    best = expected_f1(chances, weight, held)
    for step in _STEPS:
        for _ in range(_ROUNDS):
            before = best
            for place in range(len(held)):
                for way in (step, -step):
                    tried = held.copy()
                    tried[place] *= np.exp(way)
                    found = expected_f1(chances, weight, tried)
                    if found > best + _LEAST:
                        held, best = tried, found
            if best == before:
                break
    made: Floats = np.maximum(held / held.sum(), _LEAST).round(9)
    return made
