"""`recsys explain USER [PRODUCT]`: why a product stands where it stands on a list, and why another one does not."""

import json
from dataclasses import asdict

import click
import polars as pl

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, print_json
from recsys_assets.commands.people import ANON, key_of
from recsys_assets.errors import NotFoundError
from recsys_assets.identity import KEY_PREFIX
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.copywriting import micros_to_amount, money
from recsys_assets.logic.explaining import Explained, Explainer, Told
from recsys_assets.logic.price_tiers import price_tiers, product_tiers
from recsys_assets.settings import Home
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import (
    CANDIDATES,
    CATALOG,
    INTERACTIONS,
    LISTS,
    REPURCHASE_CYCLES,
    RULE_EFFECTS,
    USER_PROFILES,
    Table,
)


@click.command()
@click.argument("user")
@click.argument("product", required=False)
@ANON
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True, help="Products of the list.")
@JSON
def explain(user: str, product: str | None, anon: bool, limit: int, as_json: bool) -> None:
    """Say why products are on a person's newest list, or why PRODUCT is not."""
    _, home = context()
    key = key_of(user, anon)
    explainer = _explainer(home, user, key)
    served = [explainer.product(product)] if product else explainer.served(limit)
    taken_out = [] if product else explainer.taken_out(limit)
    if as_json:
        told = {"key": KEY_PREFIX + key, "day": explainer.told.day}
        many = {"list": [asdict(one) for one in served], "taken_out": [asdict(one) for one in taken_out]}
        print_json(told | ({"product": asdict(served[0])} if product else many))
        return
    print(f"{_plain(user)}  ({KEY_PREFIX + key}), list of {explainer.told.day}")
    for one in served:
        _print(one)
    if taken_out:
        print("\nTaken out by rules, the best of them:")
    for one in taken_out:
        _print(one)


def _explainer(home: Home, user: str, key: str) -> Explainer:
    lake = Lake(home.lake_url)
    days = lake.days(LISTS)
    if not days:
        raise NotFoundError("there are no lists yet: `recsys run` makes them.")
    day = days[-1]

    def own(table: Table) -> pl.DataFrame:
        return lake.scan(table, [day]).filter(pl.col.person_key == key).collect()

    candidates = own(CANDIDATES)
    lists = own(LISTS)
    if candidates.is_empty() and lists.is_empty():
        raise NotFoundError(f"the lists of {day} hold nobody who is {user!r}. Is it an anonymous id (--anon)?")
    facts, tuning = lake.read(CATALOG, day), home.config.tuning
    told = Told(
        day,
        lists,
        candidates,
        own(RULE_EFFECTS),
        own(INTERACTIONS).filter(pl.col.purchases > 0),
        next(own(USER_PROFILES).iter_rows(named=True), {}),
        facts,
        lake.read(REPURCHASE_CYCLES, day),
        product_tiers(facts, price_tiers(facts, tuning)),
    )
    choices = Choices.from_json(json.loads(lake.get_text("choices", day, "choices.json")))
    currency = home.config.currency
    return Explainer(
        told,
        choices,
        tuning,
        lambda micros: "no price" if micros is None else money(micros_to_amount(micros), currency),
    )


def _print(one: Explained) -> None:
    place = f"{one.position:>3}." if one.position else "  –."
    named = f"{one.product_id}  {one.name}" if one.name else one.product_id
    print(f"\n{place} {_plain(named)}, {one.price}")
    if one.reason:
        confidence = "" if one.confidence is None else f" (confidence {one.confidence:.3f})"
        print(f"     {_plain(one.reason)}{confidence}")
    if one.level_1_score is not None:
        members = ", ".join(f"{name} {score:.3f}" for name, score in one.members.items() if score)
        final = "" if one.score in (None, one.level_1_score) else f", after the rules {one.score:.3f}"
        print(f"     score {one.level_1_score:.3f}{final}" + (f"; {members}" if members else ""))
    for rule in one.rules:
        print(f"     {_plain(rule)}")


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)  # an escape sequence would repaint the terminal


COMMANDS = (explain,)
