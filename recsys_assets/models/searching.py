"""A bounded, seeded search for better knobs of the members; a winner is judged on a window of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.metrics import PerPerson, per_person
from recsys_assets.logic.promotion import ENOUGH_PEOPLE
from recsys_assets.logic.search import SPACE, Overrides, overridden, trials
from recsys_assets.logic.split import Window
from recsys_assets.models import make_blend
from recsys_assets.models.base import Recommender
from recsys_assets.models.choosing import choice_k
from recsys_assets.models.evaluation import Evaluation, evaluate
from recsys_assets.models.holdout import Holdout, holdout, list_for_all
from recsys_assets.models.recipe import Recipe
from recsys_assets.models.top import block_size, top
from recsys_assets.models.traits import features_of, uses_content
from recsys_assets.tuning import Tuning

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """One try: a member with other knobs, and its NDCG on new products of the window that trials are chosen on."""

    member: str
    overrides: Overrides
    figure: float


@dataclass(frozen=True)
class WindowFigure:
    """The default blend on so many days of history: NDCG of all targets, and its gain over ``window_days``, paired."""

    days: int
    blend: float
    popularity: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Found:
    """What a search tried and what won: ``overrides`` holds what differs from the present knobs."""

    k: int
    people: int
    trials: tuple[Trial, ...]
    windows: tuple[WindowFigure, ...]
    overrides: Overrides

    def lines(self) -> list[str]:
        """For people: the windows, and per member the best of its trials."""
        told = [
            f"{one.days:>5} days: NDCG@{self.k} {one.blend:.4f} (popularity {one.popularity:.4f}), "
            f"{one.gain:+.4f} [{one.low:+.4f}, {one.high:+.4f}] over the present window"
            for one in self.windows
        ]
        for member in dict.fromkeys(trial.member for trial in self.trials):
            own = [trial for trial in self.trials if trial.member == member]
            best = _best(own)
            told.append(
                f"{member}: NDCG@{self.k} {best.figure:.4f} with {best.overrides or 'the present knobs'}, "
                f"{own[0].figure:.4f} with the present ones, {len(own)} trials"
            )
        return told


@dataclass(frozen=True)
class Verdict:
    """Winners against the present knobs, on a window that no trial has seen: NDCG of what would be published.

    ``difference`` is paired over ``people``, ``low`` and ``high`` its 95 % interval.
    """

    k: int
    people: int
    present: float
    difference: float
    low: float
    high: float

    @property
    def adopted(self) -> bool:
        """Whether the winners are better beyond chance."""
        return self.people >= ENOUGH_PEOPLE and self.low > 0

    def __str__(self) -> str:
        told = (
            f"NDCG@{self.k} of what would be published {self.present:.4f} with the present knobs, with the winners "
            f"{self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}], paired over {self.people:,} people"
        )
        if self.people < ENOUGH_PEOPLE:
            return f"not adopted: {told}; fewer than {ENOUGH_PEOPLE} say nothing"
        return f"adopted: {told}" if self.adopted else f"not adopted: {told}; it may be chance"


def judged(
    events: pl.DataFrame | pl.LazyFrame,
    window: Window,
    recommendable: Callable[[date], Sequence[str]],
    present: Tuning,
    winners: Tuning,
    *,
    links: Callable[[pl.LazyFrame, date], pl.DataFrame | pl.LazyFrame] = lambda events, _: events,
    products: Callable[[date], pl.DataFrame | None] = lambda _: None,
    threads: int = 0,
    progress: Progress = lambda _: None,
) -> Verdict | None:
    """What shops by the present knobs and by the winners would publish, held against ``window``.

    Each chooses on the window before it, the one that trials were chosen on, as a night does before its test. None
    where nobody bought anything on the window.

    Args:
        events: table CLEAN_EVENTS; days after the window are not looked at.
        window: on which nothing was chosen.
        recommendable: see `evaluation.evaluate`.
        present: the present knobs.
        winners: the same with what won.
        links: see `evaluation.evaluate`.
        products: see `evaluation.evaluate`.
        threads: 0 = all cores; never changes a result.
        progress: called with one line per step.
    """

    def made(tuning: Tuning, champion: Recipe | None) -> Evaluation:
        once = tuning.model_copy(update={"evaluation": tuning.evaluation.model_copy(update={"origins": 1})})
        return evaluate(
            events, window.until, recommendable, once,
            links=links, products=products, champion=champion, threads=threads, progress=progress,
        )  # fmt: skip

    progress("the present knobs, on a window of its own")
    now = made(present, None)
    progress("the winners, on the same window")
    then, k = made(winners, Recipe(present, now.choices)), choice_k(present)
    about = {"split": "test", "target": "all", "metric": "ndcg", "k": k}
    rows = then.comparisons.filter(model="published", baseline="champion", **about)
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    base = float(then.metrics.filter(model="champion", **about)["value"][0])
    return Verdict(k, row["people"], base, row["difference"], row["low"], row["high"])


def search(
    events: pl.DataFrame | pl.LazyFrame,
    window: Window,
    recommendable: Sequence[str],
    tuning: Tuning,
    *,
    present: Overrides | None = None,
    products: pl.DataFrame | None = None,
    threads: int = 0,
    progress: Progress = lambda _: None,
) -> Found | None:
    """The best knobs of each member on a window, or None where it has no sales.

    Each member is searched by itself, on the products that its people had not bought before: members are judged by
    what they add, and one that is fitted alone is fitted fast. Of equal figures the earlier trial wins, so the present
    knobs. The test window is never looked at. Windows of history are compared, not chosen: every feature of the shop
    looks back so far, not the models alone.

    Args:
        events: table CLEAN_EVENTS; days after the window are not looked at.
        window: what is known, and what is asked.
        recommendable: product ids that may be listed.
        tuning: the home's knobs; ``search`` says how much is tried.
        present: what is in force beside them: where the search starts.
        products: table CATALOG, where facts of products are looked at.
        threads: 0 = all cores; never changes a result.
        progress: called with one line per trial.
    """
    few = tuning.evaluation.model_copy(update={"people": min(tuning.search.people, tuning.evaluation.people)})
    tuning, before = tuning.model_copy(update={"evaluation": few}), present or {}
    home, tuning = tuning, overridden(tuning, before)
    held = holdout(events, window, recommendable, tuning, products)
    if held is None:
        return None
    k, made = choice_k(tuning), list[Trial]()
    for member in SPACE:
        if member == "content" and (held.train.features is None or not uses_content(tuning)):
            continue
        for overrides in trials(member, home, home.search.trials, home.seed, before):
            knobs = overridden(home, before | overrides)
            figure = _figure(_facts_anew(held, products, knobs, member), _member(member, knobs, threads), k)
            progress(f"{member} with {overrides or 'the present knobs'}: NDCG@{k} {figure:.4f} on new products")
            made.append(Trial(member, overrides, figure))
    winners: Overrides = {}
    for member in SPACE:
        own = [trial for trial in made if trial.member == member]
        winners |= _best(own).overrides if own else {}
    compared = _windows(events, window, recommendable, tuning, threads, progress)
    return Found(k, len(held.history.person_keys), tuple(made), compared, winners)


def _best(own: Sequence[Trial]) -> Trial:
    return max(own, key=lambda trial: round(trial.figure, 9))  # of equal ones the first


def _member(name: str, tuning: Tuning, threads: int) -> Recommender:
    return make_blend(tuning, threads=threads, every=True).models[name]


def _facts_anew(held: Holdout, products: pl.DataFrame | None, tuning: Tuning, member: str) -> Holdout:
    """``held`` with facts under the shares of ``tuning``; only content looks at them."""
    if member != "content":
        return held
    made = features_of(held.train.product_ids, products, tuning)
    return replace(held, train=replace(held.train, features=made), history=replace(held.history, features=made))


def _figure(held: Holdout, model: Recommender, k: int) -> float:
    """NDCG on new products, over the people who bought some."""
    model.fit(held.train)
    some = held.relevant["new"] > 0
    if not some.any():
        return 0.0
    hits = np.zeros((len(some), k), dtype=np.bool_)
    size = block_size(len(held.listable))
    for start in range(0, len(some), size):
        history = held.history.rows(start, start + size)
        scores = model.scores(history)
        owned = history.purchases.tocoo()
        scores[:, ~held.listable] = 0
        scores[owned.row, owned.col] = 0
        picks = top(scores, k)
        truth = held.bought[start : start + size].toarray()
        hits[start + picks.rows, picks.ranks()] = truth[picks.rows, picks.columns]
    return float(per_person("ndcg", hits, held.relevant["new"], k)[some].mean())


def _windows(
    events: pl.DataFrame | pl.LazyFrame,
    window: Window,
    recommendable: Sequence[str],
    tuning: Tuning,
    threads: int,
    progress: Progress,
) -> tuple[WindowFigure, ...]:
    """The default blend per length of history, the present one last; everybody's people and purchases are the same."""
    k, figures = choice_k(tuning), dict[int, dict[str, PerPerson]]()
    for days in sorted({*(days for days in tuning.search.windows if days < tuning.window_days), tuning.window_days}):
        knobs = tuning.model_copy(update={"window_days": days})
        held = holdout(events, window, recommendable, knobs)
        if held is None:  # nothing happened in so short a time
            continue
        blend = make_blend(knobs, threads=threads)
        blend.fit(held.train)
        lists = list_for_all(held, blend, (), knobs)
        figures[days] = {
            name: per_person("ndcg", lists[name, "all"].hits, held.relevant["all"], k)
            for name in ("blend", "popularity")
        }
        progress(f"{days} days of history: NDCG@{k} {figures[days]['blend'].mean():.4f}")
    if tuning.window_days not in figures:
        return ()
    base = figures[tuning.window_days]["blend"]
    made = []
    for days, own in figures.items():
        gain = own["blend"] - base
        low, high = interval(resampled_means(gain[:, None], tuning.evaluation.bootstrap, tuning.seed))
        about: dict[str, Any] = {name: float(values.mean()) for name, values in own.items()}
        made.append(WindowFigure(days, **about, gain=float(gain.mean()), low=float(low[0]), high=float(high[0])))
    return tuple(made)
