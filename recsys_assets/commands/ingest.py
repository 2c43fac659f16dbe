"""`recsys ingest`, `recsys rejected show`, `recsys contract`: files in, what was refused, and what is expected."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import click
import polars as pl

from recsys_assets import contract as shop_contract
from recsys_assets.commands.output import JSON, WholeHelps, announcer, print_json, print_line, say
from recsys_assets.commands.retention import is_gone, will_go
from recsys_assets.contract import EXPLAINED, MAX_LINE_BYTES, REASONS, Kind
from recsys_assets.errors import SettingsError, SourceError
from recsys_assets.importers import FORMATS, mapped
from recsys_assets.importers.files import BROKEN, PARQUET, layout_of, open_bytes, read_parquet, read_xlsx
from recsys_assets.importers.headers import list_names
from recsys_assets.importers.ingest import LANDING, ingest, unchanged
from recsys_assets.importers.refusals import too_many_rejected
from recsys_assets.importers.reports import Example, FileReport, report_json
from recsys_assets.logic.events import clean
from recsys_assets.settings import Home, Source, keep_source, load_settings, open_home
from recsys_assets.stores.lake import Delivery, Lake
from recsys_assets.stores.retention import first_kept
from recsys_assets.tables import LANDING_CATALOG, LANDING_EVENTS, LANDING_RATES

SHOWN = 2_000  # characters of an original line
_MOST = 50  # columns of a mapping
MADE_CATALOGS = ("complete_journey", "online_retail", "retailrocket")  # whose lines are those of no file


@click.command("ingest")
@click.argument("format", type=click.Choice(FORMATS))
@click.argument("path")
@click.option("--map", "mapping", metavar="FILE", help="Mapping file of the formats mapped and sql.")
@click.option("--kind", type=click.Choice(list(LANDING)), help="What the columns describe, where they do not tell.")
@click.option("--replace", "replace_landed", is_flag=True, help="Put it in place of what the same bytes had landed as.")
@click.option("--check", is_flag=True, help="Show how it would be read and what would be rejected; write nothing.")
@click.option("--keep", is_flag=True, help="Make it a source of the nights too, in home.toml, with its mapping file.")
@JSON
def ingest_command(
    *,
    format: str,
    path: str,
    mapping: str | None,
    kind: Kind | None,
    replace_landed: bool,
    check: bool,
    keep: bool,
    as_json: bool,
) -> None:
    """Land what a shop delivers: PATH is a file, a folder or a glob; for the format sql, a database's URL.

    The format auto tells by their columns which format files are of, or says what it tried, and writes a mapping file
    that may fit into the folder it is called in. Ends with 1 where more rows of a file are rejected than the knob
    rejections.warn allows; the others have landed.
    """
    if keep and check:
        raise click.UsageError("--check writes nothing: leave it out to --keep the source.")
    if keep and kind:
        raise click.UsageError("--keep: a source has no --kind. Write `kind` into a mapping file, and keep that.")
    home = open_home(load_settings())
    lake, source = Lake(home.lake_url), Source(format=format, path=path, map=mapping)
    reports = ingest(
        lake, home, source, now=datetime.now(UTC), check=check, kind=kind, replace_landed=replace_landed,
        proposals=Path.cwd(), progress=lambda text: click.echo(text, err=True),
    )  # fmt: skip
    first, early = first_kept(lake, home.config.tuning), False
    for report in reports:
        if as_json:
            print_line(report_json(report))
        else:
            say(describe(report, check=check))
            if gone := will_go(report, first):
                say(gone)
            early |= "event_time_before_first_day" in report.rejected
    if early and not as_json:
        say(
            f"The home's first day is {home.config.first_day}. If your events begin earlier, set first_day in "
            f"{home.path / 'home.toml'} to their first day and repeat the command."
        )
    if not as_json and (unpriced := _without_prices(lake, reports)):
        say(
            f"{unpriced} has no column for a price, and no catalogue has landed: products without a price are not "
            "listed. Map the column of the price paid, or ingest a catalogue with product_id and unit_price too."
        )
    most = home.config.tuning.rejections.warn
    faulty = [(report.path, words) for report in reports for words in too_many_rejected(report, most)]
    for name, words in faulty:
        click.echo(f"{name}: {words}.", err=True)
    if faulty:
        sys.exit(1)
    if not (check or kind) and (keep or not as_json):
        _keep(home, _lasting(source), keep, announcer(as_json))


def _without_prices(lake: Lake, reports: Sequence[FileReport]) -> str | None:
    """A file of events that tells no price, where no catalogue does: no list can be made of such files alone."""
    if any(one.table == LANDING_CATALOG.name for one in reports) or any(True for _ in lake.deliveries(LANDING_CATALOG)):
        return None
    for report in reports:
        fields = [field for _, field in report.mapping] + list(report.notes)
        if report.table == LANDING_EVENTS.name and fields and not any("unit_price" in field for field in fields):
            return report.path
    return None


def _lasting(source: Source) -> Source:
    """The source as it holds from any folder."""
    if source.format != "sql" and source.path != "package":
        source = source.model_copy(update={"path": str(Path(source.path).expanduser().absolute())})
    if source.map is None:
        return source
    return source.model_copy(update={"map": str(Path(source.map).expanduser().absolute())})


def _keep(home: Home, source: Source, wanted: bool, say: Callable[[str], None]) -> None:
    """Makes a source that worked one of the nights, or says how; nothing where the nights have it."""
    if any(_covers(kept, source) for kept in home.config.sources):
        if wanted:
            say(f"{home.path / 'home.toml'} has this source already.")
        return
    if not wanted:
        say("The nights do not look there. The same command with --keep adds it to the sources in home.toml.")
        return
    if source.format == "sql" and urlsplit(source.path).password:
        raise SettingsError("a source with a password is not kept: put it into ~/.pgpass and leave it out of the URL.")
    keep_source(home, source)
    say(f"Kept in {home.path / 'home.toml'}: each night lands what is new there.")
    for other in home.config.sources:
        if source.format == "mapped" and other.format != "mapped" and _below(other.path, source.path):
            say(
                f"The source {other.format} of {other.path} meets these files too and will refuse them. Move them to "
                "another folder, or take that source out of home.toml."
            )


def _covers(kept: Source, source: Source) -> bool:
    """Whether a night that reads ``kept`` finds the files of ``source``."""
    same = (kept.format, kept.map) == (source.format, source.map)
    if source.format == "sql":
        return same and kept.path == source.path
    recognised = kept.format == "auto" and source.format != "mapped"
    return (same or recognised) and _below(kept.path, source.path)


def _below(kept: str, path: str) -> bool:
    return kept == path or Path(kept) in Path(path).parents or fnmatch(path, kept)


def describe(report: FileReport, *, check: bool = False) -> str:
    """A report for people."""
    if report.already_delivered:
        return f"{report.path}: had already landed ({report.rows:,} rows); nothing changed."
    verb = "would land" if check else "landed"
    rejected = sum(found.rows for found in report.rejected.values())
    lines = [
        f"{report.path}: {report.rows:,} rows {verb} in {report.table}: {report.clean:,} clean, {rejected:,} rejected, "
        f"{report.duplicates:,} duplicates, {report.redelivered:,} redelivered"
        + (f", {report.erased:,} of people who were erased" if report.erased else "")
        + (f", {report.dropped:,} that the mapping leaves out." if report.dropped else ".")
    ]
    if report.counted:
        lines.append(f"  counted by line ends and by rows: {report.counted}")
    lines += [f"  look: {warning}" for warning in report.warnings]
    if check:
        lines.append(f"  read as {report.format}:")
        width = max((len(column) for column, _ in report.mapping[:_MOST]), default=0)
        lines += [f"    {column:<{width}} → {field}" for column, field in report.mapping[:_MOST]]
        lines += [f"    {note}" for note in report.notes]
    for reason, found in report.rejected.items():
        if not check:
            lines.append(f"  {found.rows:>9,}  {reason:<28} e.g. {report.path}:{found.line}")
            continue
        lines.append(f"  {found.rows:>9,}  {reason}: {EXPLAINED[cast(shop_contract.Reason, reason)]}")
        for place in found.examples:
            lines.append(f"             {report.path}:{place.line}")
            lines.append(f"               {original(report.format, report.path, report.table, place)}")
    if report.changed:
        some = ", ".join(report.changed[:5]) + (" …" if len(report.changed) > 5 else "")
        lines.append(f"  days {'that would change' if check else 'changed'}: {len(report.changed)} ({some})")
    else:
        lines.append("  no day would change" if check else "  no day changed")
    if report.ignored:
        lines.append(f"  columns that {'would not be' if check else 'were not'} read: {list_names(report.ignored)}")
    return "\n".join(lines)


@click.group(cls=WholeHelps)
def rejected() -> None:
    """Rows that break the contract."""


@rejected.command("show")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Only this day; default: every landed day.")
@click.option("--reason", type=click.Choice(REASONS), help="Only this reason.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows at most.")
@click.option("--kind", type=click.Choice(list(LANDING)), default="events", show_default=True, help="Of which files.")
@JSON
def show(*, day: datetime | None, reason: str | None, limit: int, kind: Kind, as_json: bool) -> None:
    """Show rejected rows as the shop's own file holds them; with --json one object a line."""
    home = open_home(load_settings())
    lake, table = Lake(home.lake_url), LANDING[kind]
    days: Sequence[date] = [day.date()] if day else lake.days(table)
    files = {delivery.file_id: delivery for delivery in lake.deliveries(table)}
    left = limit
    rates = lake.landed_until(LANDING_RATES, max(days, default=date.min))
    for each in days:
        landed = lake.scan_landed(table, [each]).collect()
        if table != LANDING_EVENTS:
            rows = landed.filter(pl.col("problem").is_not_null()).rename({"problem": "reason"})
        else:
            rows = clean(landed, rates, home.config.currency).rejected
        rows = rows.filter(pl.col("reason") == reason) if reason else rows
        for row in rows.head(left).iter_rows(named=True):
            delivery = files[row["source_file"]]
            why: shop_contract.Reason = row["reason"]
            place = Example(row["source_line"], row["source_offset"])
            text = _delivered(delivery, place)
            if as_json:
                told = {"day": each, "kind": kind, "reason": why, "file": delivery.path, "line": place.line}
                print_line(told | {"offset": place.offset, "original": text})
            else:
                click.echo(f"{each}  {why}: {EXPLAINED[why]}\n  {delivery.path}:{place.line}\n  {text}")
        left -= min(left, rows.height)
        if left == 0:
            return
    if left == limit and not as_json:
        click.echo("no rejected rows" + (f" on {day.date()}" if day else "") + (f" for {reason}" if reason else ""))
    if gone := is_gone(lake, table, day.date() if day else None):
        announcer(as_json)(gone)


def _delivered(delivery: Delivery, place: Example) -> str:
    """`original` of a row that has landed."""
    if delivery.format != "sql" and Path(delivery.path).is_file() and not unchanged(delivery):
        return "(the file is no longer the one that was imported)"
    return original(delivery.format, delivery.path, delivery.table, place)


def original(format: str, name: str, table: str, place: Example) -> str:
    """The row as the shop's file holds it, or in brackets why it cannot be shown."""
    path = Path(name)
    if (why := _hidden(format, path, table)) is not None:
        return why
    try:
        if (layout := layout_of(path)) == "xlsx":
            text = _sheet_row(path, place.line)
        else:
            text = _parquet_row(path, place.line) if layout == "parquet" else _text_line(path, place.offset or 0)
    except (*BROKEN, SourceError) as error:
        return f"(the file cannot be read: {error})"
    return text if len(text) <= SHOWN else text[:SHOWN] + " …"


def _hidden(format: str, path: Path, table: str) -> str | None:
    if format == "sql":
        return "(a row of a database is not copied: run the query again to see it)"
    if not path.is_file():
        return "(the file is gone: it is the shop's own and was never copied)"
    if layout_of(path) == "xml":
        return "(an item of a feed, whose place in it is the line)"
    if table == LANDING_CATALOG.name and format in MADE_CATALOGS:
        return "(made from several rows of the source)"
    return None


def _text_line(path: Path, offset: int) -> str:
    with open_bytes(path) as file:
        _skip(file, offset)
        line = file.readline(MAX_LINE_BYTES).split(b"\r", 1)[0]  # of an old Mac, the file is one line
        return line.decode("utf-8", errors="backslashreplace").rstrip("\n")


def _skip(file: BinaryIO, count: int) -> None:
    while count > 0 and (chunk := file.read(min(count, 1 << 20))):
        count -= len(chunk)


def _parquet_row(path: Path, line: int) -> str:
    with path.open("rb") as file:
        plain = file.read(len(PARQUET)) == PARQUET
    row = pl.scan_parquet(path).slice(line - 1, 1).collect() if plain else read_parquet(path).slice(line - 1, 1)
    return json.dumps(row.row(0, named=True), default=str, ensure_ascii=False) if row.height else "(no such row)"


def _sheet_row(path: Path, line: int) -> str:
    """``line`` counts the rows of all sheets, without their headers."""
    for name, sheet in _sheets(path, path.stat().st_mtime_ns):
        if line <= sheet.height:
            return json.dumps({"sheet": name} | sheet.row(line - 1, named=True), ensure_ascii=False)
        line -= sheet.height
    return "(no such row)"


@lru_cache(maxsize=1)  # twenty rows of one workbook are shown, and each reading takes seconds
def _sheets(path: Path, _modified_ns: int) -> list[tuple[str, pl.DataFrame]]:
    return read_xlsx(path)


@click.command("contract")
@click.argument("document", type=click.Choice(["event", "product", "rate", "user", "page"]), default="page")
@click.option("--write", is_flag=True, help="Write all of them into the package instead (for developers).")
@JSON
def contract_command(document: str, write: bool, as_json: bool) -> None:
    """Print what the shop's files should hold: the page, or the JSON Schema of one row."""
    made = shop_contract.documents(mapped.__doc__ or "")
    if write:
        shop_contract.CONTRACT_FILES.mkdir(exist_ok=True)
        for name, text in made.items():
            (shop_contract.CONTRACT_FILES / name).write_text(text, encoding="utf-8")
            click.echo(str(shop_contract.CONTRACT_FILES / name))
        return
    text = made["CONTRACT.md" if document == "page" else f"{document}.schema.json"]
    if as_json:
        print_json({"document": document, "text": text})
    else:
        click.echo(text, nl=False)


COMMANDS = (ingest_command, rejected, contract_command)
