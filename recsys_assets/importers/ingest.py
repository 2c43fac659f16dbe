"""A shop's files → landing tables, one file at a time, each whole or not at all."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from recsys_assets.contract import Kind
from recsys_assets.errors import SourceError, TableError
from recsys_assets.importers import IMPORTERS
from recsys_assets.importers.base import Importer, Piece
from recsys_assets.logic.events import clean
from recsys_assets.logic.landing import LandingRules, land
from recsys_assets.settings import Home, Source
from recsys_assets.stores.lake import Delivery, Lake
from recsys_assets.tables import LANDING_CATALOG, LANDING_EVENTS, Table

LANDING: dict[Kind, Table] = {"events": LANDING_EVENTS, "catalog": LANDING_CATALOG}
_BYTES_DIGITS, _READING_DIGITS = 24, 8
_CHUNK = 1 << 22
_DATED = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")


@dataclass(frozen=True)
class Rejected:
    """How many rows of a file break one rule, and where the first of them stands."""

    rows: int
    line: int
    offset: int | None


@dataclass(frozen=True)
class FileReport:
    """One file: rows = clean + rejected + duplicates + redelivered.

    ``duplicates`` repeat a row of the same file, ``redelivered`` one that another file already brought. ``days``
    counts landed rows, ``changed`` names the days that hold something new, ``ignored`` the columns that nobody reads.
    """

    path: str
    file_id: str
    table: str
    rows: int
    days: dict[str, int]
    already_delivered: bool = False
    clean: int = 0
    duplicates: int = 0
    redelivered: int = 0
    rejected: dict[str, Rejected] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def _silent(_: str) -> None:
    return None


def ingest(
    lake: Lake,
    home: Home,
    source: Source,
    *,
    now: datetime,
    check: bool = False,
    kind: Kind | None = None,
    progress: Callable[[str], None] = _silent,
) -> list[FileReport]:
    """Lands every file of ``source`` that has not landed yet; one report per file.

    A file counts from the moment its delivery is recorded, which is last. The same bytes land once, wherever they
    lie; read in another way (a corrected mapping) they replace what they were. ``check`` reads and judges, and writes
    nothing. Files before one that is refused stay.

    Raises:
        SourceError: a file cannot be read, or there is none; names file, line where known, and remedy.
    """
    importer = IMPORTERS.get(source.format)
    if importer is None:
        raise SourceError(f"{source.format!r} is not a format; known are {', '.join(IMPORTERS)}.")
    job = _Job(lake, home, source, importer, kind, now, check, progress, list(lake.deliveries()))
    return [job.one(piece) for piece in importer.pieces(source.path)]


@dataclass(frozen=True)
class _Job:
    lake: Lake
    home: Home
    source: Source
    importer: Importer
    kind: Kind | None
    now: datetime
    check: bool
    progress: Callable[[str], None]
    known: list[Delivery]  # kept up to date here, so that a thousand files do not read a thousand records each

    @property
    def mapping(self) -> Path | None:
        return Path(self.source.map).expanduser() if self.source.map else None

    def reading(self) -> str:
        """Hash of everything but the bytes that decides what a file says."""
        config = self.home.config
        mapping = self.mapping
        words = mapping.read_bytes().hex() if mapping and mapping.is_file() else ""
        how = [self.source.format, self.kind, words, str(config.first_day), config.time_zone, config.currency]
        digest = hashlib.sha256(json.dumps([*how, config.tuning.search_term_floor]).encode()).hexdigest()
        return digest[:_READING_DIGITS]

    def one(self, piece: Piece) -> FileReport:
        try:
            size, modified = _state(piece)
            reading = self.reading()
            for old in self.known:
                same = (old.path, old.size, old.modified_ns) == (piece.name, size, modified)
                if same and old.file_id.endswith(reading) and piece.kind in (None, _kind(old)):
                    return _already(old)
            self.progress(f"reading {piece.name}")
            content = _hash_files(piece)
        except OSError as error:
            raise SourceError(f"{piece.name}: cannot be read ({error}). Check path and rights.") from error
        file_id = content + reading
        for old in self.known:
            if old.file_id == file_id:
                if not self.check and (old.path == piece.name or not Path(old.path).exists()):
                    self.lake.record(replace(old, path=piece.name, size=size, modified_ns=modified))
                return _already(old)
        raw = self.importer.read(piece, self.mapping, self.kind)
        table = LANDING[raw.kind]
        landed = land(raw.frame, raw.kind, file_id, self._rules(piece, file_id))
        if landed.height != raw.frame.height:
            raise TableError(f"{piece.name}: {raw.frame.height} rows read, {landed.height} landed. A bug.")
        replaced = [old for old in self.known if old.file_id.startswith(content)]
        others = {old.file_id for old in self.known if old.table == table.name and old not in replaced}
        days = {str(day): rows for day, rows in landed.group_by("event_date").len().sort("event_date").iter_rows()}
        report = FileReport(piece.name, file_id, table.name, landed.height, days, ignored=raw.ignored)
        report = self._judge(report, landed, others)
        if not self.check:
            self._write(table, landed, file_id)
            for old in replaced:
                self.lake.withdraw(old)
                self.known.remove(old)
                report = replace(report, changed=tuple(sorted({*report.changed, *old.days})))
            delivery = Delivery(
                file_id=file_id,
                table=table.name,
                format=self.source.format,
                path=piece.name,
                map=self.source.map,
                rows=landed.height,
                days=report.days,
                size=size,
                modified_ns=modified,
                landed_at=self.now.isoformat(),
            )
            self.lake.record(delivery)
            self.known.append(delivery)
            self.progress(f"landed {landed.height:,} rows of {len(report.days):,} days")
        return report

    def _rules(self, piece: Piece, file_id: str) -> LandingRules:
        config = self.home.config
        same = file_id[:_BYTES_DIGITS]
        earlier = any(old.table == LANDING_CATALOG.name and not old.file_id.startswith(same) for old in self.known)
        undated = self.now.astimezone(ZoneInfo(config.time_zone)).date() if earlier else config.first_day
        undated = max(_day_in(piece.files[0]) or undated, config.first_day)
        floor = config.tuning.search_term_floor
        return LandingRules(
            self.home.keys, config.first_day, config.time_zone, config.currency, self.now, floor, undated
        )

    def _write(self, table: Table, landed: pl.DataFrame, file_id: str) -> None:
        """One part per day; ``landed`` is ordered by day, so that each is a slice."""
        days = landed["event_date"]
        starts = [*days.rle().struct.field("len").cum_sum().shift(1, fill_value=0), landed.height]
        for start, end in pairwise(starts):
            self.lake.write(table, days[start], landed.slice(start, end - start), part=file_id)

    def _judge(self, report: FileReport, landed: pl.DataFrame, others: set[str]) -> FileReport:
        """``report`` with what becomes of the rows, beside those of ``others``."""
        if report.table == LANDING_CATALOG.name:
            bad = landed.filter(pl.col("problem").is_not_null()).rename({"problem": "reason"})
            days = landed.filter(pl.col("problem").is_null())["event_date"].unique()
            return replace(
                report,
                clean=landed.height - bad.height,
                rejected=_by_reason(bad),
                changed=tuple(sorted(map(str, days))),
            )
        fresh = landed
        if others:
            key = ["event_date", "event_id", "row_hash"]
            dates = [date.fromisoformat(day) for day in report.days]
            there = self.lake.scan(LANDING_EVENTS, dates, others).select(key).unique().collect()
            fresh = landed.join(there, on=key, how="anti", maintain_order="left")
        cleaned = clean(fresh)
        counted = cleaned.audit.select(pl.col("clean", "rejected", "duplicates").sum()).row(0)
        if sum(counted) != fresh.height:
            raise TableError(f"{report.path}: {fresh.height} rows became {counted}. This is a bug.")
        return replace(
            report,
            clean=counted[0],
            duplicates=counted[2],
            redelivered=landed.height - fresh.height,
            rejected=_by_reason(cleaned.rejected),
            changed=tuple(sorted(map(str, cleaned.audit["event_date"].unique()))),
        )


def _by_reason(rejected: pl.DataFrame) -> dict[str, Rejected]:
    first = pl.col("source_line", "source_offset").sort_by("source_line").first()
    grouped = (
        rejected.group_by("reason").agg(pl.len().cast(pl.Int64), first).sort("len", "reason", descending=[True, False])
    )
    return {reason: Rejected(rows, line, offset) for reason, rows, line, offset in grouped.iter_rows()}


def _already(old: Delivery) -> FileReport:
    return FileReport(old.path, old.file_id, old.table, old.rows, dict(old.days), already_delivered=True)


def _kind(old: Delivery) -> Kind:
    return "catalog" if old.table == LANDING_CATALOG.name else "events"


def _state(piece: Piece) -> tuple[int, int]:
    stats = [file.stat() for file in piece.files]
    return sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)


def unchanged(delivery: Delivery) -> bool:
    """Whether the shop's file is still there with the bytes that landed."""
    path, importer = Path(delivery.path), IMPORTERS[delivery.format]
    try:
        place = path.parent if delivery.format == "complete_journey" else path  # that one is named by its folder
        for piece in importer.pieces(str(place)):
            if piece.name == delivery.path and piece.kind in (None, _kind(delivery)):
                same = _state(piece) == (delivery.size, delivery.modified_ns)
                return same or delivery.file_id.startswith(_hash_files(piece))
    except (OSError, SourceError):
        return False
    return False


def _hash_files(piece: Piece) -> str:
    digest = hashlib.sha256((piece.kind or "").encode())
    for path in piece.files:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()[:_BYTES_DIGITS]


def _day_in(path: Path) -> date | None:
    """The last date in the path, of a folder per day or a dated file name."""
    for text in reversed(_DATED.findall(f"{path.parent.name}/{path.name}")):
        try:
            return date.fromisoformat(text)
        except ValueError:
            continue
    return None


def report_json(report: FileReport) -> dict[str, object]:
    """A report as plain values."""
    return asdict(report)
