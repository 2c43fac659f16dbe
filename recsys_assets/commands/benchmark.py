"""`recsys benchmark PROTOCOL FILES`: the platform's models on public splits, by the protocols that others published."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from recsys_assets.benchmark.outcome import Outcome, Progress, silent
from recsys_assets.commands.output import JSON, WholeHelps

FILE = click.Path(path_type=Path)
MODEL = click.option("--model", help="Measure this model instead of choosing one.")


def _k(default: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option("--k", type=click.IntRange(1, 1000), default=default, show_default=True, help="Places.")


@click.group(cls=WholeHelps)
def benchmark() -> None:
    """Measure the models on a public split, or on a shop's own history.

    Choices are made on a slice of the training file; then everything is fitted anew on all of it and measured once
    on the test file. No home is needed, and nothing is written.
    """


@benchmark.command()
@click.argument("train", type=FILE)
@click.argument("test", type=FILE)
@_k(20)
@MODEL
@JSON
def topn(train: Path, test: Path, k: int, model: str | None, as_json: bool) -> None:
    """Rank all items for each user; TRAIN and TEST hold user, item."""
    from recsys_assets.benchmark.topn import topn as protocol

    _tell(protocol(train, test, k=k, model=model, progress=_progress(as_json)), as_json)


@benchmark.command()
@click.argument("file", type=FILE)
@_k(10)
@MODEL
@JSON
def sequence(file: Path, k: int, model: str | None, as_json: bool) -> None:
    """Predict each user's last item; FILE holds user, position, item."""
    from recsys_assets.benchmark.sequence import sequence as protocol

    _tell(protocol(file, k=k, model=model, progress=_progress(as_json)), as_json)


@benchmark.command()
@click.argument("train", type=FILE)
@click.argument("test", type=FILE)
@_k(20)
@MODEL
@JSON
def sessions(train: Path, test: Path, k: int, model: str | None, as_json: bool) -> None:
    """Predict the next click; TRAIN holds session, position, item, TEST holds prefix, target."""
    from recsys_assets.benchmark.sessions import sessions as protocol

    _tell(protocol(train, test, k=k, model=model, progress=_progress(as_json)), as_json)


@benchmark.command()
@click.argument("history", type=FILE)
@click.argument("next_basket", type=FILE, metavar="NEXT")
@_k(10)
@MODEL
@JSON
def basket(history: Path, next_basket: Path, k: int, model: str | None, as_json: bool) -> None:
    """Predict each user's next basket; HISTORY holds user, basket, item, NEXT holds user, item."""
    from recsys_assets.benchmark.basket import basket as protocol

    _tell(protocol(history, next_basket, k=k, model=model, progress=_progress(as_json)), as_json)


@benchmark.command()
@click.argument("events")
@click.argument("catalogue", required=False)
@click.option("--cutoff", type=click.DateTime(["%Y-%m-%d"]), help="Last day that models see; what follows is the test.")
@click.option("--held-out", is_flag=True, help="Predict the purchase of each person that EVENTS marks as held_out.")
@click.option("--map", "mapping", type=FILE, metavar="FILE", help="Mapping file of EVENTS, as of `recsys ingest`.")
@_k(10)
@MODEL
@JSON
def shop(
    *, events: str, catalogue: str | None, cutoff: datetime | None, held_out: bool, mapping: Path | None, k: int,
    model: str | None, as_json: bool,
) -> None:  # fmt: skip
    """The whole pipeline on a shop's history: EVENTS and CATALOGUE of any format that `recsys ingest auto` knows.

    Either is a file, a folder or a glob; the word `package` is Complete Journey.
    """
    from recsys_assets.benchmark.shop import shop as protocol

    if (cutoff is None) != held_out:
        raise click.UsageError("name a day with --cutoff, or --held-out: one of both")
    paths = [events] if catalogue is None else [events, catalogue]
    day, now = cutoff.date() if cutoff else None, datetime.now(UTC)
    _tell(protocol(paths, cutoff=day, now=now, k=k, model=model, mapping=mapping, progress=_progress(as_json)), as_json)


def _progress(as_json: bool) -> Progress:
    return silent if as_json else click.echo


def _tell(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(outcome.to_json()))
        return
    for line in outcome.lines():
        click.echo(line)


COMMANDS = (benchmark,)
