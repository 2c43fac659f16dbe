"""Predict the last item of each user's sequence: leave-one-out as in S3-Rec (Zhou et al., CIKM 2020).

Per user the last item is the test, the one before it the validation, all earlier ones the input. All items are ranked
but those the user already took. Two figures, by what the models may learn from:

============  ================================  ====================  =======================
figure        members are fitted on             the order learns      the test is asked with
============  ================================  ====================  =======================
``_strict``   sequences without the last two    the third last item   all items but the last
plain         sequences without the last one    the second last item  all items but the last
============  ================================  ====================  =======================

Parameters, weights and the model are chosen on the validation items alone, by members fitted on what precedes them.
S3-Rec's own models are measured as ``_strict`` is: the validation item is asked with and not learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.benchmark.files import read
from recsys_assets.benchmark.outcome import Clock, Outcome, Progress, known_model, silent
from recsys_assets.errors import RefusedError, SourceError
from recsys_assets.logic.metrics import hit_rate, ndcg
from recsys_assets.models.base import Floats, Interactions, Recommender, Steps
from recsys_assets.models.blend import rms_is_one
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.models.pool import Pool, pooled
from recsys_assets.models.ranker import Ranker
from recsys_assets.models.top import block_size
from recsys_assets.models.weights import choose_weights, hits_at

Columns = npt.NDArray[np.int64]
Parameters = dict[str, Any]

# Members by the name in this protocol: the model, what is not searched, and the values tried of what is, one
# parameter after the other. `last` is `transitions` that hardly looks beyond the last item. Beside these, neighbours
# of people and graph walks got no weight on either of two shops' validation items.
MEMBERS: dict[str, tuple[str, Parameters, dict[str, tuple[Any, ...]]]] = {
    "transitions": (
        "transitions",
        {"rule_decay": 0.5, "step_decay": 0.75, "product_exponent": 0.05},
        {
            "step_decay": (0.5, 1.0, 1.25),
            "rule_decay": (0.25, 0.75),
            "product_exponent": (0.0, 0.1, 0.2, 0.4),
            "trend_exponent": (0.0, 0.15, 0.6, 0.9),
            "backward": (0.0, 0.1, 0.4),
            "source_exponent": (0.0, 0.15, 0.5),
        },
    ),
    "last": ("transitions", {"step_decay": 3.0, "rule_decay": 1.0}, {}),
    "linear": ("linear", {"ridge": 50.0}, {"ridge": (20.0, 100.0)}),
    "als": ("als", {"factors": 128, "regularization": 0.2, "alpha": 20.0}, {}),
    "popularity": ("popularity", {}, {}),
}
MODELS = (*MEMBERS, "blend", "learned")
METRICS = {"hr": hit_rate, "ndcg": ndcg}

SAMPLE = 10_000  # users whose validation item parameters and weights are chosen on, at most
DEPTH = 60  # candidates that each member puts forward
KEPT = 50  # of which the blend's best are ordered by the learned model: on Beauty's as good as 100
FADE = 1.0  # what a member without an order sees of an item: its age ** -FADE
TREES: Parameters = {"trees": 150, "leaves": 15, "least_in_leaf": 100}


def sequence(path: Path, *, k: int = 10, model: str | None = None, progress: Progress = silent) -> Outcome:
    """``hr@k`` and ``ndcg@k`` on each user's last item, refitted and strict.

    Args:
        path: columns user, position, item.
        k: places.
        model: one of ``MODELS``; None = what has the best NDCG on the validation items.
        progress: told what is being done.

    Raises:
        SourceError: the file cannot be read, has two items at one position of a user, or nobody with four items.
        RefusedError: there is no such model, or no order can be learned because no candidate was ever taken.
    """
    known_model(model, MODELS)
    clock = Clock()
    data = Sequences.read(path)
    with clock("fit"):
        parameters = {name: _search(name, data, k, progress) for name in ([model] if model in MEMBERS else MEMBERS)}
        progress("weighing the members on the validation items")
        before = Fitted.on(parameters, data.without(2))
        validation = Stage.asked(data, before, 2, k)
        figures = {name: validation.figures(validation.pool.feature(name), k) for name in parameters}
        weights = validation.weights(k)
        validation = validation.shortlisted(weights, k)
        if model not in MEMBERS:
            figures["blend"] = validation.figures(validation.pool.feature("blend"), k)
        if model in {None, "learned"}:
            progress("learning an order")
            earlier = Stage.asked(data, Fitted.on(parameters, data.without(3)), 3, k).shortlisted(weights, k)
            if model == "learned" or (earlier.hits.any() and validation.hits.any()):
                strict = _taught(earlier)
                figures["learned"] = validation.figures(strict.scores(validation.pool), k)
        chosen = model or max(figures, key=lambda name: figures[name][f"ndcg@{k}"])
        progress(f"refitting {chosen}")
        refitted = Fitted.on(parameters, data.without(1))
        orders = {"": _taught(validation), "_strict": strict} if chosen == "learned" else {}
    metrics: dict[str, float] = {}
    with clock("score"):
        for suffix, models in (("", refitted), ("_strict", before)):
            test = Stage.asked(data, models, 1, k).shortlisted(weights, k)
            made = orders[suffix].scores(test.pool) if chosen == "learned" else test.pool.feature(chosen)
            metrics |= {f"{name}{suffix}": value for name, value in test.figures(made, k).items()}
    choice = {"model": chosen, "parameters": parameters, "weights": weights}
    return Outcome("sequence", chosen, metrics, figures, choice, clock)


@dataclass(frozen=True)
class Sequences:
    """Each user's items in order: those of the user in row i are ``columns[indptr[i]:indptr[i + 1]]``."""

    people: npt.NDArray[np.str_]
    products: npt.NDArray[np.str_]
    indptr: Columns
    columns: npt.NDArray[np.int32]

    @classmethod
    def read(cls, path: Path) -> Sequences:
        """The sequences of a file with user, position and item."""
        frame = read(path, ids=("user", "item"), numbers=("position",)).sort("user", "position")
        twice = frame.filter(pl.struct("user", "position").is_duplicated())
        if twice.height:
            raise SourceError(
                f"{path} has two items at position {twice['position'][0]} of user {twice['user'][0]}; "
                "number each user's items one by one"
            )
        people, lengths = np.unique(frame["user"].to_numpy().astype(np.str_), return_counts=True)
        products, columns = np.unique(frame["item"].to_numpy().astype(np.str_), return_inverse=True)
        if lengths.max() < 4:
            raise SourceError(f"{path} has no user with four items: one each to test, to choose, to learn and to ask")
        return cls(people, products, np.concatenate([[0], np.cumsum(lengths)]), columns.astype(np.int32))

    def without(self, last: int) -> Interactions:
        """What is known before each user's ``last`` last items; an item's age is the items up to the next one."""
        lengths = np.diff(self.indptr)
        places = np.arange(self.indptr[-1]) - np.repeat(self.indptr[:-1], lengths)
        ages = np.repeat(lengths - last, lengths) - places
        kept = ages > 0
        steps = Steps(
            np.concatenate([[0], np.cumsum(np.maximum(lengths - last, 0))]).astype(np.int64),
            self.columns[kept],
            places[kept].astype(np.int32),
            np.zeros(int(kept.sum()), dtype=np.int32),
            ages[kept].astype(np.float32),
        )
        counts = self._matrix(steps, np.ones(len(steps.columns), dtype=np.float32))
        return Interactions(self.people, self.products, counts, counts, counts, counts, steps)

    def faded(self, known: Interactions) -> Interactions:
        """``known`` as members without an order are asked: old items weigh less. (They are fitted on plain ones.)"""
        return replace(known, frequency=self._matrix(known.steps, known.steps.ages**-FADE))

    def targets(self, last: int) -> tuple[npt.NDArray[np.intp], Columns]:
        """Users with an item before their ``last`` last ones, and the first of those last ones."""
        asked = np.flatnonzero(np.diff(self.indptr) > last)
        return asked, self.columns[self.indptr[asked + 1] - last].astype(np.int64)

    def _matrix(self, steps: Steps, values: Floats) -> sp.csr_matrix[np.float32]:
        made = sp.csr_matrix((values, (steps.rows, steps.columns)), shape=(len(self.people), len(self.products)))
        return sp.csr_matrix(made, dtype=np.float32)


@dataclass(frozen=True)
class Fitted:
    """Members, and the facts of products that an order may learn from; all from one training."""

    models: dict[str, Recommender]
    counts: npt.NDArray[np.int64]
    trend: npt.NDArray[np.float64]

    @classmethod
    def on(cls, parameters: Mapping[str, Parameters], train: Interactions) -> Fitted:
        """Members of these parameters, fitted on ``train``."""
        models = {name: MEMBER_MODELS[MEMBERS[name][0]](**given) for name, given in parameters.items()}
        for model in models.values():
            model.fit(train)
        steps, size = train.steps, len(train.product_ids)
        counts = np.bincount(steps.columns, minlength=size)
        recent = 0.5 ** (steps.ages.astype(np.float64) / max(float(np.median(steps.ages)) / 2, 1.0))
        lately = np.bincount(steps.columns, recent, minlength=size)
        return cls(models, counts, (lately + recent.mean()) / (counts + 1))

    def described(self, pool: Pool, asked: Steps) -> Pool:
        """``pool`` with how often a product was taken, how often lately, and the same of what the person has."""
        lengths = np.diff(asked.indptr)
        # The person's own products, the last ones most: whether they take what is new or what is old.
        weights = 1 / asked.ages.astype(np.float64)
        totals = np.maximum(np.bincount(asked.rows, weights, len(lengths)), 1e-9)
        own = np.bincount(asked.rows, weights * self.trend[asked.columns], len(lengths)) / totals
        common = np.bincount(asked.rows, weights * np.log1p(self.counts[asked.columns]), len(lengths)) / totals
        return pool.beside(
            {
                "taken": np.log1p(self.counts[pool.columns]),
                "trend": self.trend[pool.columns],
                "person_taken": common[pool.rows],
                "person_trend": own[pool.rows],
                "person_length": lengths[pool.rows],
            }
        )


@dataclass(frozen=True)
class Stage:
    """Candidates for the next item of every user that is asked, and which of them it was."""

    pool: Pool
    hits: npt.NDArray[np.bool_]
    people: int

    @classmethod
    def asked(cls, data: Sequences, fitted: Fitted, without: int, k: int) -> Stage:
        """What fitted members put forward for the first of the ``without`` last items of each user."""
        known = data.faded(data.without(without))
        people, targets = data.targets(without)
        size = block_size(len(data.products))
        pools, offsets = [], list(range(0, len(people), size))
        for start in offsets:
            block = known.take(people[start : start + size])
            owned = block.purchases.nonzero()
            members = {}
            for name, model in fitted.models.items():
                scores = np.maximum(model.scores(block), 0.0)
                scores[owned] = 0.0
                members[name] = rms_is_one(scores)
            pools.append(fitted.described(pooled(members, max(DEPTH, k)), block.steps))
        pool = Pool.concat(pools, offsets)
        return cls(pool, pool.columns == targets[pool.rows], len(people))

    def figures(self, scores: Floats, k: int) -> dict[str, float]:
        """Mean hit rate and NDCG of lists by ``scores``, one per entry of the pool; 0 is not listed."""
        one = np.ones(self.people, dtype=np.int64)
        found = hits_at(self.pool, scores, self.hits & (scores != 0), self.people, k)
        return {f"{name}@{k}": float(figure(found, one, k).mean()) for name, figure in METRICS.items()}

    def weights(self, k: int) -> dict[str, float]:
        """Of the members, for the best NDCG on every n-th user, so that at most ``SAMPLE`` are looked at."""
        every = -(-self.people // SAMPLE)
        some = self.pool.rows % every == 0
        names = tuple(name for name in self.pool.names if name in MEMBERS)
        features = np.ascontiguousarray(self.pool.features[some, : len(names)])
        pool = Pool(self.pool.rows[some] // every, self.pool.columns[some], features, names)
        one = np.ones(-(-self.people // every), dtype=np.int64)
        return choose_weights(pool, self.hits[some], one, ndcg, k)[0]

    def shortlisted(self, weights: Mapping[str, float], k: int) -> Stage:
        """The best of each user by Σ weight × member, which becomes a feature; never less than K."""
        by_name = np.array([weights.get(name, 0.0) for name in self.pool.names], dtype=np.float32)
        blend = np.round(self.pool.features @ by_name, 6)
        pool = self.pool.beside({"blend": blend})
        starts = np.searchsorted(pool.rows, np.arange(self.people))
        order = np.lexsort((pool.columns, -blend, pool.rows))
        kept = np.sort(order[np.arange(len(order)) - starts[pool.rows] < max(KEPT, k)])
        short = Pool(pool.rows[kept], pool.columns[kept], pool.features[kept], pool.names)
        return Stage(short, self.hits[kept], self.people)


def _taught(stage: Stage) -> Ranker:
    """An order learned on candidates of which one was taken next."""
    if not stage.hits.any():
        raise RefusedError("nobody took a candidate next, so there is no order to learn; ask for another --model")
    made = Ranker(**TREES)
    made.fit(stage.pool, stage.hits)
    return made


def _search(name: str, data: Sequences, k: int, progress: Progress) -> Parameters:
    """Parameters under which a member's NDCG on a sample of the validation items is best, one after the other."""
    kind, best, grid = MEMBERS[name]
    train, (people, targets) = data.without(2), data.targets(2)
    every = -(-len(people) // SAMPLE)
    people, targets = people[::every], targets[::every]
    known = data.faded(train).take(people)
    size = block_size(len(data.products))

    def figure(parameters: Parameters) -> float:
        model = MEMBER_MODELS[kind](**parameters)
        model.fit(train)
        places = [
            _places(model, known.rows(start, start + size), targets[start : start + size])
            for start in range(0, len(people), size)
        ]
        hits = np.concatenate(places)[:, None] == np.arange(k)
        return round(float(ndcg(hits, np.ones(len(hits), dtype=np.int64), k).mean()), 9)

    if not grid:
        return best
    value = figure(best)
    for parameter, values in grid.items():
        before = best
        for other in values:
            tried = before | {parameter: other}
            reached = figure(tried)
            if reached > value:
                best, value = tried, reached
        progress(f"{name}: {parameter} {best.get(parameter, 'as it is')}, ndcg@{k} {value:.4f}")
    return best


def _places(model: Recommender, asked: Interactions, targets: Columns) -> Columns:
    """Each person's target's place in the list of all other products, from 0; ties by column; -1 where it scores 0."""
    scores = model.scores(asked)
    scores[asked.purchases.nonzero()] = 0.0
    own = scores[np.arange(len(targets)), targets][:, None]
    before = (scores > own).sum(axis=1)
    before += ((scores == own) & (np.arange(scores.shape[1]) < targets[:, None])).sum(axis=1)
    return np.where(own[:, 0] > 0, before, -1)
