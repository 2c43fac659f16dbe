"""A shop's files, or rows of its database → landing tables, one delivery at a time, each whole or not at all."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from recsys_assets.contract import Kind
from recsys_assets.errors import SourceError, TableError
from recsys_assets.importers import FORMATS, IMPORTERS, sql
from recsys_assets.importers.auto import recognise
from recsys_assets.importers.base import RAW_COLUMNS, Importer, Piece, Raw
from recsys_assets.importers.erased import without_erased
from recsys_assets.importers.mapped import files_beside
from recsys_assets.importers.refusals import demand_few_rejected, demand_replace, demand_wishes
from recsys_assets.importers.reports import Example, FileReport, Rejected
from recsys_assets.logic.events import clean
from recsys_assets.logic.landing import LandingRules, land
from recsys_assets.settings import Home, Source
from recsys_assets.stores.lake import Delivery, Lake, Tombstones
from recsys_assets.tables import LANDING_CATALOG, LANDING_EVENTS, LANDING_RATES, LANDING_USERS, Table

LANDING: dict[Kind, Table] = {
    "events": LANDING_EVENTS,
    "catalog": LANDING_CATALOG,
    "rates": LANDING_RATES,
    "users": LANDING_USERS,
}
_KINDS = {table.name: kind for kind, table in LANDING.items()}
_LANDED_SINCE = 3  # grows with every change of what landing makes of the same bytes, so that they land again
EXAMPLES = 3  # places of rejected rows per reason
_BYTES_DIGITS, _READING_DIGITS = 24, 8
_CHUNK = 1 << 22
_DATED = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")


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
    replace_landed: bool = False,
    most_rejected: float | None = None,
    proposals: Path | None = None,
    progress: Callable[[str], None] = _silent,
) -> list[FileReport]:
    """Lands every file of ``source`` that has not landed yet; one report per file, or per table or query.

    A file counts from the moment its delivery is recorded, which is last. The same bytes land once in a table,
    wherever they lie; read in another way (a corrected mapping) they replace what they were there, if
    ``replace_landed``. ``most_rejected`` is the share of rejected rows beyond which a file is refused; ``proposals`` is
    the folder that gets a mapping file where the format auto proposes one. ``check`` reads and judges, and lands
    nothing. Files before one that is refused stay.

    Raises:
        SourceError: a file cannot be read, or there is none; names file, line where known, and remedy.
    """
    if source.format not in FORMATS:
        raise SourceError(f"{source.format!r} is not a format; known are {', '.join(FORMATS)}.")
    known = list(lake.deliveries())
    there = frozenset(old.table for old in known)
    job = _Job(lake, home, source, kind, now, check, progress, known, there, [], replace_landed, most_rejected)
    if source.format == "sql":
        return [job.query()]
    if source.format != "auto":
        return [job.one(piece) for piece in job.importer.pieces(source.path)]
    if source.map is not None or kind is not None:
        raise SourceError("the format auto takes neither --map nor --kind: name the format that needs them.")
    found = [
        (source.model_copy(update={"format": known}), piece)
        for known, piece in recognise(source.path, progress, home.config.time_zone, proposals)
    ]
    return [replace(job, source=named).one(piece) for named, piece in found]


@dataclass(frozen=True)
class _Job:
    lake: Lake
    home: Home
    source: Source
    kind: Kind | None
    now: datetime
    check: bool
    progress: Callable[[str], None]
    known: list[Delivery]  # kept up to date here, so that a thousand files do not read a thousand records each
    there: frozenset[str]  # tables that had a delivery when this command began
    recorded: list[Delivery]  # by this command
    replace_landed: bool
    most_rejected: float | None

    @property
    def importer(self) -> Importer:
        return IMPORTERS[self.source.format]

    @property
    def mapping(self) -> Path | None:
        return Path(self.source.map).expanduser() if self.source.map else None

    def reading(self, piece: Piece | None = None) -> str:
        """Hash of everything but the bytes that decides what a file says; files beside it are of that."""
        config = self.home.config
        mapping = self.mapping
        words = mapping.read_bytes().hex() if mapping and mapping.is_file() else ""
        how = [
            _LANDED_SINCE,
            self.source.format,
            self.kind,
            words,
            str(config.first_day),
            config.time_zone,
            config.currency,
        ]
        if piece is not None and mapping is not None and self.source.format == "mapped" and mapping.is_file():
            how += [_hash_files(Piece((file,))) for file in files_beside(mapping, piece)]
        digest = hashlib.sha256(json.dumps([*how, config.tuning.search_term_floor]).encode()).hexdigest()
        return digest[:_READING_DIGITS]

    def map_hash(self) -> str:
        """Of what people say about reading, apart from the home's settings and this version."""
        mapping = self.mapping
        words = mapping.read_bytes() if mapping and mapping.is_file() else b""
        return hashlib.sha256(words + f"\0{self.kind}".encode()).hexdigest()[:_BYTES_DIGITS]

    def one(self, piece: Piece) -> FileReport:
        try:
            size, modified = _state(piece)
            reading = self.reading(piece)
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
        raw = _identified(self.importer.read(piece, self.mapping, self.kind))
        table = LANDING[raw.kind].name
        replaced = [old for old in self.known if old.file_id.startswith(content) and old.table == table]
        return self._land(raw, self._delivery(piece.name, file_id, size, modified), replaced, piece.files[0])

    def query(self) -> FileReport:
        """One read of a table or query: see `importers.sql`."""
        mapping, rules = sql.rules_of(self.mapping)
        if self.kind is not None:
            raise SourceError("the format sql takes no --kind: its mapping file says it. Leave it out.")
        name, reading = sql.name_of(self.source.path, rules), self.reading()
        place = ("sql", name, LANDING[rules.kind].name)
        earlier = [old for old in self.known if (old.format, old.path, old.table) == place]
        same = [old for old in earlier if old.file_id.endswith(reading)]
        since = max((old.read_to for old in same if old.read_to), default=None)
        self.progress(f"reading {name}" + (f" from {since} on" if since else ""))
        rows = sql.read_rows(self.source.path, mapping, rules, since, self.now)
        rows = replace(rows, raw=_identified(rows.raw))
        delivery = replace(self._delivery(name, "", 0, 0), read_to=rows.read_to)
        if rules.kind == "events" and not rules.sql.since:
            return self._whole_days(rows.raw, delivery, earlier)
        delivery = replace(delivery, file_id=_hash_rows(rows.raw.frame) + reading)
        for old in same:
            if old.file_id == delivery.file_id or rows.raw.frame.is_empty():
                return _already(old)
        return self._land(rows.raw, delivery, [old for old in earlier if old not in same], None)

    def landed_at(self) -> datetime:
        """Now; of files of one command, each a microsecond after the one before: it has the later word."""
        return self.now + timedelta(microseconds=len(self.recorded))

    def _delivery(self, name: str, file_id: str, size: int, modified_ns: int) -> Delivery:
        """A record of what is about to land."""
        return Delivery(
            file_id=file_id,
            table="",
            format=self.source.format,
            path=name,
            map=self.source.map,
            rows=0,
            days={},
            size=size,
            modified_ns=modified_ns,
            landed_at=self.landed_at().isoformat(),
            map_hash=self.map_hash(),
        )

    def _landed(self, raw: Raw, name: str, file_id: str, path: Path | None) -> pl.DataFrame:
        landed = land(raw.frame, raw.kind, file_id, self._rules(path, file_id, raw))
        if landed.height != raw.frame.height:
            raise TableError(f"{name}: {raw.frame.height} rows read, {landed.height} landed. A bug.")
        return landed

    def _land(self, raw: Raw, delivery: Delivery, replaced: list[Delivery], path: Path | None) -> FileReport:
        """All rows as one delivery, in the place of those that it replaces; none of people who were erased."""
        read, table = self._landed(raw, delivery.path, delivery.file_id, path), LANDING[raw.kind]
        demand_wishes(delivery.path, raw, read)
        gone = demand_replace(delivery.path, replaced, delivery, replace=self.replace_landed or self.check)
        while True:
            landed, stones = self._without_erased(table, read)
            report = self._judge(self._report(raw, delivery, landed), landed, replaced)
            report = replace(report, erased=read.height - landed.height, warnings=(*report.warnings, *gone))
            demand_few_rejected(report, self.most_rejected)
            if self.check:
                return report
            told = replace(delivery, table=table.name, rows=read.height, days=report.days, erased=report.erased)
            self._write(table, landed, delivery.file_id)
            if self.lake.tombstones() == stones:  # whoever is erased from here on is swept out of what was written
                break
            self.lake.withdraw(told)
        self._withdraw(replaced)
        emptied = {day for old in replaced for day in old.days}
        report = replace(report, changed=tuple(sorted({*report.changed, *emptied})))
        self._record(told)
        self.progress(f"landed {landed.height:,} rows of {len(report.days):,} days")
        return report

    def _without_erased(self, table: Table, landed: pl.DataFrame) -> tuple[pl.DataFrame, Tombstones]:
        return without_erased(self.lake, self.home.keys, table, landed, check=self.check)

    def _whole_days(self, raw: Raw, delivery: Delivery, earlier: list[Delivery]) -> FileReport:
        """Each day as a delivery of its own: one whose rows are those that stand stays, another is replaced.

        Days are told apart by the rows that the shop sends: an erasure by itself makes no day land again.
        """
        read = self._landed(raw, delivery.path, "", None)
        reading, stay, new = self.reading(), set[str](), list[tuple[Delivery, pl.DataFrame]]()
        for (day,), rows in read.partition_by("event_date", as_dict=True, maintain_order=True).items():
            file_id = _hash_rows(rows.select("event_date", "event_id", "row_hash", "problem")) + reading
            if any(old.file_id == file_id for old in earlier):
                stay.add(file_id)
                continue
            told = replace(
                delivery, file_id=file_id, table=LANDING_EVENTS.name, rows=rows.height, days={str(day): rows.height}
            )
            new.append((told, rows.with_columns(pl.lit(file_id).alias("source_file"))))
        gone = [old for old in earlier if old.file_id not in stay]
        reread = [old for old in gone if old.map_hash != delivery.map_hash]
        goes = demand_replace(delivery.path, reread, delivery, replace=self.replace_landed or self.check)
        fresh = pl.concat([rows for _, rows in new]) if new else read.clear()
        while True:
            kept, stones = self._without_erased(LANDING_EVENTS, fresh)
            report = self._judge(self._report(raw, delivery, read), kept, earlier)
            lost = {day for old in gone for day in old.days}
            report = replace(
                report,
                already_delivered=not new and not gone,
                redelivered=report.redelivered + read.height - fresh.height,
                erased=fresh.height - kept.height,
                changed=tuple(sorted({*report.changed, *lost})),
                warnings=(*report.warnings, *goes),
            )
            demand_few_rejected(report, self.most_rejected)
            if self.check:
                return report
            parts = [(told, kept.filter(pl.col("source_file") == told.file_id)) for told, _ in new]
            for told, rows in parts:
                self._write(LANDING_EVENTS, rows, told.file_id)
            if self.lake.tombstones() == stones:
                break
            for told, _ in parts:
                self.lake.withdraw(told)
        for told, rows in parts:
            self._withdraw([old for old in gone if set(old.days) == set(told.days)])
            days = {day: rows.height for day in told.days if rows.height}
            self._record(replace(told, days=days, erased=told.rows - rows.height))
        self._withdraw([old for old in gone if old in self.known])
        self.progress(f"landed {kept.height:,} rows of {len(new):,} days; {len(stay):,} days stay as they were")
        return report

    def _report(self, raw: Raw, delivery: Delivery, landed: pl.DataFrame) -> FileReport:
        days = {str(day): rows for day, rows in landed.group_by("event_date").len().sort("event_date").iter_rows()}
        return FileReport(
            self.source.format, delivery.path, delivery.file_id, LANDING[raw.kind].name,
            raw.frame.height + raw.dropped, days,
            ignored=raw.ignored, mapping=raw.mapping, notes=raw.notes, warnings=raw.warnings, counted=raw.counted,
            dropped=raw.dropped,
        )  # fmt: skip

    def _withdraw(self, replaced: list[Delivery]) -> None:
        for old in replaced:
            self.lake.withdraw(old)
            self.known.remove(old)

    def _record(self, delivery: Delivery) -> None:
        self.lake.record(delivery)
        self.known.append(delivery)
        self.recorded.append(delivery)

    def _rules(self, path: Path | None, file_id: str, raw: Raw) -> LandingRules:
        config = self.home.config
        today = self._day(self.now)
        undated = config.first_day if self._is_first(file_id, raw, today) else today
        undated = max((path and _day_in(path)) or undated, config.first_day)
        return LandingRules(
            self.home.keys,
            config.first_day,
            config.time_zone,
            config.currency,
            self.now,
            config.tuning.search_term_floor,
            undated,
            self.landed_at(),
        )

    def _day(self, time: datetime) -> date:
        return time.astimezone(ZoneInfo(self.home.config.time_zone)).date()

    def _is_first(self, file_id: str, raw: Raw, today: date) -> bool:
        """Whether a file is the first of its kind, or a piece of it.

        A first catalogue may come in several files: all that one command brings, and others of its day of which no
        product is known yet.
        """
        table = LANDING[raw.kind]
        same = file_id[:_BYTES_DIGITS]
        earlier = [old for old in self.known if old.table == table.name and not old.file_id.startswith(same)]
        if not earlier or table.name not in self.there:
            return True
        if raw.kind != "catalog" or any(self._day(datetime.fromisoformat(old.landed_at)) != today for old in earlier):
            return False
        days = {date.fromisoformat(day) for old in earlier for day in old.days}
        known = self.lake.scan_landed(table, sorted(days)).select("product_id").unique().collect()["product_id"]
        sent = raw.frame["product_id"].cast(pl.String) if "product_id" in raw.frame.columns else pl.Series([""])
        return not sent.is_in(known.implode()).any()

    def _write(self, table: Table, landed: pl.DataFrame, file_id: str) -> None:
        """One part per day; ``landed`` is ordered by day, so that each is a slice."""
        days = landed["event_date"]
        starts = [*days.rle().struct.field("len").cum_sum().shift(1, fill_value=0), landed.height]
        parts = {days[start]: landed.slice(start, end - start) for start, end in pairwise(starts)}
        self.lake.write_each(table, parts, part=file_id)

    def _judge(self, report: FileReport, landed: pl.DataFrame, replaced: list[Delivery]) -> FileReport:
        """``report`` with what becomes of the rows, beside those of all deliveries but the ``replaced`` ones."""
        if report.table != LANDING_EVENTS.name:
            bad = landed.filter(pl.col("problem").is_not_null()).rename({"problem": "reason"})
            days = landed.filter(pl.col("problem").is_null())["event_date"].unique()
            return replace(
                report,
                clean=landed.height - bad.height,
                rejected=_by_reason(bad),
                changed=tuple(sorted(map(str, days))),
            )
        fresh, dates = landed, [date.fromisoformat(day) for day in report.days]
        others = {old.file_id for old in self.known if old.table == report.table and old not in replaced}
        if others:
            key = ["event_date", "event_id", "row_hash"]
            there = self.lake.scan(LANDING_EVENTS, dates, others).select(key).unique().collect()
            fresh = landed.join(there, on=key, how="anti", maintain_order="left")
        rates = self.lake.landed_until(LANDING_RATES, max(dates, default=date.min))
        cleaned = clean(fresh, rates, self.home.config.currency)
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
    first = pl.struct("source_line", "source_offset").sort_by("source_line").head(EXAMPLES)
    grouped = (
        rejected.group_by("reason")
        .agg(pl.len().cast(pl.Int64), first.alias("_first"))
        .sort("len", "reason", descending=[True, False])
    )
    return {
        reason: Rejected(rows, tuple(Example(*place.values()) for place in places))
        for reason, rows, places in grouped.iter_rows()
    }


def _identified(raw: Raw) -> Raw:
    """``raw`` without ids that are nobody's."""
    if raw.ids is None:
        return raw
    frame, said = raw.ids.read(raw.frame, raw.kind)
    return replace(raw, frame=frame, warnings=(*raw.warnings, *said))


def _already(old: Delivery) -> FileReport:
    return FileReport(old.format, old.path, old.file_id, old.table, old.rows, dict(old.days), already_delivered=True)


def _kind(old: Delivery) -> Kind:
    return _KINDS[old.table]


def _state(piece: Piece) -> tuple[int, int]:
    stats = [file.stat() for file in piece.files]
    return sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)


def unchanged(delivery: Delivery) -> bool:
    """Whether the shop's file is still there with the bytes that landed."""
    if delivery.format not in IMPORTERS:  # rows of a database: there is no file
        return False
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


def _hash_rows(frame: pl.DataFrame) -> str:
    """Of the rows, in whatever order a database gives them."""
    names = [name for name in sorted(frame.columns) if name not in RAW_COLUMNS]
    texts = frame.select(pl.struct(pl.col(names).cast(pl.String)).struct.json_encode().sort()).to_series()
    digest = hashlib.sha256(json.dumps(names).encode())
    for text in texts:
        digest.update(text.encode())
    return digest.hexdigest()[:_BYTES_DIGITS]


def _day_in(path: Path) -> date | None:
    """The last date in the path, of a folder per day or a dated file name."""
    for text in reversed(_DATED.findall(f"{path.parent.name}/{path.name}")):
        try:
            return date.fromisoformat(text)
        except ValueError:
            continue
    return None
