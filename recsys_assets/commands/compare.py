"""`recsys compare`: the lists of one computed day beside those of another, or beside the live ones."""

from dataclasses import dataclass
from datetime import date

import click
import polars as pl

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, print_json, say
from recsys_assets.errors import NotFoundError
from recsys_assets.local.supervisor import servers
from recsys_assets.logic.price_tiers import product_tiers
from recsys_assets.logic.promotion import ListFacts, churn
from recsys_assets.models.choosing import choice_k
from recsys_assets.settings import Home
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.live import live
from recsys_assets.stores.postgres import Postgres
from recsys_assets.table import Table
from recsys_assets.tables import CATALOG, EVALUATION, LISTS, MICROS, PRICE_TIERS

LIVE = "live"


@dataclass(frozen=True)
class _Side:
    """Lists that are compared: ``people`` have one, ``ndcg`` is of the test window.

    ``served`` has person, product and price of each place of as many people as the gate looks at: the first ones by
    key, which are a fair sample, since keys are drawn by a secret.
    """

    name: str
    day: date
    people: int
    served: pl.DataFrame
    facts: ListFacts
    ndcg: float | None


class _Which(click.ParamType[date | None]):
    name = "DAY|live"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date | None:
        """A day, or None for what is live."""
        try:
            return None if value == LIVE else date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a day such as 2026-11-20 nor the word {LIVE}", param, ctx)


@click.command()
@click.argument("a", type=_Which())
@click.argument("b", type=_Which(), default=LIVE)
@JSON
def compare(a: date | None, b: date | None, as_json: bool) -> None:
    """Compare lists: A and B are computed days, or `live` (B, unless given): figures, churn, price mix."""
    settings, home = context()
    with servers(settings, home, needs_redis=False) as found:
        left, right = (_side(home, found.postgres_url, which) for which in (a, b))
    changed = churn(left.served, right.served)
    both = left.served["person_key"].unique().is_in(right.served["person_key"].unique().to_list()).sum()
    if as_json:
        sides = {name: _told(side) for name, side in (("a", left), ("b", right))}
        print_json(sides | {"people_with_both": both, "churn": changed})
        return
    rows = [(name, *values) for name, *values in zip(_told(left), *map(_shown, (left, right)), strict=True)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, one, other in rows:
        say(f"{name.replace('_', ' '):<{widths[0]}}  {one:>{widths[1]}}  {other:>{widths[2]}}")
    if changed is None:
        say("Nobody has a list on both sides: there is no churn to tell.")
    else:
        say(f"Of the places of {both:,} people with both, {changed:.1%} hold another product in A than in B.")
    if left.day == right.day and None in (a, b):
        say(f"The test's NDCG of both is that of {left.day} as it was computed last.")


def _side(home: Home, postgres_url: str, which: date | None) -> _Side:
    lake, tuning = Lake(home.lake_url), home.config.tuning
    knobs = tuning.promotion
    if which is None:
        found = live(Postgres(postgres_url), people=knobs.people, places=knobs.places)
        if found is None:
            raise NotFoundError("nothing is live yet: name two computed days.")
        name, day, people, served = f"{LIVE} ({found.generation})", found.day, found.people, found.served
    else:
        if which not in lake.days(LISTS):
            raise NotFoundError(
                f"{which} has no lists: `recsys run daily --day {which} --no-publish` computes them. Those of the "
                "newest keep_as_of_days computed days are kept."
            )
        lists = lake.read(LISTS, which)
        people, some = lists["person_key"].n_unique(), lists["person_key"].unique().sort().head(knobs.people)
        first = lists.filter(pl.col.position <= knobs.places, pl.col.person_key.is_in(some.to_list()))
        name, day, served = "computed", which, first.select("person_key", "product_id", "price_micros")
    catalog = _of_day(lake, CATALOG, day)
    tiers = product_tiers(catalog, _of_day(lake, PRICE_TIERS, day)).select("product_id", "price_tier")
    about = {"split": "test", "model": "published", "target": "all", "metric": "ndcg", "k": choice_k(tuning)}
    figures = _of_day(lake, EVALUATION, day).filter(**about)["value"].to_list()
    return _Side(name, day, people, served, ListFacts.of(served, catalog, tiers), figures[0] if figures else None)


def _of_day(lake: Lake, table: Table, day: date) -> pl.DataFrame:
    return lake.read(table, day) if day in lake.days(table) else table.empty()


def _told(side: _Side) -> dict[str, object]:
    facts = side.facts
    return {
        "lists": side.name,
        "day": side.day,
        "people": side.people,
        "products": facts.products,
        "places_per_person": facts.length,
        "price_of_a_place": facts.price / MICROS,
        **{f"{name}_places": share for name, share in facts.tiers.items()},
        "test_ndcg": side.ndcg,
    }


def _shown(side: _Side) -> list[str]:
    return [_text(name, value) for name, value in _told(side).items()]


def _text(name: str, value: object) -> str:
    if value is None:
        return "not measured"
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if name.endswith("_places"):
        return f"{value:.1%}"
    return f"{value:.4f}" if name.endswith("_ndcg") else f"{value:,.2f}"


COMMANDS = (compare,)
