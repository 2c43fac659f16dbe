"""A bounded, seeded search for better knobs of the members, on the validation window; windows of history compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.metrics import PerPerson, per_person
from recsys_assets.logic.search import SPACE, Overrides, overridden, trials
from recsys_assets.logic.split import Window
from recsys_assets.models import make_blend
from recsys_assets.models.base import Recommender
from recsys_assets.models.choosing import choice_k
from recsys_assets.models.holdout import Holdout, holdout, list_for_all
from recsys_assets.models.top import block_size, top
from recsys_assets.models.traits import features_of, uses_content
from recsys_assets.tuning import Tuning

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """One try: a member with other knobs, and its NDCG on new products of the validation window."""

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
    """What a search tried and what won: ``overrides`` holds what differs from the home's knobs."""

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


def search(
    events: pl.DataFrame | pl.LazyFrame,
    window: Window,
    recommendable: Sequence[str],
    tuning: Tuning,
    *,
    products: pl.DataFrame | None = None,
    threads: int = 0,
    progress: Progress = lambda _: None,
) -> Found | None:
    """The best knobs of each member on the validation window, or None where it has no sales.

    Each member is searched by itself, on the products that its people had not bought before: members are judged by
    what they add, and one that is fitted alone is fitted fast. Of equal figures the earlier trial wins, so the present
    knobs. The test window is never looked at. Windows of history are compared, not chosen: every feature of the shop
    looks back so far, not the models alone.

    Args:
        events: table CLEAN_EVENTS; days after the window are not looked at.
        window: validation: what is known, and what is asked.
        recommendable: product ids that may be listed.
        tuning: ``search`` says how much is tried; the rest is where it starts.
        products: table CATALOG, where facts of products are looked at.
        threads: 0 = all cores; never changes a result.
        progress: called with one line per trial.
    """
    few = tuning.evaluation.model_copy(update={"people": min(tuning.search.people, tuning.evaluation.people)})
    tuning = tuning.model_copy(update={"evaluation": few})
    held = holdout(events, window, recommendable, tuning, products)
    if held is None:
        return None
    k, made = choice_k(tuning), list[Trial]()
    for member in SPACE:
        if member == "content" and (held.train.features is None or not uses_content(tuning)):
            continue
        for overrides in trials(member, tuning, tuning.search.trials, tuning.seed):
            knobs = overridden(tuning, overrides)
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
