"""One purchase of each person kept back, in files that mark it: ``held_out`` rows have no time, so no cut-off has."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl

from recsys_assets.benchmark.history import KEYS, History, as_landed
from recsys_assets.benchmark.outcome import Progress
from recsys_assets.errors import SourceError
from recsys_assets.importers import IMPORTERS
from recsys_assets.importers.base import Piece
from recsys_assets.importers.guess import Look, columns_of, propose
from recsys_assets.logic.split import Window
from recsys_assets.models.holdout import Holdout, held_out, past
from recsys_assets.tuning import Tuning

MARK = "held_out"


@dataclass(frozen=True)
class OneOut:
    """What is known of a shop, and the purchase kept back of each person: ``person_key``, ``product_id``."""

    history: History
    answers: pl.DataFrame


def read_one_out(path: Path, *, mapping: Path | None, now: datetime, tuning: Tuning, progress: Progress) -> OneOut:
    """A file of events with a column ``held_out``; other columns by the mapping file, else by their names.

    Raises:
        SourceError: it cannot be read, has no such column, marks no row, or its columns are not understood.
    """
    try:
        sent = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from error
    if MARK not in sent.columns:
        raise SourceError(f"{path} has no column {MARK}; it has {', '.join(sent.columns)}. Name a --cutoff instead")
    marked = sent[MARK].cast(pl.String).str.to_lowercase().is_in(["true", "1"])
    known, kept_back = sent.filter(~marked).drop(MARK), sent.filter(marked)
    if kept_back.is_empty() or known.is_empty():
        raise SourceError(f"{path}: {MARK} is {'true' if known.is_empty() else 'false'} in every row")
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        events, rules = Path(folder) / "events.parquet", mapping or Path(folder) / "guessed.toml"
        known.write_parquet(events)
        if mapping is None:
            guess = propose(Look(tuple(known.columns), known.head(500)))
            if guess is None:
                raise SourceError(f"{path}: its columns {', '.join(known.columns)} are not understood; give --map FILE")
            rules.write_text(guess, encoding="utf-8")
        raw = IMPORTERS["mapped"].read(Piece((events,)), rules, None)
    columns = (
        {field: column for column, field in raw.mapping} if mapping else columns_of(tuple(known.columns), "events")
    )
    history = as_landed([("mapped", raw)], now=now, tuning=tuning, progress=progress, what=str(path))
    person = "user_id" if "user_id" in columns else "anon_id"
    make = KEYS.user_key if person == "user_id" else KEYS.anon_key
    ids = kept_back.select(
        pl.col(columns[person]).cast(pl.String).map_elements(make, return_dtype=pl.String).alias("person_key"),
        pl.col(columns["product_id"]).cast(pl.String).alias("product_id"),
    )
    progress(f"{ids.height:,} purchases are kept back")
    return OneOut(history, ids.unique().sort("person_key", "product_id"))


def windows_of(
    found: OneOut, recommendable: list[str], tuning: Tuning
) -> tuple[Holdout | None, pl.DataFrame, Holdout | None]:
    """Validation, which keeps back each person's last purchase of what is known, the events it knows, and the test.

    Everything that the person did with the product kept back is left out of the validation's training, as it is in
    the test's: who looked at a product first would give it away. Who bought one product alone is no validation: nothing
    would be known of them that the test does not know better.
    """
    events, last = found.history.events, found.history.last
    person = pl.coalesce("user_key", "anon_key")
    bought = events.filter(pl.col("event_type") == "purchase", person.is_not_null()).with_columns(
        person.alias("person_key")
    )
    newest = (
        bought.sort("event_time", "event_id")
        .unique(["person_key", "product_id"], keep="last", maintain_order=True)
        .filter(pl.len().over("person_key") > 1)
        .unique("person_key", keep="last", maintain_order=True)
        .select("person_key", "product_id")
        .sort("person_key", "product_id")
    )
    earlier = (
        events.with_columns(person.alias("person_key"))
        .join(newest, on=["person_key", "product_id"], how="anti", maintain_order="left")
        .drop("person_key")
    )
    return (
        _held(earlier, newest, last, recommendable, tuning),
        earlier,
        _held(events, found.answers, last, recommendable, tuning),
    )


def _held(
    events: pl.DataFrame, answers: pl.DataFrame, last: date, recommendable: list[str], tuning: Tuning
) -> Holdout | None:
    return held_out(past(events, Window(last, last), tuning), answers, last, recommendable, tuning)
