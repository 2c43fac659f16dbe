"""Files of a made-up shop, and a home to land them in."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from recsys_assets.contract import Kind
from recsys_assets.importers.ingest import LANDING, ingest
from recsys_assets.importers.reports import FileReport
from recsys_assets.settings import Home, Source
from recsys_assets.stores.lake import Lake

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


def event(**change: Any) -> dict[str, Any]:
    """A valid purchase."""
    made: dict[str, Any] = {
        "event_type": "purchase",
        "event_time": "2024-05-01T09:30:00Z",
        "user_id": "u-1",
        "product_id": "p-1",
        "quantity": 2,
        "unit_price": 2.49,
    }
    return made | change


def jsonl(rows: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def csv_bytes(rows: Sequence[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@dataclass
class Desk:
    """A home, a folder of the shop, and its ingest."""

    home: Home
    folder: Path

    @property
    def lake(self) -> Lake:
        return Lake(self.home.lake)

    def put(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def take(
        self,
        path: Path | str,
        format: str = "contract",
        *,
        map: Path | None = None,
        check: bool = False,
        kind: Kind | None = None,
        now: datetime = NOW,
        **more: Any,
    ) -> list[FileReport]:
        source = Source(format=format, path=str(path), map=str(map) if map else None)
        return ingest(self.lake, self.home, source, now=now, check=check, kind=kind, **more)

    def one(self, name: str, data: bytes, **how: Any) -> FileReport:
        (report,) = self.take(self.put(name, data), **how)
        return report

    def landed(self, kind: Kind = "events") -> pl.DataFrame:
        table = LANDING[kind]
        return self.lake.scan_landed(table, self.lake.days(table)).collect().sort("source_file", "source_line")


def reasons(report: FileReport) -> dict[str, int]:
    return {reason: found.rows for reason, found in report.rejected.items()}
