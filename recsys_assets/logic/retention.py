"""How long tables are kept. Every age is counted from the newest computed day, never from the clock."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from recsys_assets.columns import MEMBERS
from recsys_assets.tables import DAILY_SALES, LANDING_EVENTS, LIST_COVERAGE, TABLES

# What has no age. Products, users and rates hold until something newer says otherwise: what was delivered once, years
# ago, is still sold. Figures of the marts name no person. No table of these tells what a person did.
_MARTS = (DAILY_SALES.name, LIST_COVERAGE.name)
STANDING = (*(name for name in TABLES if name.startswith("landing_") and name != LANDING_EVENTS.name), *_MARTS)
_DAILY = {table.name for table in TABLES.values() if table.partition == "daily"}
_MODELS = tuple(f"models/{name}" for name in (*MEMBERS, "blend", "planner"))
KEPT = (*(name for name in TABLES if name not in STANDING), "choices", *_MODELS)


def horizon(computed: Iterable[date], retention_days: int) -> date:
    """The first day that is kept, of all ``computed`` ones; 0 keeps everything.

    >>> horizon([date(2017, 1, 1), date(2017, 12, 31)], 90), horizon([date(2017, 12, 31)], 0), horizon([], 90)
    (datetime.date(2017, 10, 3), datetime.date(1, 1, 1), datetime.date(1, 1, 1))
    """
    newest = max(computed, default=date.min)
    if retention_days == 0 or newest.toordinal() <= retention_days:
        return date.min
    return newest - timedelta(retention_days - 1)


def expired(
    days: Mapping[str, Iterable[date]], *, first: date, keep_as_of_days: int, spare: date | None = None
) -> dict[str, list[date]]:
    """Days to drop of ``days``, per table (or folder of models), in order; names without any are left out.

    Daily tables lose what is older than ``first``. What is made as of a day loses that too, and keeps no more than
    its newest ``keep_as_of_days`` days (0: all of them): those are counted and not dated, so that a shop that runs
    once a month still has the days to which it may roll back. ``spare`` is the day of this run.
    """
    drop = {}
    for name, found in days.items():
        ordered = sorted(found)
        gone = {day for day in ordered if day < first}
        if name not in _DAILY and keep_as_of_days:
            gone |= set(ordered[:-keep_as_of_days]) - {spare}
        if gone:
            drop[name] = sorted(gone)
    return drop
