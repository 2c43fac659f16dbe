"""`recsys retention`: what the home no longer keeps, and dropping it now instead of at the end of the next night."""

from collections.abc import Sequence
from datetime import date

import click

from recsys_assets.commands.output import JSON, plain, print_json
from recsys_assets.importers.reports import FileReport
from recsys_assets.settings import load_settings, open_home
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.retention import Expired, drop, expired, first_kept, gone
from recsys_assets.tables import LANDING_EVENTS, Table

_MEGABYTE = 1_000_000


@click.command("retention")
@click.option("--check", is_flag=True, help="Say what would go; drop nothing.")
@JSON
def retention_command(check: bool, as_json: bool) -> None:
    """Drop the days of the lake that are older than retention_days and keep_as_of_days of home.toml."""
    home = open_home(load_settings())
    lake, tuning = Lake(home.lake_url), home.config.tuning
    tables, first = expired(lake, tuning), first_kept(lake, tuning)
    if not check:
        drop(lake, tables)
    if as_json:
        print_json({"first_day_kept": first, "dropped": not check, "tables": [plain(table) for table in tables]})
    else:
        click.echo(described(tables, first, check=check))


def described(tables: Sequence[Expired], first: date, *, check: bool) -> str:
    """What went, or would go, one line per table."""
    kept = "events of every day are kept" if first == date.min else f"events are kept from {first} on"
    if not tables:
        return f"nothing to drop; {kept}"
    lines = [
        f"{table.table:<18} {len(table.days):>6,} days  {table.files:>8,} files  {table.bytes / _MEGABYTE:>10,.1f} MB  "
        f"{table.days[0]} to {table.days[-1]}"
        for table in tables
    ]
    size = sum(table.bytes for table in tables) / _MEGABYTE
    verb = "would be dropped" if check else "dropped"
    return "\n".join([*lines, f"{size:,.1f} MB {verb}; {kept}"])


def will_go(report: FileReport, first: date) -> str | None:
    """What is to be said of landed events that are older than the ``first`` day that is kept."""
    if report.table != LANDING_EVENTS.name or report.already_delivered:
        return None
    rows = sum(count for day, count in report.days.items() if date.fromisoformat(day) < first)
    if not rows:
        return None
    return f"  {rows:,} rows are of days before {first}, which retention_days does not keep: the next night drops them"


def is_gone(lake: Lake, table: Table, day: date | None) -> str | None:
    """What is to be said of days, or of one, whose landed rows were dropped."""
    rows = {each: count for each, count in gone(lake, table).items() if day in (None, each)}
    if not rows:
        return None
    which = f"{min(rows)}" if len(rows) == 1 else f"{len(rows):,} days from {min(rows)} to {max(rows)}"
    return f"{sum(rows.values()):,} landed rows of {which} were dropped (retention_days), the rejected ones too"


COMMANDS = (retention_command,)
