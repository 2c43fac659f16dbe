"""Weights of a blend, chosen on people whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from recsys_assets.logic.compiled import compiled
from recsys_assets.logic.metrics import Counts, Hits
from recsys_assets.models.base import Floats
from recsys_assets.models.pool import Pool

Figure = Callable[[Hits, Counts, int], npt.NDArray[np.float64]]
Weights = dict[str, float]


def hits_at(pool: Pool, scores: Floats, hits: npt.NDArray[np.bool_], people: int, k: int) -> Hits:
    """People × K places: whether the place of each person's list by ``scores`` holds a hit; ties by column.

    Args:
        pool: candidates of ``people`` people.
        scores: per entry of the pool.
        hits: per entry of the pool, whether the person took it.
        people: number of people, also those without candidates.
        k: places.
    """
    starts = np.searchsorted(pool.rows, np.arange(people + 1))
    places = _places_of_hits(starts, scores.astype(np.float32, copy=False), hits, k)
    found = np.zeros((people, k), dtype=np.bool_)
    listed = (places >= 0) & (places < k)
    found[pool.rows[listed], places[listed]] = True
    return found


@compiled
def _places_of_hits(
    starts: npt.NDArray[np.int64], scores: Floats, hits: npt.NDArray[np.bool_], k: int
) -> npt.NDArray[np.int64]:
    """Each hit's place in its person's list, counted without sorting; -1 of what is no hit."""
    places = np.full(len(scores), -1, dtype=np.int64)
    for person in range(len(starts) - 1):
        first, last = starts[person], starts[person + 1]
        for hit in range(first, last):
            if hits[hit]:
                before = 0
                for other in range(first, last):
                    if scores[other] > scores[hit] or (scores[other] == scores[hit] and other < hit):
                        before += 1
                        if before >= k:
                            break
                places[hit] = before
    return places


def choose_weights(
    pool: Pool,
    hits: npt.NDArray[np.bool_],
    relevant: Counts,
    figure: Figure,
    k: int,
    *,
    start: Weights | None = None,
    steps: Sequence[float] = (0.0, 0.5, 0.8, 1.25, 2.0),
    rounds: int = 6,
) -> tuple[Weights, float]:
    """The weights of the pool's features under which the mean of ``figure`` is highest, and that mean.

    Coordinate ascent: each weight in turn is tried at its own value times ``steps`` (and at a tenth of the largest
    one, where it is 0), until a round changes nothing. The result never loses against ``start``, nor against the best
    single feature.

    Args:
        pool: candidates; features on one scale (each person's best 1, or root mean square 1).
        hits: per entry, whether the person took it.
        relevant: per person, products that they took, also those outside the pool.
        figure: a metric of ``logic.metrics``.
        k: places that count.
        start: default: all equal.
        steps: factors tried.
        rounds: at most.
    """
    people = len(relevant)
    seen: dict[tuple[float, ...], float] = {}

    def mean(weights: npt.NDArray[np.float64]) -> float:
        key = tuple(np.round(weights, 9).tolist())
        if key not in seen:
            scores = pool.features @ weights.astype(np.float32)
            seen[key] = round(float(figure(hits_at(pool, scores, hits, people, k), relevant, k).mean()), 9)
        return seen[key]

    size = len(pool.names)
    first = np.array([(start or dict.fromkeys(pool.names, 1.0)).get(name, 0.0) for name in pool.names])
    begun = [first, *np.eye(size)]
    best = max(begun, key=mean)
    for _ in range(rounds):
        before = mean(best)
        for place in range(size):
            values = [best[place] * step for step in steps] if best[place] else [best.max() * 0.1, best.max() * 0.3]
            tried = []
            for value in values:
                one = best.copy()
                one[place] = value
                if one.max() > 0:
                    tried.append(one / one.max())
            best = max([best, *tried], key=mean)
        if mean(best) <= before:
            break
    total = best.sum()
    return {name: round(float(weight / total), 6) for name, weight in zip(pool.names, best, strict=True)}, mean(best)
