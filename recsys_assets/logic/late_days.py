"""Past days whose clean events are no longer what has landed, and which of them a night redoes."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

Files = Mapping[date, Set[str]]


@dataclass(frozen=True)
class LateDays:
    """Stale days up to a day: those near enough to be redone with it, and the older ones, which are only named."""

    redo: tuple[date, ...]
    older: tuple[date, ...]


def stale_days(landed: Files, audited: Files) -> list[date]:
    """Days on which the files that hold rows are not those that were cleaned, in order.

    A day that was never cleaned is one; so is a day from which a file was withdrawn.

    >>> stale_days({date(2024, 3, 1): {"a", "late"}, date(2024, 3, 2): {"a"}},
    ...            {date(2024, 3, 1): {"a"}, date(2024, 3, 2): {"a"}, date(2024, 3, 3): {"gone"}})
    [datetime.date(2024, 3, 1), datetime.date(2024, 3, 3)]
    """
    nothing: Set[str] = frozenset()
    return sorted(day for day in {*landed, *audited} if set(landed.get(day, nothing)) != set(audited.get(day, nothing)))


def late_days(stale: Sequence[date], as_of: date, days: int) -> LateDays:
    """What the run of ``as_of`` does about the ``stale`` days before it; ``days`` is how far back it goes.

    >>> late_days([date(2024, 3, 1), date(2024, 3, 7), date(2024, 3, 9)], date(2024, 3, 8), 7)
    LateDays(redo=(datetime.date(2024, 3, 1), datetime.date(2024, 3, 7)), older=())
    """
    first = as_of - timedelta(days)
    return LateDays(
        redo=tuple(day for day in stale if first <= day < as_of), older=tuple(day for day in stale if day < first)
    )


def told(days: Sequence[date]) -> str:
    """What a person reads of days that a night does not redo.

    >>> told([date(2024, 3, 1), date(2024, 3, 3)])
    '2 earlier days (2024-03-01 to 2024-03-03) are not what has landed: `recsys run history --changed` redoes them'
    """
    if not days:
        return "every earlier day is what has landed"
    which = str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"
    several = len(days) > 1
    return (
        f"{len(days):,} earlier day{'s' if several else ''} ({which}) {'are' if several else 'is'} not what has "
        f"landed: `recsys run history --changed` redoes {'them' if several else 'it'}"
    )


def ranges(days: Sequence[date]) -> list[tuple[date, date]]:
    """First and last day of each run of consecutive days; ``days`` in order.

    >>> ranges([date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 2)])  # doctest: +NORMALIZE_WHITESPACE
    [(datetime.date(2024, 2, 28), datetime.date(2024, 2, 29)),
     (datetime.date(2024, 3, 2), datetime.date(2024, 3, 2))]
    """
    if not days:
        return []
    gaps = [(before, after) for before, after in pairwise(days) if after - before > timedelta(1)]
    starts = [days[0], *(after for _, after in gaps)]
    ends = [*(before for before, _ in gaps), days[-1]]
    return list(zip(starts, ends, strict=True))
