"""Nights that the rules of volume and hours stop, of made shops of 5 to 10,000 lines a day, a year each.

``false`` is ordinary nights that stop. Then afternoons that are cut off at 13:00 and days of which half of the people
are missing: how many stop the night, and how many are named (stopped or warned of). Holidays are left out, and days of
a campaign where something is missing.

Run: ``python -m recsys_assets_tests.benchmarks.bench_nights``
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.outliers import Anomaly, volumes
from recsys_assets.tuning import Quality

SIZES = (5, 10, 25, 50, 100, 200, 500, 1_000, 3_000, 10_000)
FIRST, DAYS = date(2024, 1, 1), 365
PER_VISIT = 2.5  # lines of a visit, geometric
BOUGHT = 0.3  # share of the lines that are purchases
HOLIDAYS = (200, 201, 358, 359)
QUALITY = Quality()
KNOWN = 7 * QUALITY.weeks  # days before the first that is judged
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Visits:
    """A day's visits, each of a person of its own: hour, lines, and how many of these are purchases."""

    hour: Numbers
    lines: Numbers
    bought: Numbers

    def where(self, mask: npt.NDArray[np.bool_]) -> "Visits":
        return Visits(self.hour[mask], self.lines[mask], self.bought[mask])


@dataclass(frozen=True)
class Shop:
    """``KNOWN`` days and a year of visits; ``campaigns`` are days of far more."""

    days: tuple[Visits, ...]
    campaigns: frozenset[int]


def shop(lines: int, seed: int, days: int = DAYS) -> Shop:
    """A shop with so many ``lines`` a day on average.

    Weekdays differ by up to ± 40 %, on weekends it opens later; it grows by half in a year, with a season of ± 20 %, a
    rise of 40 % before Christmas, days that vary by 8 %, a campaign a month (1.5 to 3 times as much), and four holidays
    of a tenth.
    """
    made = np.random.default_rng([seed, lines])
    weekday = made.uniform(0.6, 1.4, 7)
    weekday /= weekday.mean()
    visits, campaigns = [], set()
    for n in range(KNOWN + days):
        of_week = (FIRST + timedelta(n)).weekday()
        mean = lines * weekday[of_week] * (0.75 + 0.5 * n / 393) * (1 + 0.2 * np.sin(2 * np.pi * n / 365))
        if 320 <= n <= 357:
            mean *= 1 + 0.4 * (n - 320) / 37
        mean *= np.exp(made.normal(0, 0.08))
        if made.random() < 1 / 30:
            campaigns.add(n)
            mean *= made.uniform(1.5, 3)
        if n in HOLIDAYS:
            mean *= 0.1
        count = made.poisson(mean / PER_VISIT)
        taken = made.geometric(1 / PER_VISIT, count)
        visits.append(Visits(made.choice(24, count, p=_hours(of_week)), taken, made.binomial(taken, BOUGHT)))
    return Shop(tuple(visits), frozenset(campaigns))


def _hours(of_week: int) -> npt.NDArray[np.float64]:
    opened, closed = (8, 21) if of_week < 5 else (10, 18)
    hour = np.arange(24)
    busy = 1 + 0.8 * np.exp(-(((hour - 12) / 2) ** 2)) + 1.2 * np.exp(-(((hour - 19) / 2) ** 2))
    busy[(hour < opened) | (hour >= closed)] = 0.02
    return np.asarray(busy / busy.sum())


def counted(day: date, visits: Visits) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What `daily_counts` and `daily_people` say of a day."""
    parts = []
    for kind, number in (("purchase", visits.bought), ("view", visits.lines - visits.bought)):
        hourly = np.bincount(visits.hour, weights=number, minlength=24).astype(np.int64)
        parts.append(pl.DataFrame({"_hour": np.arange(24), "_count": hourly}).with_columns(event_type=pl.lit(kind)))
    hours = pl.concat(parts).filter(pl.col("_count") > 0).with_columns(event_date=pl.lit(day))
    people = pl.DataFrame({"event_date": [day], "_people": [len(visits.hour)]}).filter(pl.col("_people") > 0)
    return hours, people


class Year:
    """Judges days of a shop, as they are or as they might have been delivered."""

    def __init__(self, made: Shop) -> None:
        self.made = made
        self._days = [FIRST + timedelta(n) for n in range(len(made.days))]
        self._counted = [counted(day, visits) for day, visits in zip(self._days, made.days, strict=True)]

    def judged(self, n: int, instead: Visits | None = None) -> list[Anomaly]:
        """What is said of day ``n``, or of ``instead`` in its place."""
        told = self._counted[n - KNOWN : n]
        told = [*told, self._counted[n] if instead is None else counted(self._days[n], instead)]
        hours, people = (pl.concat(frames) for frames in zip(*told, strict=True))
        return volumes(hours, people, [self._days[n]], QUALITY)

    def ordinary(self) -> list[int]:
        """Days to judge: all but holidays."""
        return [n for n in range(KNOWN, len(self._days)) if n not in HOLIDAYS]


def stops(found: Sequence[Anomaly]) -> bool:
    return any(one.severity == "error" for one in found)


@dataclass(frozen=True)
class Rates:
    """Shares: of ordinary nights that stop or warn; of what is cut and of missing people, that stop and are named."""

    nights: int
    false: float
    warned: float
    cut: tuple[float, float]
    half: tuple[float, float]


def rates(lines: int, seeds: Sequence[int], days: int = DAYS, every: int = 1) -> Rates:
    """Over a year of a shop per seed; what is missing is tried on each ``every``-th day."""
    ordinary, damaged = list[list[Anomaly]](), dict[str, list[list[Anomaly]]]({"cut": [], "half": []})
    for seed in seeds:
        year, made = Year(shop(lines, seed, days)), np.random.default_rng(seed)
        ordinary += [year.judged(n) for n in year.ordinary()]
        for n in [n for n in year.ordinary() if n not in year.made.campaigns][::every]:
            visits = year.made.days[n]
            damaged["cut"].append(year.judged(n, visits.where(visits.hour < 13)))
            damaged["half"].append(year.judged(n, visits.where(made.random(len(visits.hour)) < 0.5)))
    share = {name: (_mean(map(stops, found)), _mean(map(bool, found))) for name, found in damaged.items()}
    warned = _mean(bool(one) and not stops(one) for one in ordinary)
    return Rates(len(ordinary), _mean(map(stops, ordinary)), warned, share["cut"], share["half"])


def _mean(flags: Iterable[bool]) -> float:
    return float(np.mean(list(flags)))


def main() -> None:
    print("lines a day   nights   false stops   warned   cut: stopped  named   half missing: stopped  named")
    for lines in SIZES:
        found = rates(lines, range(3) if lines <= 1_000 else range(1), every=3)
        print(
            f"{lines:>11,} {found.nights:>8,} {found.false:>13.2%} {found.warned:>8.1%} "
            f"{found.cut[0]:>14.0%} {found.cut[1]:>6.0%} {found.half[0]:>23.0%} {found.half[1]:>6.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
