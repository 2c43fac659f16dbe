"""`recsys search`: what the search for better knobs found, and the way back."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click

from recsys_assets.commands.home import context, yesterday
from recsys_assets.commands.output import JSON, WholeHelps, plain, print_json
from recsys_assets.errors import NotFoundError
from recsys_assets.logic.search import Overrides, Searched, Undone, in_force
from recsys_assets.settings import Home
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.searches import Searches

_BY_HAND = "undone by `recsys search undo`"


@click.group(cls=WholeHelps)
def search() -> None:
    """What the search for better knobs found; `recsys run search` looks for them."""


@search.command()
@JSON
def show(as_json: bool) -> None:
    """Say which found knobs are in force, since when, and by which figures."""
    _, home = context()
    records = Searches(Lake(home.lake_url)).all()
    day = yesterday(home, datetime.now(UTC))
    held = _held(home, records, day)
    newest = next((one for one in reversed(records) if isinstance(one, Searched)), None)
    undone = [one for one in records if isinstance(one, Undone)]
    if as_json:
        print_json(
            {
                "day": day,
                "in_force": plain(held) if held else None,
                "newest": plain(newest) if newest else None,
                "undone": [plain(one) for one in undone],
            }
        )
        return
    if held:
        click.echo(f"in force since {held.day}: {told(held.overrides)}")
        click.echo(f"  {held.verdict or 'found before searches were judged'}")
    else:
        click.echo("no found knobs are in force: those of home.toml, and the defaults, hold alone")
    if newest is None:
        click.echo("no search has run: `recsys run search` looks for better knobs")
    elif newest != held:
        click.echo(f"newest search, of {newest.day}: {newest.verdict or told(newest.overrides)}")
    for one in undone:
        click.echo(f"the search of {one.of} holds no more from {one.day} on: {one.why}")


@search.command()
@JSON
def undo(as_json: bool) -> None:
    """Go back to the knobs before the search that is in force; nights from the newest whole day on have them."""
    _, home = context()
    kept, now = Searches(Lake(home.lake_url)), datetime.now(UTC)
    day = yesterday(home, now)
    held = _held(home, kept.all(), day)
    if held is None:
        raise NotFoundError("no found knobs are in force: there is nothing to undo. `recsys search show` says more.")
    undone = Undone(day, held.day, now.isoformat(timespec="microseconds"), _BY_HAND)
    kept.undo(undone)
    left = _held(home, kept.all(), day)
    if as_json:
        print_json({"undone": plain(undone), "in_force": plain(left) if left else None})
        return
    click.echo(f"the search of {held.day} holds no more from {day} on: {told(held.overrides)} is taken back")
    click.echo(f"in force now: {told(left.overrides) if left else 'the knobs of home.toml alone'}")


def _held(home: Home, records: Sequence[Searched | Undone], day: date) -> Searched | None:
    return in_force(records, day, day - timedelta(home.config.tuning.evaluation.holdout_days))


def told(overrides: Overrides) -> str:
    """Knobs and their values in a line."""
    return ", ".join(f"{name} = {value}" for name, value in sorted(overrides.items())) or "no knob"


def found_on(home: Home, day: date) -> dict[str, Any] | None:
    """What the search of a day found, as JSON's types; None where there was none."""
    records = Searches(Lake(home.lake_url)).all()
    return next((plain(one) for one in records if isinstance(one, Searched) and one.day == day), None)


COMMANDS = (search,)
