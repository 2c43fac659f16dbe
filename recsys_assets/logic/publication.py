"""Whether a computed day is published: the newest day is, an older one by an explicit wish alone."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

Wish = Literal["yes", "no"]
TAG = "recsys/publish"  # of a run: the wish, where there is one


@dataclass(frozen=True)
class Publication:
    """Why a day is not published, as the end of a sentence, empty where it is; whether somebody asked for it to be."""

    why: str = ""
    asked: bool = False

    @property
    def publishes(self) -> bool:
        """Whether the day goes live where the gate lets it."""
        return not self.why


def publication(
    day: date, newest: date, live: tuple[int, date] | None, wish: Wish | None, *, backfill: bool
) -> Publication:
    """Whether a run of ``day`` publishes it.

    Args:
        day: what the run computes.
        newest: the last whole day of the shop.
        live: the live generation and its day.
        wish: what somebody has asked for.
        backfill: the run is one of several that were started at once.

    >>> may, june = date(2026, 5, 1), date(2026, 6, 1)
    >>> publication(may, june, (3, june), None, backfill=False).why
    'generation 3 for 2026-06-01 is live, which is later'
    >>> publication(may, june, (3, june), "yes", backfill=False).publishes
    True
    """
    if wish == "no":
        return Publication("it was to be computed only")
    if wish == "yes":
        return Publication(asked=True)
    if live is not None and day < live[1]:
        return Publication(f"generation {live[0]} for {live[1]} is live, which is later")
    if backfill and day < newest:
        return Publication(f"of a backfill only the newest day, {newest}, is published")
    return Publication()
