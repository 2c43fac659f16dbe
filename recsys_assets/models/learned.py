"""What beats the default blend on a validation window: weights by type of history, and a learned order over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recsys_assets.logic.choices import EVERYBODY, Choices, Kind
from recsys_assets.logic.metrics import Counts, ndcg
from recsys_assets.models.base import Floats, Interactions, one_blas_thread
from recsys_assets.models.blend import USER_TYPES, Blend, user_types
from recsys_assets.models.candidates import mixed, side_by_side
from recsys_assets.models.fused import Said, separated, values_at
from recsys_assets.models.holdout import TARGETS, Holdout, Listed, Lists
from recsys_assets.models.pool import Pool
from recsys_assets.models.ranker import Ranker, confident
from recsys_assets.models.top import Picks, Places, block_size
from recsys_assets.models.traits import Traits, described
from recsys_assets.models.weights import Weights, choose_weights, hits_at
from recsys_assets.tuning import Tuning

Mask = npt.NDArray[np.bool_]
SCORE = "score"  # a fact that trees are told: what the weights say
# What trees are told beside it and the members' scores. Of a grocer's two weeks they learned which products those weeks
# were about, wherever facts name a product or a person: learned on one window and asked about the next, NDCG@10 was
# .335 with price, buyers, trend, usual price and length of history, .338 without those of products, and .347 with
# these alone; the weights reached .346.
TOLD = ("days", "frequency", "since", "category_share")
NAMES_PRODUCTS = ("popularity",)  # the same for everybody
NO_LESSON = (
    "validation: no order is learned: nobody of those drawn to learn from took a product that the chosen weights put "
    "forward; the weights are kept"
)
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Learned:
    """A learned order, ready to be asked: candidates of a block get new scores, from 0 to 1, and their order."""

    ranker: Ranker
    traits: Traits

    @classmethod
    def of(cls, choices: Choices, traits: Traits, threads: int = 0) -> Learned:
        """The order that ``choices`` carry."""
        ranker = Ranker(threads=threads)
        ranker.from_text(choices.trees, choices.facts)
        return cls(ranker, traits)

    def __call__(self, picks: Picks, said: Said, history: Interactions) -> Picks:
        """``picks``, by row, in the learned order; those of people without any history as they are.

        Trees know nothing of the latter and cost them .022 of NDCG@10 against what is popular.
        """
        pool = described(picks.rows, picks.columns, said, history, self.traits).beside({SCORE: picks.scores})
        raw = self.ranker.scores(pool.select(self.ranker.names))
        known = (np.diff(history.weights.indptr) > 0)[picks.rows]
        return Picks.ordered(picks.rows, picks.columns, np.where(known, confident(raw), picks.scores))


@dataclass(frozen=True)
class Taught:
    """Candidates of the people of a window, and what they took: what weights and trees are learned from."""

    pool: Pool
    hits: Mask
    bought: Mask
    relevant: Counts
    kinds: npt.NDArray[np.int64]

    @classmethod
    def concat(cls, parts: Sequence[Taught]) -> Taught:
        """Under one another; somebody who is in several counts as several people."""
        offsets = np.cumsum([0, *(len(part.relevant) for part in parts)]).tolist()
        return cls(
            Pool.concat([part.pool for part in parts], offsets[:-1]),
            np.concatenate([part.hits for part in parts]),
            np.concatenate([part.bought for part in parts]),
            np.concatenate([part.relevant for part in parts]),
            np.concatenate([part.kinds for part in parts]),
        )

    def people(self, mask: Mask) -> Taught:
        """Those of ``mask``, numbered anew."""
        kept = mask[self.pool.rows]
        rows = (np.cumsum(mask) - 1)[self.pool.rows[kept]]
        pool = Pool(rows, self.pool.columns[kept], self.pool.features[kept], self.pool.names)
        return Taught(pool, self.hits[kept], self.bought[kept], self.relevant[mask], self.kinds[mask])

    def people_hit(self) -> int:
        """How many took a product that is among their candidates."""
        return len(np.unique(self.pool.rows[self.hits]))

    def figure(self, scores: Floats, k: int) -> npt.NDArray[np.float64]:
        """NDCG of each person's order by ``scores``."""
        return ndcg(hits_at(self.pool, scores, self.hits, len(self.relevant), k), self.relevant, k)


def taught(held: Holdout, blend: Blend, choices: Choices, tuning: Tuning, threads: int) -> Taught:
    """Each member's best new products of everybody, and, where repeats are allowed, all that was bought before."""
    traits, people = held.traits, len(held.history.person_keys)
    size, depth = block_size(len(held.listable)), tuning.blend.depth

    def made(start: int) -> Pool:
        history = held.history.rows(start, start + size)
        said = blend.said(history)
        products = said.shape[1]
        keys = []
        for place in range(len(said.names)):
            new, repeat = separated(said.dense(place), held.listable, history, depth)
            keys.append(new.rows * products + new.columns)
            if choices.repeats_allowed:
                keys.append(repeat.rows * products + repeat.columns)
        rows, columns = np.divmod(np.unique(np.concatenate(keys)), products)
        return described(rows, columns, said, history, traits)

    starts = range(0, people, size)
    with one_blas_thread():
        pool = Pool.concat(list(side_by_side(made, starts, threads)), list(starts))
    return Taught(
        pool,
        values_at(held.bought, pool.rows, pool.columns) > 0,
        pool.feature("days") > 0,
        held.relevant["all"],
        user_types(held.history, blend.types),
    )


def fit_weights(given: Taught, names: tuple[str, ...], start: Weights, k: int, tuning: Tuning) -> dict[str, Weights]:
    """The best weights of everybody, and of each type of history with enough people who took something."""
    sampled = given.people(_sample(len(given.relevant), tuning))
    with one_blas_thread():
        made = {EVERYBODY: _best_weights(sampled, names, start, k)}
        for number, kind in enumerate(USER_TYPES):
            own = sampled.people(sampled.kinds == number)
            if len(own.relevant) >= tuning.blend.people_per_type:
                made[kind] = _best_weights(own, names, made[EVERYBODY], k)
    return made


def fit_beginners(
    begun: Taught | None,
    weights: Mapping[str, Weights],
    names: tuple[str, ...],
    start: Weights,
    k: int,
    tuning: Tuning,
) -> dict[str, Weights]:
    """Weights of the types of history that too few people have, from people as they began; of new ones, popularity."""
    made = {USER_TYPES[0]: {"popularity": 1.0}} if USER_TYPES[0] not in weights and "popularity" in names else {}
    if begun is None:
        return made
    with one_blas_thread():
        for number, kind in list(enumerate(USER_TYPES))[1:]:
            own = begun.people(begun.kinds == number)
            if kind not in weights and len(own.relevant) >= tuning.blend.people_per_type:
                made[kind] = _best_weights(own, names, start, k)
    return made


def _best_weights(given: Taught, names: tuple[str, ...], start: Weights, k: int) -> Weights:
    return choose_weights(given.pool.select(names), given.hits, given.relevant, ndcg, k, start=start, rounds=3)[0]


def weighted(given: Taught, names: tuple[str, ...], weights: Mapping[str, Weights]) -> Floats:
    """The score of each entry under weights by type, as `Said.combined` makes it."""
    table = np.array(
        [[weights.get(kind, weights[EVERYBODY]).get(name, 0.0) for name in names] for kind in USER_TYPES],
        dtype=np.float32,
    )
    own = table[given.kinds][given.pool.rows]
    total = np.zeros(len(own), dtype=np.float32)
    for place, name in enumerate(names):
        total += own[:, place] * given.pool.feature(name)
    return np.round(total, 6, out=total)


def within(given: Taught, scores: Floats, choices: Choices, tuning: Tuning) -> Mask:
    """Entries that Level 1 would put forward under ``scores``."""
    people = len(given.relevant)
    said = scores > 0
    new = _ordered(given, scores, said & ~given.bought).first(tuning.candidate_pool_size)
    picks = mixed(new, _ordered(given, scores, said & given.bought), people, tuning) if choices.repeats_allowed else new
    width = int(given.pool.columns.max(initial=0)) + 1
    return np.isin(given.pool.rows * width + given.pool.columns, picks.rows * width + picks.columns)


def fit_ranker(
    given: Taught,
    weights: Mapping[str, Weights],
    names: tuple[str, ...],
    choices: Choices,
    tuning: Tuning,
    threads: int,
) -> Ranker | None:
    """A learned order of what Level 1 puts forward under ``weights``; None where nobody sampled took any of it.

    The trees are told the scores of members that have a weight, and ``TOLD``. Other members would have to be trained
    every day, and changed the NDCG@10 of people not learned from by less than chance (.347 with all, .349 without).
    """
    scores = weighted(given, names, weights)
    kept = within(given, scores, choices, tuning) & _sample(len(given.relevant), tuning)[given.pool.rows]
    if not given.hits[kept].any():
        return None
    asked = {name for own in weights.values() for name, weight in own.items() if weight > 0}
    told = [name for name in names if name in asked and name not in NAMES_PRODUCTS] + [*TOLD, SCORE]
    ranker = Ranker(
        trees=tuning.blend.trees,
        leaves=tuning.blend.leaves,
        learning_rate=tuning.blend.learning_rate,
        least_in_leaf=tuning.blend.least_in_leaf,
        seed=tuning.seed % 2**31,
        threads=threads,
    )
    ranker.fit(given.pool.beside({SCORE: scores}).where(kept).select(told), given.hits[kept])
    return ranker


def reordered(given: Taught, scores: Floats, ranker: Ranker, choices: Choices, tuning: Tuning) -> Floats:
    """The learned score of each entry, see `Learned`; 0 of what Level 1 would not put forward under ``scores``."""
    kept = within(given, scores, choices, tuning)
    made = np.where(kept, scores, np.float32(0))
    kept &= (given.kinds > 0)[given.pool.rows]
    pool = given.pool.beside({SCORE: scores}).where(kept).select(ranker.names)
    made[kept] = confident(ranker.scores(pool))
    return made


def listed(given: Taught, scores: Floats, places: int) -> dict[str, Listed]:
    """Lists of every target by ``scores``: new products, those bought before, and both."""
    said = scores > 0
    masks = {"all": said, "new": said & ~given.bought, "repeat": said & given.bought}
    return {
        target: _as_lists(given, _ordered(given, scores, masks[target]).first(places), places) for target in TARGETS
    }


def learn(
    held: Holdout,
    blend: Blend,
    choices: Choices,
    default: Weights,
    k: int,
    tuning: Tuning,
    threads: int,
    progress: Progress,
    early: Sequence[Holdout] = (),
    before: Taught | None = None,
) -> tuple[Choices, Lists]:
    """What is published of the default blend, chosen weights and the learned order, and the lists of the latter two.

    What is learned on the window before is judged on this one, so that every figure, every list and with them
    confidence are of days that nothing was learned from: trees remember what a few weeks were about. Without a window
    before, people are split in two, and what is learned on one half is judged on the other. What is then kept is
    learned on everybody, of both windows.

    Args:
        held: the validation window, with traits.
        blend: every member, fitted on its training.
        choices: whether repeats are allowed is chosen already.
        default: the default blend's weights, with that of ``personal``.
        k: places that count.
        tuning: ``blend``, ``evaluation`` and ``candidate_pool_size`` are read.
        threads: 0 = all cores; never changes a result.
        progress: called with one line per step.
        early: people of the window after their first interactions: where most come often, what is right for those of
            whom little is known is learned on the early days of others.
        before: the window before this one, by members fitted on its training.
    """
    names = blend.names
    given = taught(held, blend, choices, tuning, threads)
    people = len(given.relevant)
    everybody, half = np.ones(people, dtype=np.bool_), np.arange(people) % 2 == 0
    halves = [(given.people(~mask), mask) for mask in (half, ~half)]
    lessons = [(before, everybody)] if before is not None else halves
    fewest = min(2 * one.people_hit() for one, _ in lessons)
    learns = tuning.blend.kind in ("validation", "learned") and fewest >= tuning.blend.people_to_learn
    scores = {"default": weighted(given, names, {EVERYBODY: default})}
    scores |= {kind: np.zeros(len(given.pool.rows), dtype=np.float32) for kind in ("weights", "learned")[: 1 + learns]}
    for one, mask in lessons:
        other, mine = given.people(mask), mask[given.pool.rows]
        weights = fit_weights(one, names, default, k, tuning)
        scores["weights"][mine] = weighted(other, names, weights)
        ranker = fit_ranker(one, weights, names, choices, tuning, threads) if learns else None
        if ranker is not None:
            scores["learned"][mine] = reordered(other, scores["weights"][mine], ranker, choices, tuning)
        elif learns:
            progress(NO_LESSON)
            learns = False
            del scores["learned"]
    figures = {kind: _mean(given.figure(made, k)) for kind, made in scores.items()}
    alone = {name: _mean(given.figure(given.pool.feature(name), k)) for name in names}
    progress(f"validation: NDCG@{k} " + ", ".join(f"{name} {value:.4f}" for name, value in (figures | alone).items()))

    both = _joined(given, before)
    weights = fit_weights(both, names, default, k, tuning)
    begun = Taught.concat([taught(one, blend, choices, tuning, threads) for one in early]) if early else None
    beginners = fit_beginners(begun, weights, names, default, k, tuning)
    kind, best = pick(figures, alone, tuning)
    ranker = None
    if learns and best is None:
        ranker = fit_ranker(_joined(both, begun), weights | beginners, names, choices, tuning, threads)
        if ranker is None:  # the sample is drawn of everybody, not of those of one lesson
            progress(NO_LESSON)
            del scores["learned"], figures["learned"]
            kind, best = pick(figures, alone, tuning)
    weights = (weights if best is None else {EVERYBODY: {best: 1.0}}) | beginners
    if best is not None:
        scores["weights"] = weighted(given, names, weights)
        figures["weights"] = alone[best]
    made = replace(choices, kind=kind, weights=weights, figures=figures | alone)
    if ranker is not None:
        made = replace(made, trees=ranker.to_text(), facts=ranker.names)
    places = max(*tuning.evaluation.ks, tuning.served_list_size)
    tried = [name for name in ("weights", "learned") if name in scores and (name == "weights" or best is None)]
    return made, {(name, of): own for name in tried for of, own in listed(given, scores[name], places).items()}


def pick(figures: Mapping[str, float], alone: Mapping[str, float], tuning: Tuning) -> tuple[Kind, str | None]:
    """What is published, and the member that is published alone where it beats every way of joining it with others.

    The simplest of the best, unless the shop wants one kind. So what goes live is never worse than its best member on
    the window that picks.

    >>> pick({"default": 0.2, "weights": 0.3, "learned": 0.3}, {"als": 0.1}, Tuning())
    ('weights', None)
    >>> pick({"default": 0.2, "weights": 0.3}, {"als": 0.4}, Tuning())
    ('weights', 'als')
    """
    wanted = tuning.blend.kind
    if wanted != "validation":
        kind: Kind = wanted if wanted in figures else "weights"
        return kind, None
    order: tuple[Kind, ...] = ("default", "weights", "learned")
    kind = max((name for name in order if name in figures), key=lambda name: figures[name])
    best = max(alone, key=lambda name: alone[name])
    return ("weights", best) if alone[best] > figures[kind] else (kind, None)


def _joined(one: Taught, other: Taught | None) -> Taught:
    return one if other is None else Taught.concat([one, other])


def _mean(values: npt.NDArray[np.float64]) -> float:
    return round(float(values.mean()), 9)


def _sample(people: int, tuning: Tuning) -> Mask:
    """At most ``blend.people`` of them, drawn by the seed."""
    mask = np.ones(people, dtype=np.bool_)
    if people > tuning.blend.people:
        mask[:] = False
        mask[np.random.default_rng(tuning.seed).choice(people, tuning.blend.people, replace=False)] = True
    return mask


def _ordered(given: Taught, scores: Floats, mask: Mask) -> Picks:
    return Picks.ordered(given.pool.rows[mask], given.pool.columns[mask], scores[mask])


def _as_lists(given: Taught, picks: Picks, places: int) -> Listed:
    made = Listed.none(len(given.relevant), places)
    width = int(given.pool.columns.max(initial=0)) + 1
    keys = given.pool.rows * width + given.pool.columns
    found: Places = np.searchsorted(keys, picks.rows * width + picks.columns)
    at = (picks.rows, picks.ranks())
    made.hits[at], made.scores[at], made.columns[at] = given.hits[found], picks.scores, picks.columns
    return made
