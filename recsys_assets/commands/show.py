"""`recsys show USER`: what is known of a person, and what they are shown and why."""

from datetime import date
from typing import Any

import click
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table as Grid

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, print_json
from recsys_assets.commands.people import ANON, key_of
from recsys_assets.errors import NotFoundError
from recsys_assets.identity import KEY_PREFIX
from recsys_assets.local.supervisor import servers
from recsys_assets.logic.copywriting import micros_to_amount, money
from recsys_assets.settings import Home
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.postgres import Postgres, rows
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, USER_PROFILES


@click.command()
@click.argument("user")
@ANON
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True, help="Rows of history and list.")
@JSON
def show(user: str, anon: bool, limit: int, as_json: bool) -> None:
    """Print a person's history, profile and list, with reasons."""
    settings, home = context()
    key = key_of(user, anon)
    with servers(settings, home) as found:
        postgres = Postgres(found.postgres_url)
        there = postgres.refresh()
        with postgres.connect() as connection:
            offers = rows(connection, "read/offers", {"key": key, "limit": limit}) if there else []
    told = {
        "key": KEY_PREFIX + key,
        "history": _history(home, key, limit),
        "profile": _profile(home, key),
        "list": [{**row, "price": _price(row["price_micros"], home)} for row in offers],
    }
    if not (told["history"] or told["profile"] or told["list"]):
        raise NotFoundError(
            f"nothing is known of {user!r}: no event, no profile, no list. Is it an anonymous id (--anon)?"
        )
    if as_json:
        print_json(told)
    else:
        _print(user, told)


def _price(micros: int | None, home: Home) -> str:
    return "" if micros is None else money(micros_to_amount(micros), home.config.currency)


def _history(home: Home, key: str, limit: int) -> list[dict[str, Any]]:
    """The newest events first, with product names as of the newest catalogue."""
    lake = Lake(home.lake_url)
    events = (
        lake.scan(CLEAN_EVENTS, lake.days(CLEAN_EVENTS))
        .filter((pl.col.user_key == key) | (pl.col.anon_key == key))
        .sort("event_time", "event_id", descending=True)
        .head(limit)
        .collect()
    )
    days = lake.days(CATALOG)
    names = lake.read(CATALOG, days[-1]) if days else CATALOG.empty()
    named = events.join(names.select("product_id", "name"), on="product_id", how="left", maintain_order="left")
    return [
        {
            "time": row["event_time"].isoformat(sep=" ", timespec="minutes"),
            "event": row["event_type"],
            "product": row["product_id"],
            "name": row["name"],
            "quantity": row["quantity"],
            "price": _price(row["unit_price_micros"], home),
        }
        for row in named.iter_rows(named=True)
    ]


def _profile(home: Home, key: str) -> dict[str, Any]:
    lake = Lake(home.lake_url)
    days: list[date] = lake.days(USER_PROFILES)
    found = lake.read(USER_PROFILES, days[-1]).filter(pl.col.person_key == key).to_dicts() if days else []
    return {"as_of": days[-1], **found[0]} if found else {}


def _print(user: str, told: dict[str, Any]) -> None:
    # Neither markup nor emoji: a product may be called "[/red] :smile:".
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"{user}  ({told['key']})")
    if profile := told["profile"]:
        known = [f"as of {profile['as_of']}: {profile['user_type']}"]
        if profile["spending_segment"]:
            known.append(f"spends {profile['spending_segment']}")
        known += [f"{profile['orders']:,} orders", f"{profile['unique_items']:,} products"]
        if profile["last_purchase_date"]:
            known.append(f"last bought {profile['last_purchase_date']}")
        console.print(", ".join(known))
    history = _grid(
        "History, newest first, times in UTC",
        ("time", "event", "product", "name", "quantity", "price"),
        told["history"],
    )
    console.print(history)
    if told["list"]:
        console.print(_grid("List", ("product_id", "name", "price", "score", "confidence", "reason"), told["list"]))
    else:
        console.print("No list: opted out, or not in the live generation. The API answers with what is popular.")


def _grid(title: str, columns: tuple[str, ...], lines: list[dict[str, Any]]) -> Grid:
    grid = Grid(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    # On a narrow terminal a column without a value takes the room that a word of another one needs.
    columns = tuple(column for column in columns if any(line[column] is not None for line in lines)) or columns
    for column in columns:
        right = column in {"quantity", "price", "score", "confidence"}
        grid.add_column(
            column.removesuffix("_id"), justify="right" if right else "left", overflow="fold", no_wrap=column == "time"
        )
    for line in lines:
        grid.add_row(*(_cell(line[column]).removesuffix("+00:00") for column in columns))
    return grid


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return "".join(c if c.isprintable() else " " for c in text)  # an escape sequence would repaint the terminal


COMMANDS = (show,)
