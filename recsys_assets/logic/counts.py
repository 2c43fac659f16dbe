"""How many are to be expected of what is counted every day, and by how much chance alone misses that.

Counts are Poisson-like and restless: visits come in bursts, and busy days follow quiet ones. A shop's own weeks say how
restless it is, so that five lines a day are judged as fairly as ten thousand (`bench_nights` measures both).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from statistics import fmean, median, median_low

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincc, betaln, gammainc, gammaincc

Counts = Mapping[date, int]
_TRIMMED = 1 / 7  # share of the days below what was expected, the worst ones, that says nothing: holidays
_KEPT = 0.534  # mean square of a normal distribution's values, the largest seventh by size left out
_TO_FOLLOW = 300  # events a week at which half of what the last days tell about the level is believed


def expected(series: Counts, day: date, past: Sequence[date]) -> float:
    """How many ``day`` should have: the median of its weekday in ``past``, at the level of the seven days before it.

    The level (season, growth) is the median of what the days of a week have over their weekdays' usual; medians let no
    broken day, and no holiday, move much.

    >>> from datetime import timedelta
    >>> past = [date(2024, 1, 1) + timedelta(n) for n in range(28)]
    >>> expected(dict.fromkeys(past, 100), date(2024, 1, 29), past)
    100.0
    """
    return _Weeks(series, day, past).of(day)


def spread(series: Counts, day: date, past: Sequence[date]) -> float:
    """Variance over mean of what the other weeks expect of each of ``past``; 1 for a Poisson count, never less.

    Only days below what was expected count: a campaign tells nothing of how quiet a day can be.
    """
    weeks = _Weeks(series, day, past)
    low = []
    for one in past:
        should = weeks.of(one)
        if (count := series.get(one, 0)) < should:
            low.append((count - should) ** 2 / max(should, 1.0))
    kept = sorted(low)[: len(low) - round(len(low) * _TRIMMED)]
    return max(1.0, fmean(kept) / _KEPT) if kept else 1.0


def chance_of_so_few(count: int, mean: float, spread: float) -> float:
    """P(N ≤ count) where N is negative binomial with this mean and variance ``mean × spread``; Poisson at 1.

    >>> round(chance_of_so_few(0, 3.0, 1.0), 4)  # exp(-3)
    0.0498
    """
    if mean <= 0:
        return 1.0
    if spread < 1.0001:
        return float(gammaincc(count + 1, mean))
    return float(betainc(mean / (spread - 1), count + 1, 1 / spread))


def chance_of_so_many(count: int, mean: float, spread: float) -> float:
    """P(N ≥ count) of the same distribution."""
    if count <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    if spread < 1.0001:
        return float(gammainc(count, mean))
    return float(betaincc(mean / (spread - 1), count, 1 / spread))


def burst(tables: Iterable[npt.NDArray[np.int64]]) -> float:
    """About how many events come at once: chi-square over degrees of freedom of tables days × hours, at least 1.

    It compares hours within days, so that it does not matter how busy a day was.
    """
    found = free = 0.0
    for table in tables:
        made = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
        if len(made) < 2:
            continue
        should = made.sum(axis=1, keepdims=True) * made.sum(axis=0) / made.sum()
        found += float(((made - should) ** 2 / should).sum())
        free += (made.shape[0] - 1) * (made.shape[1] - 1)
    return max(1.0, found / free) if free else 1.0


def chance_of_empty(inside: int, outside: int, count: int, burst: float) -> float:
    """That none of ``count`` events falls where ``inside`` of ``inside + outside`` earlier ones did (beta-binomial).

    >>> round(chance_of_empty(50, 50, 10, 1.0), 4)  # about 1/2 to the power of 10
    0.0015
    """
    a, b = inside / burst + 0.5, outside / burst + 0.5
    return math.exp(betaln(a, b + count / burst) - betaln(a, b))


def odds(chance: float) -> str:
    """In words.

    >>> odds(0.0004), odds(1e-12), odds(0.3)
    ('chance 1 in 2,500', 'chance below 1 in a million', 'chance 1 in 3')
    """
    return "chance below 1 in a million" if chance < 1e-6 else f"chance 1 in {float(f'{1 / chance:.2g}'):,.0f}"


class _Weeks:
    """The weeks before a day: seven days each, counted back from it."""

    def __init__(self, series: Counts, day: date, past: Sequence[date]) -> None:
        self._series, self._day = series, day
        self._alike: dict[int, list[date]] = {}
        self._week: dict[int, list[date]] = {}
        for one in past:
            self._alike.setdefault(one.weekday(), []).append(one)
            self._week.setdefault(self._number(one), []).append(one)
        usual = {of: median(series.get(one, 0) for one in days) for of, days in self._alike.items()}
        self._ratio = {one: series.get(one, 0) / usual[one.weekday()] if usual[one.weekday()] else 1.0 for one in past}
        total = sum(usual.values())
        self._trust = total / (total + _TO_FOLLOW)
        self._levels = {week: self._level(days) for week, days in self._week.items()}

    def of(self, day: date) -> float:
        """What the weeks expect of a day, without what it had itself."""
        own = self._week.get(max(self._number(day), 0), [])
        level = self._level([one for one in own if one != day])
        others = [one for one in self._alike[day.weekday()] if one != day]
        if not others:
            return float(self._series.get(day, 0))
        # Of an even number the lower one in the middle: two campaigns on one weekday do not say what is usual.
        usual: float = median_low(self._series.get(one, 0) / self._levels[self._number(one)] for one in others)
        return level * usual

    def _number(self, day: date) -> int:
        return ((self._day - day).days - 1) // 7

    def _level(self, days: Sequence[date]) -> float:
        found: float = median(self._ratio[one] for one in days) if days else 1.0
        return math.pow(max(found, 0.1), self._trust)
