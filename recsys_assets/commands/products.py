"""`recsys products`: what was sold out, restocked or repriced since the catalogue was read, told to every reader."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, WholeHelps, plain, print_json
from recsys_assets.errors import SettingsError
from recsys_assets.identity import id_problem
from recsys_assets.importers.product_changes import price_micros, read_product_changes
from recsys_assets.local.supervisor import servers
from recsys_assets.logic.copywriting import micros_to_amount, money
from recsys_assets.logic.product_changes import ProductChange
from recsys_assets.settings import Home
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.product_changes import ProductChanges, Told

_NAMED = 10  # products in a warning
STDIN = "-"


@contextmanager
def product_changes() -> Iterator[tuple[ProductChanges, Home]]:
    """The home's changed products, its servers running."""
    settings, home = context()
    with servers(settings, home, needs_redis=False) as found:
        cache = Cache(found.redis_url)
        try:
            yield ProductChanges(Postgres(found.postgres_url), cache), home
        finally:
            cache.close()


@click.group(cls=WholeHelps)
def products() -> None:
    """Sold out, restocked, repriced: between two catalogues.

    A change reaches every answer and every e-mail within two seconds. It holds until a generation of today, or of a
    later day, is live: that one knows today's catalogue.
    """


@products.command("apply")
@click.argument("file")
@JSON
def apply_command(file: str, as_json: bool) -> None:
    """Tell what FILE says (CSV or JSON Lines; `-`: standard input).

    Its columns are product_id and in_stock, unit_price or both. An empty field tells nothing. A wrong line refuses all.
    """
    if file != STDIN:
        _tell(read_product_changes(Path(file).expanduser()), as_json)
        return
    with tempfile.NamedTemporaryFile(prefix="recsys-") as copy:
        copy.write(sys.stdin.buffer.read())
        copy.flush()
        changes = read_product_changes(Path(copy.name), "standard input")
    _tell(changes, as_json)


@products.command("sold-out")
@click.argument("ids", nargs=-1, required=True)
@JSON
def sold_out(ids: tuple[str, ...], as_json: bool) -> None:
    """Take products out of every answer."""
    _tell([ProductChange(one, in_stock=False) for one in _ids(ids)], as_json)


@products.command("in-stock")
@click.argument("ids", nargs=-1, required=True)
@JSON
def in_stock(ids: tuple[str, ...], as_json: bool) -> None:
    """Let products back in.

    What the catalogue itself called sold out is in no list yet, and comes into lists with the next generation.
    """
    _tell([ProductChange(one, in_stock=True) for one in _ids(ids)], as_json)


@products.command()
@click.argument("product")
@click.argument("amount")
@JSON
def price(product: str, amount: str, as_json: bool) -> None:
    """Give a product a new price, in the home's currency: `recsys products price p-12 2.49`."""
    try:
        micros = price_micros(amount)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    _tell([ProductChange(one, price_micros=micros) for one in _ids([product])], as_json)


@products.command("list")
@JSON
def list_command(as_json: bool) -> None:
    """Print what was told, by product and day."""
    with product_changes() as (found, home):
        told = found.told()
    if as_json:
        print_json([plain(change) for change in told])
        return
    for change in told:
        words = {True: "in stock", False: "sold out", None: ""}[change.in_stock]
        micros = change.price_micros
        amount = "" if micros is None else money(micros_to_amount(micros), home.config.currency)
        said = ", ".join(filter(None, [words, amount]))
        over = "" if change.holds else "  (over: the live generation knows that day's catalogue)"
        print(f"{change.day}  {said:<24} {_shown(change.product_id)}{over}")
    if not told:
        print("nothing was told of any product: everything is as the catalogue says")


@products.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Of every product.")
@JSON
def clear(ids: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Forget what was told of products: the catalogue speaks again."""
    if everything == bool(ids):
        raise click.UsageError("name products, or --all")
    with product_changes() as (found, _):
        done = found.clear(None if everything else _ids(ids))
    if as_json:
        print_json(plain(done))
        return
    print(f"{done.products:,} products are as the catalogue says again")
    _warn(done, "of which nothing was told")


def _ids(ids: Sequence[str]) -> list[str]:
    for number, one in enumerate(ids, 1):
        if why := id_problem(one):
            raise SettingsError(f"product {number} of the command line: this id {why}")
    return list(ids)


def _tell(changes: Sequence[ProductChange], as_json: bool) -> None:
    with product_changes() as (found, home):
        today = datetime.now(ZoneInfo(home.config.time_zone)).date()
        done = found.tell(changes, today)
    if as_json:
        print_json({**plain(done), "day": today})
        return
    print(f"{done.products:,} products changed for every reader, until a generation of {today} or later is live")
    _warn(done, "that the live catalogue does not know; kept")


def _warn(done: Told, what: str) -> None:
    if done.unknown:
        named = ", ".join(map(_shown, done.unknown[:_NAMED])) + (" …" if len(done.unknown) > _NAMED else "")
        click.echo(f"warning: {len(done.unknown):,} {what}: {named}", err=True)
    if done.cache_problem is not None:
        click.echo(
            f"warning: Redis has no copy of it ({done.cache_problem}). Readers take it from Postgres; only an API that "
            "starts while Postgres is away would not know. `recsys warm` copies it.",
            err=True,
        )


def _shown(product: str) -> str:
    return "".join(c if c.isprintable() else " " for c in product)  # an escape sequence would repaint the terminal


COMMANDS = (products,)
