"""`recsys simulate`: a made shop as files of the contract, with what is true of it beside them."""

import json
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

import click
import polars as pl
import pyarrow.parquet as pq

from recsys_assets.errors import SettingsError
from recsys_assets.logic.simulate import days
from recsys_assets.logic.simulated_shop import LABEL, Scale, day_of, make_shop, parameters, truth, users_file

Format = Literal["parquet", "csv", "jsonl"]
_NOTICE = """This folder is SYNTHETIC: `recsys simulate` drew it from a seed. No person, product or sale in it is real.

files/   what a shop would deliver: events and catalogue changes by day, users. Import it with the format `contract`.
truth/   what is true of each user, product and order, what goes with what, and the parameters: what a test looks for,
         never imported. An order's intent is what its visit was for, whatever the order looks like.
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--users", type=click.IntRange(1), default=2_000, show_default=True, help="People.")
@click.option("--products", type=click.IntRange(12), default=1_000, show_default=True, help="Products.")
@click.option("--days", "count", type=click.IntRange(1), default=90, show_default=True, help="Days, from the first on.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Equal seeds make equal files.")
@click.option(
    "--first-day", type=click.DateTime(["%Y-%m-%d"]), default="2026-01-01", show_default=True, help="First day."
)
@click.option("--visits-per-month", type=float, default=4.0, show_default=True, help="Of an average person.")
@click.option(
    "--format",
    "layout",
    type=click.Choice(get_args(Format)),
    default="parquet",
    show_default=True,
    help="Of the files.",
)
@click.option("--json", "as_json", is_flag=True, help="The same for programs.")
def simulate(
    *,
    folder: Path,
    users: int,
    products: int,
    count: int,
    seed: int,
    first_day: datetime,
    visits_per_month: float,
    layout: Format,
    as_json: bool,
) -> None:
    """Write a made shop: events, catalogue and users files in FOLDER/files, the truth in FOLDER/truth."""
    shop = make_shop(Scale(users, products, count, first_day.date(), seed, visits_per_month))
    files = folder / "files"
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(
            f"{folder} is not empty: name a new folder, so that no other files are mixed with made ones."
        )
    files.mkdir(parents=True)
    (folder / "SYNTHETIC.txt").write_text(_NOTICE)
    (folder / "truth").mkdir()
    for name, frame in truth(shop).items():
        frame.write_parquet(folder / "truth" / f"{LABEL}-{name}.parquet")
    (folder / "truth" / f"{LABEL}-parameters.json").write_text(json.dumps(parameters(shop), indent=1) + "\n")
    _write(users_file(shop), files / f"{LABEL}-users", layout)
    events = 0
    made = days(shop)
    first = next(made)
    # A row group a day: no more than one day's orders is ever held.
    orders, schema = folder / "truth" / f"{LABEL}-orders.parquet", first.orders.to_arrow().schema
    with pq.ParquetWriter(orders, schema, compression="zstd") as writer:
        for day in chain([first], made):
            date = day_of(shop, day.number)
            if day.events.height:
                _write(day.events, files / f"{LABEL}-events-{date}", layout)
            if day.catalog.height:
                _write(day.catalog, files / f"{LABEL}-catalog-{date}", layout)
            if day.orders.height:
                writer.write_table(day.orders.to_arrow())
            events += day.events.height
    last = day_of(shop, count - 1)
    if as_json:
        found = {"events": events, "files": str(files), "first_day": str(first_day.date()), "last_day": str(last)}
        click.echo(json.dumps(found))
        return
    source = f"contract={files.absolute()}"
    click.echo(
        f"{events:,} {LABEL} events of {users:,} users and {products:,} products, {first_day.date()} to {last}, "
        f"in {folder}.\n"
        f"Next: recsys init --first-day {first_day.date()} --last-day {last} --source '{source}'"
    )


def _write(frame: pl.DataFrame, path: Path, layout: Format) -> None:
    target = path.with_name(f"{path.name}.{layout}")
    if layout == "parquet":
        frame.write_parquet(target, compression="zstd", compression_level=1)
    elif layout == "csv":
        words = pl.selectors.list().list.join("|")  # CSV has no lists; the contract takes them so
        frame.with_columns(words).write_csv(target, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    else:
        times = pl.selectors.datetime()
        frame.with_columns(times.dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_ndjson(target)


COMMANDS = (simulate,)
