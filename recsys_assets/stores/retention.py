"""What a lake no longer has to keep, and its removal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from recsys_assets.logic import retention as logic
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import CLEAN_EVENTS, Table
from recsys_assets.tuning import Tuning


@dataclass(frozen=True)
class Expired:
    """Days of one table (or of one folder of models) that are older than the home keeps them."""

    table: str
    days: tuple[date, ...]
    files: int
    bytes: int


def expired(lake: Lake, tuning: Tuning, spare: date | None = None) -> list[Expired]:
    """One row per table that has days to drop. ``spare``: a day whose features and lists stay, being just made."""
    parts = {name: lake.parts(name) for name in logic.KEPT}
    found = logic.expired(
        parts,
        first=first_kept(lake, tuning),
        keep_as_of_days=tuning.keep_as_of_days,
        spare=spare,
    )
    return [
        Expired(
            name,
            tuple(days),
            files=sum(len(parts[name][day]) for day in days),
            bytes=sum(sum(parts[name][day].values()) for day in days),
        )
        for name, days in found.items()
    ]


def first_kept(lake: Lake, tuning: Tuning) -> date:
    """The first day whose events are kept."""
    return logic.horizon(lake.days(CLEAN_EVENTS), tuning.retention_days)


def gone(lake: Lake, table: Table) -> dict[date, int]:
    """Rows that landed once, per day of which the lake holds none any more."""
    there = set(lake.days(table))
    rows: dict[date, int] = {}
    for delivery in lake.deliveries(table):
        for text, count in delivery.days.items():
            if (day := date.fromisoformat(text)) not in there:
                rows[day] = rows.get(day, 0) + count
    return rows


def drop(lake: Lake, tables: Sequence[Expired]) -> None:
    """Removes what `expired` named. Records of deliveries stay, so that no file lands again."""
    for table in tables:
        for day in table.days:
            lake.drop(table.table, day)
