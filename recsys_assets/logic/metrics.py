"""Metrics per person: of the ranking at K, and of what a list holds apart from its hits.

Own code, because ``implicit``'s read past a catalogue smaller than K.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Hits = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
PerPerson = npt.NDArray[np.float64]
Columns = npt.NDArray[np.int32]
NOTHING = -1  # a place past the end of a list


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


def auc(
    scores: npt.NDArray[np.float32], positive: "sp.csr_matrix[np.bool_]", left_out: Counts | None = None
) -> PerPerson:
    """How often a product that was bought stands above one that was not; a tie counts half. NaN where one is missing.

    >>> some = np.array([[0.9, 0.5, 0.5, 0.1]], dtype=np.float32)
    >>> auc(some, sp.csr_matrix(np.array([[True, False, True, False]]))).tolist()
    [0.875]

    Args:
        scores: people × products.
        positive: people × products, what was bought.
        left_out: per person, how many products are not compared at all; none of them is positive, and their score
            is 0. (Picking the others from a row takes three times as long as sorting it whole.)
    """
    values = np.full(len(scores), np.nan)
    aside = np.zeros(len(scores), dtype=np.int64) if left_out is None else left_out
    for person, row in enumerate(scores):
        hits = row[positive.indices[positive.indptr[person] : positive.indptr[person + 1]]]
        others = len(row) - len(hits) - aside[person]
        if len(hits) and others:
            ordered = np.sort(row)
            # Places on both sides of the ties, so that a tie counts half of what is below.
            below = np.searchsorted(ordered, hits, "left") + np.searchsorted(ordered, hits, "right")
            below = below - aside[person] * ((hits > 0).astype(np.int64) + (hits >= 0))
            among_hits = len(hits) ** 2
            values[person] = (int(below.sum()) - among_hits) / (2 * len(hits) * int(others))
    return values


def mean_over_list(listed: Columns, values: npt.NDArray[np.float64], k: int) -> PerPerson:
    """Mean of a figure of each product over a person's first K places; 0 for an empty list.

    >>> mean_over_list(np.array([[0, 2, NOTHING]]), np.array([1.0, 5.0, 4.0]), 3).tolist()
    [2.5]

    Args:
        listed: people × places, columns in list order, ``NOTHING`` past a list's end.
        values: one per column.
        k: places that count.
    """
    first = listed[:, :k]
    there = first != NOTHING
    return _share(np.where(there, values[first], 0.0).sum(axis=1), there.sum(axis=1))


def self_information(buyers: Counts, people: int) -> npt.NDArray[np.float64]:
    """Per product, bits: −log2 of the share of people who bought it; who nobody bought counts as bought by one.

    Its mean over a list is the list's novelty (Zhou et al. 2010).

    >>> self_information(np.array([8, 1, 0]), 8).tolist()
    [0.0, 3.0, 3.0]
    """
    return np.asarray(np.log2(max(people, 1) / np.maximum(buyers, 1)), dtype=np.float64)


def diversity(listed: Columns, features: "sp.csr_matrix[np.float32]", k: int) -> PerPerson:
    """Mean over pairs of a person's first K places of 1 − the cosine of their features; 0 for less than two products.

    With one feature per category it is the share of pairs of different categories; a product without features is
    unlike any other.

    >>> kinds = sp.csr_matrix(np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32))
    >>> diversity(np.array([[0, 1, 2], [0, 1, NOTHING]]), kinds, 3).round(6).tolist()
    [0.666667, 0.0]

    Args:
        listed: people × places, columns in list order, ``NOTHING`` past a list's end.
        features: products × features, rows of length 1 (or 0 where nothing is known).
        k: places that count.
    """
    first = listed[:, :k]
    there = first != NOTHING
    rows = np.nonzero(there)[0]
    shape = (len(listed), features.shape[0])
    places = sp.csr_matrix((np.ones(len(rows)), (rows, first[there])), shape=shape)
    # |Σ v|² holds every pair twice, and each product with itself.
    sums = places @ features.astype(np.float64)
    alike = np.asarray(sums.multiply(sums).sum(axis=1)).ravel()
    itself = np.asarray(places @ np.asarray(features.multiply(features).sum(axis=1))).ravel()
    count = there.sum(axis=1)
    pairs = count * (count - 1)
    return _share(pairs - (alike - itself), pairs)


def coverage(listed: Columns, listable: Hits, k: int) -> float:
    """Share of the listable products that stand among the first K places of anybody.

    >>> coverage(np.array([[0, 2], [0, NOTHING]]), np.array([True, True, True, True]), 2)
    0.5
    """
    first = np.unique(listed[:, :k])
    return float(listable[first[first != NOTHING]].sum() / max(int(listable.sum()), 1))
