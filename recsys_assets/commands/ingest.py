"""`recsys ingest`, `recsys rejected show`, `recsys contract`: files in, what was refused, and what is expected."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

import click
import polars as pl

from recsys_assets import contract as shop_contract
from recsys_assets.contract import EXPLAINED, MAX_LINE_BYTES, REASONS, Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers import IMPORTERS, mapped
from recsys_assets.importers.files import BROKEN, PARQUET, layout_of, open_bytes, read_parquet
from recsys_assets.importers.ingest import FileReport, ingest, report_json, unchanged
from recsys_assets.logic.events import clean
from recsys_assets.settings import Source, load_settings, open_home
from recsys_assets.stores.lake import Delivery, Lake
from recsys_assets.tables import LANDING_CATALOG, LANDING_EVENTS

SHOWN = 2_000  # characters of an original line


@click.command("ingest")
@click.argument("format", type=click.Choice(list(IMPORTERS)))
@click.argument("path")
@click.option("--map", "mapping", metavar="FILE", help="Mapping file of the format mapped.")
@click.option(
    "--kind", type=click.Choice(["events", "catalog"]), help="What the columns describe, where they do not tell."
)
@click.option("--check", is_flag=True, help="Read and judge; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file.")
def ingest_command(
    *, format: str, path: str, mapping: str | None, kind: Kind | None, check: bool, as_json: bool
) -> None:
    """Land files of a shop: PATH is a file, a folder or a glob."""
    home = open_home(load_settings())
    source = Source(format=format, path=path, map=mapping)
    reports = ingest(
        Lake(home.lake), home, source, now=datetime.now(UTC), check=check, kind=kind,
        progress=lambda text: click.echo(text, err=True),
    )  # fmt: skip
    for report in reports:
        click.echo(json.dumps(report_json(report)) if as_json else describe(report, check=check))


def describe(report: FileReport, *, check: bool = False) -> str:
    """A report for people."""
    if report.already_delivered:
        return f"{report.path}: had already landed ({report.rows:,} rows); nothing changed."
    verb = "would land" if check else "landed"
    rejected = sum(found.rows for found in report.rejected.values())
    lines = [
        f"{report.path}: {report.rows:,} rows {verb} in {report.table}: {report.clean:,} clean, {rejected:,} rejected, "
        f"{report.duplicates:,} duplicates, {report.redelivered:,} redelivered."
    ]
    for reason, found in report.rejected.items():
        lines.append(f"  {found.rows:>9,}  {reason:<28} e.g. {report.path}:{found.line}")
    if report.changed:
        some = ", ".join(report.changed[:5]) + (" …" if len(report.changed) > 5 else "")
        lines.append(f"  days changed: {len(report.changed)} ({some})")
    else:
        lines.append("  no day changed")
    if report.ignored:
        lines.append(f"  columns that were not read: {', '.join(report.ignored)}")
    return "\n".join(lines)


@click.group()
def rejected() -> None:
    """Rows that break the contract."""


@rejected.command("show")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Only this day; default: every landed day.")
@click.option("--reason", type=click.Choice(REASONS), help="Only this reason.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows at most.")
@click.option("--catalog", is_flag=True, help="Of catalogues instead of events.")
def show(day: datetime | None, reason: str | None, limit: int, catalog: bool) -> None:
    """Show rejected rows as the shop's own file holds them."""
    lake = Lake(open_home(load_settings()).lake)
    table = LANDING_CATALOG if catalog else LANDING_EVENTS
    days: Sequence[date] = [day.date()] if day else lake.days(table)
    files = {delivery.file_id: delivery for delivery in lake.deliveries(table)}
    left = limit
    for each in days:
        landed = lake.scan_landed(table, [each]).collect()
        if catalog:
            rows = landed.filter(pl.col("problem").is_not_null()).rename({"problem": "reason"})
        else:
            rows = clean(landed).rejected
        rows = rows.filter(pl.col("reason") == reason) if reason else rows
        for row in rows.head(left).iter_rows(named=True):
            delivery = files[row["source_file"]]
            why: shop_contract.Reason = row["reason"]
            click.echo(f"{each}  {why}: {EXPLAINED[why]}\n  {delivery.path}:{row['source_line']}")
            click.echo(f"  {original(delivery, row['source_line'], row['source_offset'])}")
        left -= min(left, rows.height)
        if left == 0:
            return
    if left == limit:
        click.echo("no rejected rows" + (f" on {day.date()}" if day else "") + (f" for {reason}" if reason else ""))


def original(delivery: Delivery, line: int, offset: int | None) -> str:
    """The row as the shop's file holds it, or in brackets why it cannot be shown."""
    path = Path(delivery.path)
    if not path.is_file():
        return "(the file is gone: it is the shop's own and was never copied)"
    if not unchanged(delivery):
        return "(the file is no longer the one that was imported)"
    if delivery.format == "complete_journey" and delivery.table == LANDING_CATALOG.name:
        return "(made from several rows of the package)"
    if layout_of(path) == "parquet":
        return _parquet_row(path, line)
    try:
        with open_bytes(path) as file:
            _skip(file, offset or 0)
            text = file.readline(MAX_LINE_BYTES).decode("utf-8", errors="backslashreplace").rstrip("\r\n")
    except (*BROKEN, SourceError) as error:
        return f"(the file cannot be read: {error})"
    return text if len(text) <= SHOWN else text[:SHOWN] + " …"


def _skip(file: BinaryIO, count: int) -> None:
    while count > 0 and (chunk := file.read(min(count, 1 << 20))):
        count -= len(chunk)


def _parquet_row(path: Path, line: int) -> str:
    with path.open("rb") as file:
        plain = file.read(len(PARQUET)) == PARQUET
    row = pl.scan_parquet(path).slice(line - 1, 1).collect() if plain else read_parquet(path).slice(line - 1, 1)
    return json.dumps(row.row(0, named=True), default=str, ensure_ascii=False) if row.height else "(no such row)"


@click.command("contract")
@click.argument("document", type=click.Choice(["event", "product", "page"]), default="page")
@click.option("--write", is_flag=True, help="Write all of them into the package instead (for developers).")
def contract_command(document: str, write: bool) -> None:
    """Print what the shop's files should hold: the page, or the JSON Schema of an event or a product."""
    made = shop_contract.documents(mapped.__doc__ or "")
    if write:
        shop_contract.CONTRACT_FILES.mkdir(exist_ok=True)
        for name, text in made.items():
            (shop_contract.CONTRACT_FILES / name).write_text(text, encoding="utf-8")
            click.echo(str(shop_contract.CONTRACT_FILES / name))
        return
    click.echo(made["CONTRACT.md" if document == "page" else f"{document}.schema.json"], nl=False)


COMMANDS = (ingest_command, rejected, contract_command)
