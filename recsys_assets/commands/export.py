"""`recsys export`, `export-person` and `keys`: whole generations as files, one person's data, keys of given ids."""

import csv
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, plain, print_json
from recsys_assets.commands.people import ANON, key_of
from recsys_assets.identity import KeyRing
from recsys_assets.importers.ids import read_ids
from recsys_assets.local.supervisor import servers
from recsys_assets.logic.safe_text import without_formula
from recsys_assets.scratch import beside, create, scratch, settle
from recsys_assets.settings import Home
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.export import Exported, Format, Wanted, export_lists
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.person import asked_for, document, parts
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.publishing import generations

STDIN = "-"
IDS_HELP = "File of ids: one a line, or CSV with the column user_id; `-`: standard input."
FORMULAS = click.option(
    "--formulas", is_flag=True, help="CSV with texts as they are, not made harmless for spreadsheets (a leading ')."
)
ANON_IDS = click.option("--anon", is_flag=True, help="The ids are anonymous ones (cookies, devices).")


def ids_of(file: str, home: Home) -> list[str]:
    """Ids in a file or in standard input.

    Raises:
        SourceError: it cannot be read, or a line holds no id.
    """
    if file != STDIN:
        return read_ids(Path(file).expanduser())
    with scratch(home.path) as folder:
        copy = create(folder / "ids")
        copy.write_bytes(sys.stdin.buffer.read())
        return read_ids(copy, "standard input")


def _by_key(keys: KeyRing, ids: list[str], anon: bool) -> dict[str, str]:
    return {keys.resolve(one, anonymous=anon): one for one in ids}


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--generation", type=int, help="A kept generation; default: the live one.")
@click.option("--ids", "ids_file", help=f"Only these people, with their ids. {IDS_HELP}")
@ANON_IDS
@click.option(
    "--candidates", is_flag=True, help="All ranked candidates (about 200 a person), not what is served alone."
)
@click.option(
    "--format", "file_format", type=click.Choice(["parquet", "csv"]), help="Default: as PATH ends, or parquet."
)
@FORMULAS
@JSON
def export(
    *,
    path: Path | None,
    generation: int | None,
    ids_file: str | None,
    anon: bool,
    candidates: bool,
    file_format: Literal["parquet", "csv"] | None,
    formulas: bool,
    as_json: bool,
) -> None:
    """Write the lists of a whole generation to one file: one row per person and product.

    PATH is a file or a folder; default: exports/ of the home, whose files erasures reach.
    """
    settings, home = context()
    ids = None if ids_file is None else _by_key(home.keys, ids_of(ids_file, home), anon)
    chosen = file_format or _format_of(path)
    with servers(settings, home, needs_redis=False) as found:
        out = _file(path, home, found.postgres_url, generation, candidates, chosen)
        wanted = Wanted(generation, ids, candidates, formulas)
        done = export_lists(Postgres(found.postgres_url), home.keys, out, chosen, wanted, home.config.currency)
    if as_json:
        print_json(plain(done))
    else:
        _say(done, ids_file is not None)
    if not out.is_relative_to(home.exports.absolute()):
        click.echo(
            f"warning: this file is not below {home.exports}: an erasure does not reach it. Whoever keeps it has to "
            "take erased people out.",
            err=True,
        )


def _say(done: Exported, chosen: bool) -> None:
    print(f"{done.path}: {done.rows:,} rows of {done.people:,} people, generation {done.generation} for {done.day}")
    if chosen and done.without_list:
        print(f"{done.without_list:,} ids have no list in it: unknown, opted out, or new")


def _format_of(path: Path | None) -> Format:
    return "csv" if path is not None and path.suffix.lower() == ".csv" else "parquet"


def _file(
    path: Path | None, home: Home, postgres_url: str, generation: int | None, candidates: bool, file_format: Format
) -> Path:
    """Where to write: PATH itself, or a file named after the generation in that folder."""
    asked = (path or home.exports).expanduser().absolute()
    if path is not None and not asked.is_dir():
        return asked
    if generation is None:
        generation = next((g.generation for g in generations(postgres_url) if g.live), None)
    what = "candidates" if candidates else "lists"
    return asked / f"{what}-{generation}.{file_format}"


@click.command()
@click.option("--ids", "ids_file", required=True, help=IDS_HELP)
@ANON_IDS
@FORMULAS
@JSON
def keys(*, ids_file: str, anon: bool, formulas: bool, as_json: bool) -> None:
    """Print the key of each id, as CSV: what exports, tables and listings call these people.

    Nothing is stored. Routes that take a user id take `key:` and the key as well.
    """
    _, home = context()
    pairs = [(one, home.keys.resolve(one, anonymous=anon)) for one in ids_of(ids_file, home)]
    if as_json:
        print_json([{"user_id": one, "person_key": key} for one, key in pairs])
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("user_id", "person_key"))
    writer.writerows(pairs if formulas else [(without_formula(one), key) for one, key in pairs])


@click.command("export-person")
@click.argument("user")
@ANON
@click.option("--out", type=click.Path(path_type=Path), help="File to write, instead of printing.")
@JSON
def export_person(user: str, anon: bool, out: Path | None, as_json: bool) -> None:
    """Print everything that is held about one person, as JSON: for whoever asks what a shop knows of them.

    USER's anonymous keys that belong to nobody else are in it. Of a device that others use too, ask with --anon.
    """
    settings, home = context()
    key, lake = key_of(user, anon), Lake(home.lake_url)
    with servers(settings, home) as found, ExitStack() as stack:
        cache = Cache(found.redis_url)
        stack.callback(cache.close)
        asked = asked_for(lake, key)
        held = parts(lake, Postgres(found.postgres_url), cache, home.keys, home.exports, asked)
        pieces = document(asked, home.config.currency, datetime.now(UTC), held)
        if out is None:
            sys.stdout.writelines(pieces)
            return
        out = out.expanduser().absolute()
        with beside(out) as folder:
            made = create(folder / "made")
            with made.open("w", encoding="utf-8") as file:
                file.writelines(pieces)
            settle(made, out)
    if as_json:
        print_json({"file": out})
    else:
        print(f"{out}: everything that is held about this person. No erasure reaches this file.")


COMMANDS = (export, export_person, keys)
