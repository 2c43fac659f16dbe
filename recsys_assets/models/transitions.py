"""Products taken after one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys_assets.logic.compiled import compiled
from recsys_assets.models.base import Arrays, Floats, Interactions, Matrix, Steps, names
from recsys_assets.models.multiply import Integers, by_rows, damped, dense

Numbers = npt.NDArray[np.float64]


class Transitions:
    """Directed rules "b was taken after a", counted over the last baskets of everybody and asked of a person's last.

    A rule gains distance ** -rule_decay whenever b follows a within ``reach`` baskets, and ``backward`` times that
    when b comes before a (Kamehkhosh, Jannach and Ludewig 2017, "sequential rules"). It is divided by the entries of
    a to ``source_exponent`` and by those of b to ``product_exponent``: far less than a cosine does (.5 each), because
    what people take next is mostly popular. A person's score for b is Σ over the products of their last ``reach``
    baskets of rule × place ** -step_decay, places counted from 1 at the last basket.

    Products that are taken lately are taken next: each rule is multiplied by b's recent share of all its entries to
    ``trend_exponent``, where an entry of age t counts .5 ** (t / trend_half_life). With a ``half_life`` above 0,
    pairs and entries fade by the days between them as well as by baskets. Products of one basket have no order and
    make no rule, nor does a product with itself.

    Args:
        reach: baskets that a rule spans, and last baskets of a person that are asked.
        rule_decay: exponent of the distance when rules are counted.
        step_decay: exponent of the place when a person is scored.
        backward: weight of pairs in the reverse order; 1 makes the rules symmetric.
        source_exponent: of the popularity of the product that the rule starts from.
        product_exponent: of the popularity of the product that it leads to.
        trend_exponent: of the recent share of the product that it leads to; 0 = ignored.
        trend_half_life: in units of ``Steps.ages``; 0 = half the median age, so that it suits days as well as steps.
        half_life: of pairs and entries, in units of ``Steps.ages``; 0 = ages are ignored.
        neighbours: rules kept per product, the strongest.
        threads: 0 = all cores; never changes a result.
    """

    name = "transitions"

    def __init__(
        self,
        *,
        reach: int = 10,
        rule_decay: float = 1.0,
        step_decay: float = 1.0,
        backward: float = 0.2,
        source_exponent: float = 0.3,
        product_exponent: float = 0.1,
        trend_exponent: float = 0.3,
        trend_half_life: float = 0.0,
        half_life: float = 0.0,
        neighbours: int = 500,
        threads: int = 0,
    ) -> None:
        self.reach = reach
        self.rule_decay = rule_decay
        self.step_decay = step_decay
        self.backward = backward
        self.source_exponent = source_exponent
        self.product_exponent = product_exponent
        self.trend_exponent = trend_exponent
        self.trend_half_life = trend_half_life
        self.half_life = half_life
        self.neighbours = neighbours
        self._threads = threads

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {
            "reach": self.reach,
            "rule_decay": self.rule_decay,
            "step_decay": self.step_decay,
            "backward": self.backward,
            "source_exponent": self.source_exponent,
            "product_exponent": self.product_exponent,
            "trend_exponent": self.trend_exponent,
            "trend_half_life": self.trend_half_life,
            "half_life": self.half_life,
            "neighbours": self.neighbours,
        }

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``."""
        self.product_ids = train.product_ids
        steps, size = train.steps, len(train.product_ids)
        entries = np.bincount(steps.columns, minlength=size)
        leads_to = damped(entries, self.product_exponent) * self._trend(steps, entries) ** self.trend_exponent
        leads_from = damped(entries, self.source_exponent)
        starts = np.concatenate([[0], np.cumsum(entries)])
        by_product = np.argsort(steps.columns, kind="stable")
        lengths = np.diff(steps.indptr)
        begins, ends = np.repeat(steps.indptr[:-1], lengths), np.repeat(steps.indptr[1:], lengths)
        decay = np.concatenate([[0.0], np.arange(1, self.reach + 1, dtype=np.float64) ** -self.rule_decay])

        def work(first: int, last: int) -> tuple[Integers, Integers, Floats]:
            return _rules(
                starts, by_product, begins, ends, steps.columns, steps.baskets, steps.ages,
                decay, float(self.backward), float(self.half_life), leads_from, leads_to,
                min(self.neighbours, size), first, last,
            )  # fmt: skip

        counts, columns, rules = zip(*by_rows(work, size, self._threads), strict=True)
        self._use(np.concatenate(rules), np.concatenate(columns), np.concatenate([[0], *counts]).cumsum())

    def sparse_scores(self, history: Interactions) -> Matrix:
        """``scores`` without the zeros."""
        return sp.csr_matrix(self._asked(history.steps) @ self.rules)

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        return dense(self._asked(history.steps), self.rules, threads=self._threads)

    def arrays(self) -> Arrays:
        """Item-side arrays."""
        return {
            "product_ids": self.product_ids,
            "data": self.rules.data,
            "indices": self.rules.indices,
            "indptr": self.rules.indptr,
        }

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``."""
        self.product_ids = names(arrays)
        self._use(*(arrays[part] for part in ("data", "indices", "indptr")))

    def _use(
        self, data: npt.NDArray[np.generic], indices: npt.NDArray[np.generic], indptr: npt.NDArray[np.generic]
    ) -> None:
        size = len(self.product_ids)
        self.rules: Matrix = sp.csr_matrix(
            (data.astype(np.float32), indices.astype(np.int32), indptr.astype(np.int32)), shape=(size, size)
        )

    def _trend(self, steps: Steps, entries: npt.NDArray[np.int64]) -> Numbers:
        """Each product's recent share of its entries, above 0: with one more entry, of which the average is recent."""
        if not len(steps.ages):
            return np.ones(len(entries))
        ages = steps.ages.astype(np.float64)
        recent = 0.5 ** (ages / (self.trend_half_life or max(float(np.median(ages)) / 2, 1.0)))
        # Never 0, however old all entries are: a product of which nothing is recent still leads somewhere.
        average = max(float(recent.mean()), 1e-9)
        share: Numbers = (np.bincount(steps.columns, recent, len(entries)) + average) / (entries + 1)
        return share

    def _asked(self, steps: Steps) -> Matrix:
        """People × products: how much each product of the last baskets is asked."""
        filled = np.diff(steps.indptr) > 0
        last = np.zeros(len(filled), dtype=np.int64)
        youngest = np.zeros(len(filled), dtype=np.float64)
        if filled.any():
            begins = steps.indptr[:-1][filled]
            last[filled] = np.maximum.reduceat(steps.baskets, begins)
            youngest[filled] = np.minimum.reduceat(steps.ages, begins)
        rows = steps.rows
        places = (last[rows] - steps.baskets + 1).astype(np.float64)
        weights = places**-self.step_decay
        if self.half_life > 0:
            weights *= 0.5 ** ((steps.ages - youngest[rows]) / self.half_life)
        near = places <= self.reach
        kept = (weights[near].astype(np.float32), (rows[near], steps.columns[near]))
        return sp.csr_matrix(kept, shape=(len(filled), len(self.product_ids)))


@compiled
def _rules(
    starts: npt.NDArray[np.int64], by_product: npt.NDArray[np.int64],
    begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64],
    columns: Integers, baskets: Integers, ages: Floats, decay: Numbers, backward: float, half_life: float,
    leads_from: Numbers, leads_to: Numbers, neighbours: int, first: int, last: int,
) -> tuple[Integers, Integers, Floats]:  # fmt: skip
    """Rules from the products ``first`` up to ``last``: how many of each, to which (ascending), how strong."""
    size = len(leads_to)
    reach = len(decay) - 1
    total = np.zeros(size, dtype=np.float64)
    touched = np.empty(size, dtype=np.int32)
    counts = np.zeros(last - first, dtype=np.int32)
    kept_columns = np.empty((last - first) * neighbours, dtype=np.int32)
    kept_rules = np.empty((last - first) * neighbours, dtype=np.float32)
    filled = 0
    for source in range(first, last):
        found = 0
        for place in range(starts[source], starts[source + 1]):
            entry = by_product[place]
            for direction, weight in ((1, 1.0), (-1, backward)):
                other = entry + direction
                while weight > 0.0 and begins[entry] <= other < ends[entry]:
                    distance = (baskets[other] - baskets[entry]) * direction
                    if distance > reach:
                        break
                    column = columns[other]
                    if distance > 0 and column != source:
                        gain = weight * decay[distance]
                        if half_life > 0.0:
                            gain *= 0.5 ** (abs(ages[entry] - ages[other]) / half_life)
                        if total[column] == 0.0:
                            touched[found] = column
                            found += 1
                        # Never 0 again once counted, also where the days between have faded a pair to nothing.
                        total[column] += max(gain, 1e-30)
                    other += direction
        chosen = np.sort(touched[:found])
        strength = total[chosen] * leads_to[chosen]
        total[chosen] = 0.0
        if found > neighbours:
            # Stable, so that of equal rules the one to the smaller column stays.
            best = np.sort(np.argsort(-strength, kind="mergesort")[:neighbours])
            chosen, strength = chosen[best], strength[best]
        counts[source - first] = len(chosen)
        for place in range(len(chosen)):
            kept_columns[filled] = chosen[place]
            kept_rules[filled] = strength[place] * leads_from[source]
            filled += 1
    return counts, kept_columns[:filled].copy(), kept_rules[:filled].copy()
