"""Ranking metrics at K, per person: own code, because ``implicit``'s read past a catalogue smaller than K."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Hits = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
PerPerson = npt.NDArray[np.float64]


def precision(hits: Hits, relevant: Counts, k: int) -> PerPerson:
    """Share of the K places that hold a relevant product; a shorter list is not excused.

    >>> precision(np.array([[True, False, True, False]]), np.array([2]), 4).tolist()
    [0.5]
    """
    del relevant
    share: PerPerson = hits[:, :k].sum(axis=1) / k
    return share


def recall(hits: Hits, relevant: Counts, k: int) -> PerPerson:
    """Share of the person's relevant products that the K places hold."""
    share: PerPerson = hits[:, :k].sum(axis=1) / np.maximum(relevant, 1)
    return share


def hit_rate(hits: Hits, relevant: Counts, k: int) -> PerPerson:
    """1 where the K places hold at least one relevant product."""
    del relevant
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def ndcg(hits: Hits, relevant: Counts, k: int) -> PerPerson:
    """Σ 1/log2(place + 1) over hits, divided by the best that the person's relevant products allow in K places.

    >>> ndcg(np.array([[True, False]]), np.array([1]), 2).tolist()
    [1.0]
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    best = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(relevant, k)]
    return _share((hits[:, :k] * discounts).sum(axis=1), best)


def average_precision(hits: Hits, relevant: Counts, k: int) -> PerPerson:
    """Mean of the precision at each hit, over the hits that K places allow; its mean over people is MAP.

    >>> average_precision(np.array([[True, False, True]]), np.array([2]), 3).round(6).tolist()
    [0.833333]
    """
    at_hit = np.cumsum(hits[:, :k], axis=1) / np.arange(1, k + 1)
    best = np.minimum(relevant, k)
    return _share((at_hit * hits[:, :k]).sum(axis=1), best)


def _share(values: npt.NDArray[np.generic], best: npt.NDArray[np.generic]) -> PerPerson:
    """0 where nothing could have been reached."""
    reached = np.zeros(len(values), dtype=np.float64)
    np.divide(values, best, out=reached, where=np.asarray(best) > 0)
    return reached


METRICS: dict[str, Callable[[Hits, Counts, int], PerPerson]] = {
    "ndcg": ndcg,
    "recall": recall,
    "precision": precision,
    "hit_rate": hit_rate,
    "map": average_precision,
}


def per_person(metric: str, hits: Hits, relevant: Counts, k: int) -> PerPerson:
    """One figure per person.

    Args:
        metric: a key of ``METRICS``.
        hits: people × places in list order; True where the place holds a relevant product. A list that is shorter
            than the row ends in False.
        relevant: the person's relevant products, all of them, also those that nobody could have listed.
        k: places that count; at most the width of ``hits``.
    """
    assert k <= hits.shape[1], f"K = {k} but the lists have {hits.shape[1]} places"
    assert len(hits) == len(relevant)
    return METRICS[metric](hits, relevant, k)
