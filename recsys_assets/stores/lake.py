"""The lake: Parquet files in folders, one per table and day.

``<root>/<table>/<day>/<part>.parquet``. A part appears whole or not at all (written beside, then renamed). Daily
and as-of tables have one part a day; landing tables have one per delivered file, and only the parts of deliveries
that were recorded as complete are read.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from recsys_assets.errors import NotFoundError, TableError
from recsys_assets.tables import Table

PART = "part"


@dataclass(frozen=True)
class Delivery:
    """One file of the shop that has landed whole.

    ``file_id`` is a hash of its bytes, ``rows`` counts its rows as read, ``days`` the rows that landed per day.
    """

    file_id: str
    table: str
    format: str
    path: str
    map: str | None
    rows: int
    days: dict[str, int]
    size: int
    modified_ns: int
    landed_at: str


def days_between(first: date, last: date) -> list[date]:
    """Every day from ``first`` to ``last``, both included."""
    return [first + timedelta(n) for n in range((last - first).days + 1)]


class Lake:
    """All tables under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, table: Table, day: date) -> Path:
        """Where the parts of one day stand."""
        return self.root / table.name / day.isoformat()

    def write(self, table: Table, day: date, frame: pl.DataFrame, part: str = PART) -> int:
        """Replaces one part of one day; returns its rows.

        Raises:
            TableError: the frame is not of the table's columns and dtypes.
        """
        folder = self.folder(table, day)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{part}.parquet"
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        table.conform(frame).write_parquet(beside, compression="zstd", compression_level=1)
        beside.replace(path)
        return frame.height

    def write_daily(self, table: Table, days: Sequence[date], frame: pl.DataFrame) -> dict[date, int]:
        """Replaces every one of ``days`` from a frame with ``event_date``; days without rows get an empty part.

        Raises:
            TableError: a row lies on none of the days, or the frame is not of the table's columns and dtypes.
        """
        table.conform(frame)
        by_day = {
            key[0]: part for key, part in frame.partition_by("event_date", as_dict=True, maintain_order=True).items()
        }
        stray = sorted(map(str, set(by_day) - set(days)))
        if stray:
            raise TableError(f"table {table.name}: rows of {', '.join(stray[:3])} among the days {days[0]}–{days[-1]}")
        return {day: self.write(table, day, by_day.get(day, table.empty())) for day in days}

    def days(self, table: Table) -> list[date]:
        """Days that have a part, in order."""
        folder = self.root / table.name
        if not folder.exists():
            return []
        return sorted(date.fromisoformat(entry.name) for entry in folder.iterdir() if any(entry.glob("*.parquet")))

    def modified(self, table: Table, day: date) -> int | None:
        """When the newest part of one day was written, nanoseconds since 1970; None where there is none."""
        return max((file.stat().st_mtime_ns for file in self._files(table, [day], None)), default=None)

    def _files(self, table: Table, days: Iterable[date], parts: set[str] | None) -> list[Path]:
        files = []
        for day in days:
            folder = self.folder(table, day)
            if folder.exists():
                files += [f for f in sorted(folder.glob("*.parquet")) if parts is None or f.stem in parts]
        return files

    def scan(self, table: Table, days: Iterable[date], parts: set[str] | None = None) -> pl.LazyFrame:
        """Rows of several days; a day without a part has none."""
        files = self._files(table, days, parts)
        return pl.scan_parquet(files, hive_partitioning=False) if files else table.empty().lazy()

    def read(self, table: Table, day: date) -> pl.DataFrame:
        """Rows of one day that must be there.

        Raises:
            NotFoundError: the day was never written; the message says which asset writes it.
        """
        files = self._files(table, [day], None)
        if not files:
            raise NotFoundError(f"no {table.name} of {day}: materialize the asset {table.name} for that day first.")
        return pl.read_parquet(files, hive_partitioning=False)

    def folder_of(self, name: str, day: date) -> Path:
        """Folder of things that are no table: a model's arrays, choices."""
        return self.root / name / day.isoformat()

    # Deliveries: what makes landed parts count.

    @property
    def _deliveries(self) -> Path:
        return self.root / "deliveries"

    def record(self, delivery: Delivery) -> None:
        """Makes the parts of one delivered file count, all at once."""
        self._deliveries.mkdir(parents=True, exist_ok=True)
        path = self._deliveries / f"{delivery.file_id}.json"
        beside = path.with_suffix(".tmp")
        beside.write_text(json.dumps(asdict(delivery), indent=1, sort_keys=True))
        beside.replace(path)

    def withdraw(self, delivery: Delivery) -> None:
        """Takes one delivered file back: it stops counting at once, then its parts go."""
        (self._deliveries / f"{delivery.file_id}.json").unlink(missing_ok=True)
        for day in delivery.days:
            (self.root / delivery.table / day / f"{delivery.file_id}.parquet").unlink(missing_ok=True)

    def deliveries(self, table: Table | None = None) -> Iterator[Delivery]:
        """Recorded deliveries in order of file id."""
        if self._deliveries.exists():
            for path in sorted(self._deliveries.glob("*.json")):
                delivery = Delivery(**json.loads(path.read_text()))
                if table is None or delivery.table == table.name:
                    yield delivery

    def scan_landed(self, table: Table, days: Iterable[date]) -> pl.LazyFrame:
        """Landed rows of several days, of recorded deliveries only."""
        return self.scan(table, days, {delivery.file_id for delivery in self.deliveries(table)})

    def drop(self, table: Table, day: date) -> None:
        """Removes one day."""
        shutil.rmtree(self.folder(table, day), ignore_errors=True)
