"""Predict each user's next basket, repeats allowed, over all users, as in "A Next Basket Recommendation Reality Check".

(Li, Jullien, Ariannezhad and de Rijke, TOIS 2023.) Parameters, weights and the choice of the model are made on each
user's last known basket, by models that are fitted on the baskets before it. What is learned there is applied to
models that are fitted on all known baskets, and those are measured once. Lists rank all items that anybody took.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.benchmark.files import read
from recsys_assets.benchmark.habits import Habits
from recsys_assets.benchmark.outcome import Clock, Outcome, Progress, known_model, silent
from recsys_assets.errors import SourceError
from recsys_assets.logic.metrics import hit_rate, recall
from recsys_assets.models.base import Floats, Interactions, Matrix, Recommender, Steps
from recsys_assets.models.blend import rms_is_one
from recsys_assets.models.fused import values_at
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.models.pool import Pool, pooled
from recsys_assets.models.ranker import Ranker
from recsys_assets.models.top import Places, block_size
from recsys_assets.models.weights import choose_weights, hits_at

Parameters = dict[str, Any]

# Where each member starts: ages are baskets here, not days. ALS, the linear model and the graph were members too: on
# Ta-Feng's last known baskets the learned order reached a recall@10 of .1375 with ALS and .1380 without, .1380 with
# linear and graph.
START: dict[str, Parameters] = {
    "popularity": {},
    "personal": {},
    "basket": {"own": 0.2, "group": 7, "within_decay": 0.9, "between_decay": 0.7},
    "transitions": {"product_exponent": 0.3},
    "item_cf": {},
    "user_knn": {"popularity_exponent": 0.0},
}
# What is tried, in this order, one parameter after the other.
SEARCH: dict[str, dict[str, tuple[Any, ...]]] = {
    "basket": {
        "own": (0.0, 0.5, 0.8),
        "popularity_exponent": (0.1, 0.4),
        "between_decay": (0.5, 0.9),
        "neighbours": (100, 600),
    },
    "transitions": {
        "product_exponent": (0.1, 0.5),
        "source_exponent": (0.0, 0.6),
        "step_decay": (0.5,),
        "rule_decay": (0.5,),
    },
    "item_cf": {"popularity_exponent": (0.1, 0.4)},
    "user_knn": {"product_exponent": (0.3, 0.4), "person_exponent": (0.25,)},
}
MEMBERS = tuple(START)
MODELS = (*MEMBERS, "blend", "learned")
METRICS = {"recall": recall, "phr": hit_rate}

# People that members are searched on; products that each puts forward; candidates that are ranked anew.
SAMPLE, DEPTH, CANDIDATES = 4000, 60, 100


def basket(
    history: Path, next_basket: Path, *, k: int = 10, model: str | None = None, progress: Progress = silent
) -> Outcome:
    """``recall@k`` and ``phr@k``, the share of users with a hit.

    Args:
        history: columns user, basket, item.
        next_basket: columns user, item.
        k: places.
        model: one of ``MODELS``; None = what is best on the last known baskets by recall.
        progress: told what is being done.

    Raises:
        SourceError: a file cannot be read, or no user has two baskets: then there is nothing to choose on.
        RefusedError: there is no such model.
    """
    known_model(model, MODELS)
    clock = Clock()
    data = Baskets.read(history, next_basket)
    with clock("fit"):
        train, held = data.without_last()
        if not len(held.asked):
            raise SourceError(f"{history} has no user with two baskets; without them there is nothing to choose on")
        names = (model,) if model in MEMBERS else MEMBERS
        parameters = {name: _search(name, train, held, k, progress) for name in names}
        progress("scoring the last known baskets")
        validation = Stage.asked(_fitted(parameters, train), train, held, k)
        figures = {name: validation.figures(validation.said(name), k) for name in names}
        weights: dict[str, float] = {}
        if len(names) > 1:
            weights = validation.weights(k)
            figures["blend"] = validation.figures(validation.blended(weights), k)
            if model != "blend":
                progress("learning from the last known baskets")
                validation = validation.shortlisted(weights)
                figures["learned"] = validation.figures(validation.learned_by_others(), k)
        chosen = model or max(figures, key=lambda name: figures[name][f"recall@{k}"])
        ranker = validation.ranker() if chosen == "learned" else None
        progress(f"fitting {chosen} on all baskets")
        needed = {chosen: parameters[chosen]} if chosen in MEMBERS else parameters
        models = _fitted(needed, data.known)
    with clock("score"):
        test = Stage.asked(models, data.known, data.following, k)
        if ranker is not None:
            test = test.shortlisted(weights)
            scores = ranker.scores(test.pool)
        else:
            scores = test.blended(weights) if chosen == "blend" else test.said(chosen)
        metrics = test.figures(scores, k)
    choice = {"model": chosen, "parameters": parameters, "weights": weights}
    return Outcome("basket", chosen, metrics, figures, choice, clock)


@dataclass(frozen=True)
class Answers:
    """What people took next: ``asked`` are their places, ascending; ``taken`` is those people × products.

    ``relevant`` counts all that each of them took, also products that were not known before.
    """

    asked: npt.NDArray[np.intp]
    taken: sp.csr_matrix[np.float32]
    relevant: npt.NDArray[np.int64]

    def of(self, places: npt.NDArray[np.intp]) -> Answers:
        """The same of some of the asked."""
        return Answers(self.asked[places], self.taken[places], self.relevant[places])


@dataclass(frozen=True)
class Baskets:
    """Everybody's known baskets, and the one that follows."""

    known: Interactions
    following: Answers

    @classmethod
    def read(cls, history: Path, next_basket: Path) -> Baskets:
        """The baskets of a file with user, basket and item, and those of a file with user and item."""
        before = read(history, ids=("user", "item"), numbers=("basket",)).unique().sort("user", "basket", "item")
        after = read(next_basket, ids=("user", "item")).unique().sort("user", "item")
        people = np.unique(np.concatenate([frame["user"].to_numpy().astype(np.str_) for frame in (before, after)]))
        products = np.unique(before["item"].to_numpy().astype(np.str_))
        rows = np.searchsorted(people, before["user"].to_numpy().astype(np.str_))
        columns = np.searchsorted(products, before["item"].to_numpy().astype(np.str_))
        numbers = before.select(pl.col("basket").rank("dense").over("user") - 1)["basket"].to_numpy()
        known = _interactions(people, products, rows, columns, numbers.astype(np.int32))
        takers = np.searchsorted(people, after["user"].to_numpy().astype(np.str_))
        asked, asked_rows = np.unique(takers, return_inverse=True)
        items = after["item"].to_numpy().astype(np.str_)
        places = np.minimum(np.searchsorted(products, items), len(products) - 1)
        return cls(known, _answers(asked, asked_rows, np.where(products[places] == items, places, -1), len(products)))

    def without_last(self) -> tuple[Interactions, Answers]:
        """What was known before each user's last known basket, and that basket; a user's only basket stays known."""
        steps, products = self.known.steps, len(self.known.product_ids)
        rows = steps.rows
        held = (steps.ages <= 1) & (steps.baskets > 0)
        kept = steps.where(~held)
        train = _interactions(
            self.known.person_keys, self.known.product_ids, kept.rows, kept.columns.astype(np.int64), kept.baskets
        )
        asked, asked_rows = np.unique(rows[held], return_inverse=True)
        return train, _answers(asked, asked_rows, steps.columns[held].astype(np.int64), products)


def _interactions(
    people: npt.NDArray[np.str_],
    products: npt.NDArray[np.str_],
    rows: Places,
    columns: Places,
    baskets: npt.NDArray[np.int32],
) -> Interactions:
    """Entries ordered by row, basket and column; ages are the baskets up to the next one, 1 for the latest."""
    latest = np.zeros(len(people), dtype=np.int32)
    np.maximum.at(latest, rows, baskets)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(people)))]).astype(np.int64)
    ages = (latest[rows] - baskets + 1).astype(np.float32)
    steps = Steps(indptr, columns.astype(np.int32), baskets, baskets, ages)
    shape = (len(people), len(products))
    counts: Matrix = sp.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)
    ones: Matrix = sp.csr_matrix((np.ones_like(counts.data), counts.indices, counts.indptr), shape=shape)
    return Interactions(people, products, counts, counts, counts, ones, steps)


def _answers(asked: npt.NDArray[np.intp], rows: Places, columns: Places, products: int) -> Answers:
    """Entries of the asked people; column -1 is a product that nobody knows."""
    known = columns >= 0
    taken: Matrix = sp.csr_matrix(
        (np.ones(int(known.sum()), dtype=np.float32), (rows[known], columns[known])), shape=(len(asked), products)
    )
    return Answers(asked, taken, np.bincount(rows, minlength=len(asked)).astype(np.int64))


@dataclass(frozen=True)
class Stage:
    """Candidates for the next basket of everybody who is asked, and which of them it held.

    The pool's first features are the members' scores, each person's root mean square 1.
    """

    pool: Pool
    hits: npt.NDArray[np.bool_]
    answers: Answers
    known: Interactions

    @classmethod
    def asked(cls, models: Mapping[str, Recommender], known: Interactions, answers: Answers, k: int) -> Stage:
        """What fitted members put forward for the people of ``answers``, by what is known of them."""
        size = block_size(len(known.product_ids))
        pools, offsets = [], list(range(0, len(answers.asked), size))
        for start in offsets:
            block = known.take(answers.asked[start : start + size])
            members = {name: rms_is_one(np.maximum(model.scores(block), 0.0)) for name, model in models.items()}
            pools.append(pooled(members, max(DEPTH, k)))
        pool = Pool.concat(pools, offsets)
        return cls(pool, values_at(answers.taken, pool.rows, pool.columns) > 0, answers, known)

    def said(self, name: str) -> Floats:
        """One member's scores; below everything where it knows nothing."""
        scores = self.pool.feature(name)
        return np.where(scores > 0, scores, -np.inf).astype(np.float32)

    def figures(self, scores: Floats, k: int) -> dict[str, float]:
        """Means over people of lists by ``scores``, one per entry of the pool; -inf is not listed."""
        found = hits_at(self.pool, scores, self.hits & np.isfinite(scores), len(self.answers.asked), k)
        return {
            f"{name}@{k}": float(figure(found, self.answers.relevant, k).mean()) for name, figure in METRICS.items()
        }

    def weights(self, k: int) -> dict[str, float]:
        """Of the members, for the best recall."""
        return choose_weights(self.pool, self.hits, self.answers.relevant, recall, k)[0]

    def blended(self, weights: Mapping[str, float]) -> Floats:
        """Σ weight × member."""
        places = [self.pool.names.index(name) for name in weights]
        made: Floats = self.pool.features[:, places] @ np.array(list(weights.values()), dtype=np.float32)
        return made

    def shortlisted(self, weights: Mapping[str, float]) -> Stage:
        """The blend's best ``CANDIDATES`` of each person, with the blend's score and the person's habits beside."""
        scores = self.blended(weights)
        kept = np.zeros(len(scores), dtype=np.bool_)
        order = np.lexsort((self.pool.columns, -scores, self.pool.rows))
        rows = self.pool.rows[order]
        kept[order] = np.arange(len(order)) - np.searchsorted(rows, rows) < CANDIDATES
        pool = Pool(self.pool.rows[kept], self.pool.columns[kept], self.pool.features[kept], self.pool.names)
        habits = Habits.of(self.known.steps, len(self.known.product_ids))
        told = habits.beside(pool.beside({"blend": scores[kept]}), self.answers.asked)
        return Stage(told, self.hits[kept], self.answers, self.known)

    def ranker(self, of: npt.NDArray[np.bool_] | None = None) -> Ranker:
        """Learned on all candidates, or on ``of`` them."""
        # Small trees that learn slowly: a recall@10 of .139 on half of Ta-Feng's last known baskets, and .137 with 31
        # leaves at .05. A binary loss reaches .136 where LambdaRank does .1375, XE-NDCG .135.
        made = Ranker(trees=200, leaves=15, learning_rate=0.03)
        pool = self.pool if of is None else _only(self.pool, of)
        made.fit(pool, self.hits if of is None else self.hits[of])
        return made

    def learned_by_others(self) -> Floats:
        """Scores of a ranker that learned on the other half of the people: what it will do on people it never saw."""
        scores = np.zeros(len(self.pool.rows), dtype=np.float32)
        for half in (0, 1):
            mine = self.pool.rows % 2 == half
            scores[mine] = self.ranker(~mine).scores(_only(self.pool, mine))
        return scores


def _only(pool: Pool, mask: npt.NDArray[np.bool_]) -> Pool:
    return Pool(pool.rows[mask], pool.columns[mask], pool.features[mask], pool.names)


def _fitted(parameters: Mapping[str, Parameters], train: Interactions) -> dict[str, Recommender]:
    models = {name: MEMBER_MODELS[name](**given) for name, given in parameters.items()}
    for model in models.values():
        model.fit(train)
    return models


def _search(name: str, train: Interactions, held: Answers, k: int, progress: Progress) -> Parameters:
    """Parameters under which a member's recall on a sample of the held baskets is best, one after the other."""
    people = len(held.asked)
    sample = held.of(np.sort(np.random.default_rng(0).choice(people, min(SAMPLE, people), replace=False)))

    def figure(parameters: Parameters) -> float:
        stage = Stage.asked(_fitted({name: parameters}, train), train, sample, k)
        return stage.figures(stage.said(name), k)[f"recall@{k}"]

    best = START[name]
    value = figure(best) if name in SEARCH else 0.0
    for parameter, others in SEARCH.get(name, {}).items():
        for other in others:
            tried = best | {parameter: other}
            reached = figure(tried)
            if reached > value:
                best, value = tried, reached
        progress(f"{name}: {parameter} {best.get(parameter, 'as it is')}, recall@{k} {value:.4f}")
    return best
