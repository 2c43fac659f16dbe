"""The next click of a session: rank all products after every prefix of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.benchmark.files import read
from recsys_assets.benchmark.outcome import Clock, Outcome, Progress, known_model, silent
from recsys_assets.benchmark.session_pool import BLOCK, Sources, greatest
from recsys_assets.errors import SourceError
from recsys_assets.logic.metrics import Counts, Hits
from recsys_assets.models.base import Interactions, Steps
from recsys_assets.models.pool import Pool
from recsys_assets.models.popularity import Popularity
from recsys_assets.models.ranker import Ranker
from recsys_assets.models.session import Session
from recsys_assets.models.top import Picks, block_size, top
from recsys_assets.models.weights import choose_weights

# Models, and what each takes of a choice.
PARTS: dict[str, tuple[str, ...]] = {
    "session": ("session",),
    "transitions": (),
    "popularity": (),
    "blend": ("session", "weights"),
    "learned": ("session", "ranker"),
}
MODELS = tuple(PARTS)

# Sessions have an order and no dates: the training spans this many "days", whatever it holds.
DAYS = 100.0
# Share of the training sessions, the latest, that choices are made on.
HELD = 0.1

Places = npt.NDArray[np.int64]
Columns = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Clicks:
    """Sessions, the oldest first: clicks of session s are ``indptr[s]:indptr[s + 1]`` of ``columns``."""

    indptr: Places
    columns: Columns
    product_ids: npt.NDArray[np.str_]

    def part(self, first: int, last: int) -> Clicks:
        """Sessions ``first`` up to ``last``."""
        return Clicks(
            self.indptr[first : last + 1] - self.indptr[first],
            self.columns[self.indptr[first] : self.indptr[last]],
            self.product_ids,
        )

    @property
    def count(self) -> int:
        """Sessions."""
        return len(self.indptr) - 1

    @property
    def per_day(self) -> float:
        """Sessions of a "day"."""
        return self.count / DAYS

    def people(self, per_day: float) -> Interactions:
        """Each session as a person with one visit, aged by the later sessions."""
        count, lengths = self.count, np.diff(self.indptr)
        places = np.arange(len(self.columns)) - np.repeat(self.indptr[:-1], lengths)
        ages = np.repeat(np.arange(count, 0, -1) / per_day, lengths)
        clicks = sp.csr_matrix(
            (np.ones(len(self.columns), dtype=np.float32), self.columns.copy(), self.indptr),
            shape=(count, len(self.product_ids)),
        )
        clicks.sum_duplicates()  # in place, so of a copy: the order of clicks stays
        steps = Steps(
            self.indptr,
            self.columns,
            places.astype(np.int32),
            np.zeros(len(places), dtype=np.int32),
            ages.astype(np.float32),
        )
        keys = np.char.zfill(np.arange(count).astype(np.str_), len(str(count)))
        return Interactions(keys, self.product_ids, clicks, clicks, clicks, clicks, steps)

    def queries(self) -> Queries:
        """Every prefix of every session, and the click that followed it."""
        lengths = np.diff(self.indptr)
        more = np.maximum(lengths - 1, 0)
        starts = np.repeat(self.indptr[:-1], more)
        known = np.arange(len(starts)) - np.repeat(np.cumsum(more) - more, more) + 1
        indptr = np.concatenate([[0], np.cumsum(known)]).astype(np.int64)
        entries = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], known)
        prefixes = Clicks(indptr, self.columns[entries], self.product_ids)
        return Queries(prefixes.people(per_day=np.inf), self.columns[starts + known].astype(np.int64))


@dataclass(frozen=True)
class Queries:
    """Prefixes of sessions, each a person, and the column of the click that followed; -1 where training lacks it."""

    history: Interactions
    targets: Places

    def drawn(self, most: int) -> Queries:
        """At most so many, in their order."""
        if len(self.targets) <= most:
            return self
        some = np.sort(np.random.default_rng(0).choice(len(self.targets), most, replace=False))
        return Queries(self.history.take(some), self.targets[some])

    def figures(self, picks: Picks, k: int) -> dict[str, float]:
        """P@k, which is the share of prefixes with a hit, and MRR@k, over all prefixes."""
        hits = picks.columns == self.targets[picks.rows]
        places = picks.ranks()[hits]
        places = places[places < k]
        count = max(len(self.targets), 1)
        return {f"p@{k}": len(places) / count, f"mrr@{k}": float((1.0 / (places + 1)).sum()) / count}


# Parameters of `session`, tried in turn, each at the best of the others so far; the first is where the search starts.
GRID: dict[str, tuple[float, ...]] = {
    "closeness": (1.5, 1.0, 2.0),
    "recency": (100.0, 30.0, 50.0, 200.0),
    "popularity_exponent": (0.2, 0.0, 0.1, 0.3),
    "step_decay": (2.5, 1.5, 5.0),
    "itself": (1.0, 0.0, 0.3, 2.0),
    "reach": (6.0, 2.0, 3.0, 12.0),
    "backward": (1.0, 0.3, 0.6),
    "length_exponent": (0.2, 0.0, 0.5),
    "idf_exponent": (1.5, 0.5, 1.0),
}
ROUNDS = 2
# Prefixes that a trial is measured on: a standard error of .005 in P@20, and about .002 between two trials.
SAMPLE = 10_000
# Features of the pool that a blend is made of.
BLENDED = ("session", "transitions", "walk", "wide", "near", "next")
# Prefixes that weights and trees are learned from at most: memory and time then do not grow with the file.
TAUGHT = 45_000
# On the judging slice of 95 % of Diginetica's training, P@20 / MRR@20: session .488 / .178, a blend .501 / .180, trees
# taught by 15,000 prefixes .515 / .187; 24,000 lift the MRR by another .002 (other prefixes were drawn).
RANKER: dict[str, Any] = {"trees": 200, "leaves": 31, "learning_rate": 0.08, "least_in_leaf": 100}


@dataclass(frozen=True)
class Choice:
    """What the last training sessions chose: parameters, the order of candidates, and the model with the best lists."""

    name: str
    session: dict[str, Any]
    weights: dict[str, float]
    ranker: Ranker | None
    validation: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """What the model that is measured is made of."""
        parts = {"session": self.session, "weights": self.weights, "ranker": RANKER}
        return {name: parts[name] for name in PARTS[self.name]}


def sessions(train: Path, test: Path, *, k: int = 20, model: str | None = None, progress: Progress = silent) -> Outcome:
    """Predict the next click.

    Args:
        train: columns session, position, item; sessions with higher numbers are later.
        test: columns prefix (a list of items, the oldest first) and target.
        k: places.
        model: one of ``MODELS``; default: the best on the last sessions of ``train``.
        progress: called with one line per step.

    Raises:
        RefusedError: there is no such model.
        SourceError: a file cannot be read or lacks a column, or its sessions are too few to choose on.
    """
    fixed = known_model(model, MODELS)
    clock = Clock()
    clicks = _clicks(train)
    queries = _queries(test, clicks.product_ids)
    progress(
        f"{clicks.count:,} sessions, {len(clicks.columns):,} clicks, {len(queries.targets):,} prefixes to continue"
    )
    with clock("fit"):
        choice = _choose(clicks, k, fixed, progress)
        progress(f"fitting {choice.name} on all sessions")
        session = Session(**choice.session)
        everybody = clicks.people(clicks.per_day)
        session.fit(everybody)
        sources = Sources.of(session, everybody)
    with clock("score"):
        picks = _listed(sources, everybody, queries.history, k, choice)
    return Outcome("sessions", choice.name, queries.figures(picks, k), choice.validation, choice.to_json(), clock)


def _choose(clicks: Clicks, k: int, fixed: str | None, progress: Progress) -> Choice:
    """Search and learn on three fifths of the last sessions, judge on the rest; then learn anew from both."""
    held = int(clicks.count * HELD)
    last, middle = clicks.count - held, clicks.count - held * 2 // 5
    for first, stop in ((last, middle), (middle, clicks.count)):
        if not (np.diff(clicks.indptr[first : stop + 1]) > 1).any():
            raise SourceError(
                f"sessions {first} to {stop} of the training file's {clicks.count} have no second click to learn from; "
                "give it more sessions"
            )
    train = clicks.part(0, last).people(clicks.per_day)
    taught = clicks.part(last, middle).queries().drawn(TAUGHT * 3 // 5)
    judged = clicks.part(middle, clicks.count).queries().drawn(TAUGHT * 2 // 5)
    session, parameters = _search(train, taught.drawn(SAMPLE), k, progress)
    sources = Sources.of(session, train)
    choice = Choice(fixed or "session", parameters, {}, None, {})
    names = MODELS if fixed is None else (fixed,)
    if {"blend", "learned"} & set(names):
        lessons = pooled(sources, taught)
        choice = replace(choice, weights=_weights(lessons, taught, k))
        progress(f"blend: {choice.weights}")
    if "learned" in names:
        choice = replace(choice, ranker=_ranker(lessons, taught.targets))
    for name in names:
        picks = _listed(sources, train, judged.history, k, replace(choice, name=name))
        choice.validation[name] = judged.figures(picks, k)
        progress(f"{name}: {'  '.join(f'{key} {value:.4f}' for key, value in choice.validation[name].items())}")
    best = max(names, key=lambda name: round(sum(choice.validation[name].values()), 9))
    if best == "learned":
        progress("learned: again, from what it was judged on as well")
        both = Pool.concat([lessons, pooled(sources, judged)], [0, len(taught.targets)])
        choice = replace(choice, ranker=_ranker(both, np.concatenate([taught.targets, judged.targets])))
    return replace(choice, name=best)


def _search(train: Interactions, sample: Queries, k: int, progress: Progress) -> tuple[Session, dict[str, Any]]:
    """The parameters of `session` under which P@k + MRR@k is highest: coordinate ascent over ``GRID``."""
    counted = Session()
    counted.fit(train)
    seen: dict[tuple[float, ...], float] = {}

    def figure(parameters: dict[str, Any]) -> float:
        key = tuple(parameters.values())
        if key not in seen:
            picks = counted.retuned(**parameters).best(sample.history, k)
            seen[key] = round(sum(sample.figures(picks, k).values()), 9)
        return seen[key]

    best: dict[str, Any] = {name: values[0] for name, values in GRID.items()}
    for _ in range(ROUNDS):
        for name, values in GRID.items():
            best = max([best, *(best | {name: value} for value in values)], key=figure)
    progress(f"session: {best}, {figure(best):.4f} = P@{k} + MRR@{k} on {len(sample.targets):,} prefixes")
    return counted.retuned(**best), best


def _weights(pool: Pool, taught: Queries, k: int) -> dict[str, float]:
    """Weights of ``BLENDED`` under which P@k + MRR@k is highest."""
    some = pool.rows < SAMPLE
    few = Pool(pool.rows[some], pool.columns[some], pool.features[some], pool.names)
    people = min(SAMPLE, len(taught.targets))
    scaled = _scaled(few, people)
    hits = few.columns == taught.targets[few.rows]
    return choose_weights(scaled, hits, np.ones(people, dtype=np.int64), _figure, k)[0]


def _figure(hits: Hits, relevant: Counts, k: int) -> npt.NDArray[np.float64]:
    """1 for a hit, and 1 ÷ its place beside it."""
    del relevant
    gained: npt.NDArray[np.float64] = (hits[:, :k] * (1 + 1 / np.arange(1, k + 1))).sum(axis=1)
    return gained


def _ranker(pool: Pool, targets: Places) -> Ranker:
    ranker = Ranker(**RANKER)
    ranker.fit(pool, pool.columns == targets[pool.rows])
    return ranker


def pooled(sources: Sources, queries: Queries) -> Pool:
    """Candidates of all prefixes."""
    starts = range(0, len(queries.targets), BLOCK)
    return Pool.concat([sources.pool(queries.history.rows(start, start + BLOCK)) for start in starts], list(starts))


def _listed(sources: Sources, train: Interactions, history: Interactions, k: int, choice: Choice) -> Picks:
    """The ``k`` best products after each prefix; where nothing is known of one, the popular products."""
    popularity = Popularity(purchase_weight=1.0)
    popularity.fit(train)
    popular = top(popularity.scores(train.rows(0, 1)), k)
    people = len(history.person_keys)
    size = block_size(len(history.product_ids)) if choice.name == "transitions" else BLOCK
    parts = []
    for start in range(0, people, size):
        picks = _picks(sources, history.rows(start, start + size), k, choice)
        parts.append(Picks(picks.rows + start, picks.columns, picks.scores))
    rows, columns, scores = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "columns", "scores")
    )
    empty = np.setdiff1d(np.arange(people), rows)
    return Picks(rows, columns, scores).and_also(
        Picks(
            np.repeat(empty, len(popular.columns)),
            np.tile(popular.columns, len(empty)),
            np.tile(popular.scores, len(empty)),
        )
    )


def _picks(sources: Sources, history: Interactions, k: int, choice: Choice) -> Picks:
    """The same without the popular products."""
    if choice.name == "popularity":
        none = np.zeros(0, dtype=np.int64)
        return Picks(none, none, np.zeros(0, dtype=np.float32))
    if choice.name == "session":
        return sources.session.best(history, k)
    if choice.name == "transitions":
        return top(sources.transitions.scores(history), k)
    pool = sources.pool(history)
    if choice.name == "learned" and choice.ranker is not None:
        scores = choice.ranker.scores(pool)
    else:
        scaled = _scaled(pool, len(history.person_keys))
        scores = scaled.features @ np.array([choice.weights[name] for name in BLENDED], dtype=np.float32)
    return Picks.ordered(pool.rows, pool.columns, scores).first(k)


def _scaled(pool: Pool, people: int) -> Pool:
    """What a blend sums: each member's best product of a prefix is 1."""
    features = []
    for name in BLENDED:
        scores = pool.feature(name)
        best = greatest(pool.rows, scores, people)
        features.append(scores / np.where(best > 0, best, np.float32(1))[pool.rows])
    return Pool(pool.rows, pool.columns, np.stack(features, axis=1), BLENDED)


def _clicks(path: Path) -> Clicks:
    frame = read(path, ("item",), ("session", "position")).sort("session", "position", "item")
    product_ids = np.array(sorted(frame["item"].unique().to_list()), dtype=np.str_)
    lengths = frame.group_by("session", maintain_order=True).len()["len"].to_numpy()
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Clicks(indptr, _columns(frame["item"], product_ids).astype(np.int32), product_ids)


def _queries(path: Path, product_ids: npt.NDArray[np.str_]) -> Queries:
    frame = read(path, ("target",), (), ("prefix",)).with_row_index("row")
    clicked = frame.select("row", "prefix").explode("prefix").drop_nulls("prefix")
    columns = _columns(clicked["prefix"], product_ids)
    rows = clicked["row"].to_numpy()[columns >= 0]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=frame.height))]).astype(np.int64)
    prefixes = Clicks(indptr, columns[columns >= 0].astype(np.int32), product_ids)
    return Queries(prefixes.people(per_day=np.inf), _columns(frame["target"], product_ids))


def _columns(items: pl.Series, product_ids: npt.NDArray[np.str_]) -> Places:
    """Each item's column, -1 where there is none."""
    places = {item: place for place, item in enumerate(product_ids.tolist())}
    return items.replace_strict(places, default=-1, return_dtype=pl.Int64).to_numpy()
