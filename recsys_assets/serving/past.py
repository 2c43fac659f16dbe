"""The generation that answers for a moment: ``timestamp`` of `/api/v1`."""

import re
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from recsys_assets.logic.blending import Product
from recsys_assets.serving.api import Api
from recsys_assets.serving.pointer import Live, by_category
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.record import record

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_MICROSECONDS = re.compile(r"(\.\d{6})\d+")
Moment = date | datetime
MOMENT_SCHEMA = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
MOMENT_SAYS = (
    "A day, or a time with its offset (RFC 3339). The answer comes from the newest generation whose data day is not "
    "after it, in the shop's time zone; a moment to come is answered by the live one."
)


def moment(raw: str) -> Moment:
    """A day, or a time with an offset.

    Raises:
        ValueError: it is neither.

    >>> moment("2017-12-31"), moment("2017-12-31t03:00:00Z").isoformat()
    (datetime.date(2017, 12, 31), '2017-12-31T03:00:00+00:00')
    """
    try:
        if _DATE.fullmatch(raw):
            return date.fromisoformat(raw)
        if _TIME.fullmatch(raw):
            return datetime.fromisoformat(_MICROSECONDS.sub(r"\1", raw.upper()))
    except ValueError:
        pass
    # In a query string a plus means a space: who forgets to encode it reads why.
    raise ValueError(
        "is neither a day such as 2017-12-31 nor a time such as 2017-12-31T18:30:00Z or 2017-12-31T18:30:00%2B01:00"
    )


def day_of(asked: Moment, zone: str) -> date:
    """The shop's day of a moment.

    >>> day_of(moment("2017-12-31T23:30:00Z"), "Europe/Berlin")
    datetime.date(2018, 1, 1)
    """
    if not isinstance(asked, datetime):
        return asked
    try:
        return asked.astimezone(ZoneInfo(zone)).date()
    except OverflowError:  # within a day of the calendar's first or last: its own day is near enough
        return asked.date()


class Past:
    """Kept generations beside the live one. Their popular lists never change, so that they are read once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._popular: dict[int, dict[str, list[Product]]] = {}

    async def at(self, asked: Moment | None) -> Live:
        """What answers for a moment; None: now.

        From the live day on it is the live generation: one of a later day that is kept was rolled back.

        Raises:
            ProblemError: 404 where nothing so old is kept, 503 where Postgres does not say what is.
        """
        live = self._api.live()
        if asked is None or (day := day_of(asked, self._api.home.config.time_zone)) >= live.day:
            return live
        kept = await record(self._api, "read/past")
        found = next((row for row in kept if row["day"] <= day), None)
        if found is None:
            oldest = min([live.day, *(row["day"] for row in kept)]).isoformat()
            said = f"Nothing as old is kept: the oldest day is {oldest}."
            raise ProblemError(404, "Too old", said, parameter="timestamp", oldest_day=oldest)
        number = found["generation"]
        if number not in self._popular:
            lists = await record(self._api, "read/cached_popular", {"generation": number})
            known = {row["generation"] for row in kept}
            self._popular = {n: value for n, value in self._popular.items() if n in known}
            self._popular[number] = by_category(lists[0]["value"] if lists else None)
        # What is sold out today cannot be bought of yesterday's list either: changes are those of the live one.
        return replace(live, **found, popular=self._popular[number])
