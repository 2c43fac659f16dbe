"""All items ranked for each user: pairs of user and item, no order and no time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.benchmark.files import read
from recsys_assets.benchmark.outcome import Clock, Outcome, Progress, known_model, silent
from recsys_assets.logic.metrics import Counts, Hits, ndcg, recall
from recsys_assets.models.base import Floats, Interactions, Recommender
from recsys_assets.models.blend import rms_is_one
from recsys_assets.models.fused import values_at
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.models.pool import Pool, pooled
from recsys_assets.models.top import block_size, top
from recsys_assets.models.weights import Weights, choose_weights, hits_at

# What the blend is made of, with what is not searched. Neighbourhoods are wide: pairs are all there is to know.
MEMBERS: dict[str, dict[str, Any]] = {
    "user_linear": {"popularity_exponent": 0.1},
    "user_knn": {"person_exponent": 0.6},
    "graph": {"neighbours": 1000},
    "linear": {},
    # 128 factors serve the blend as well as 256, at half the time; after 8 rounds it gains nothing. A penalty by
    # frequency won nothing on Gowalla's slice.
    "als": {"factors": 128, "iterations": 8, "regularization": 1.0, "alpha": 40.0},
}
# Values tried of each parameter, one parameter after the other; the others stay at the best so far.
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "user_linear": {
        "popularity_exponent": (0.0, 0.1, 0.2, 0.35),
        "ridge": (2.0, 5.0, 12.0),
        "product_exponent": (0.1, 0.25, 0.4),
    },
    "user_knn": {"popularity_exponent": (0.1, 0.2, 0.3, 0.45), "product_exponent": (0.35, 0.5, 0.65)},
    "graph": {"popularity_exponent": (0.1, 0.2, 0.3, 0.45), "seed_exponent": (0.45, 0.6, 0.75)},
    "linear": {"ridge": (10.0, 25.0, 60.0)},
    "als": {"alpha": (15.0, 40.0, 100.0)},
}
MODELS = ("blend", *MEMBERS, "popularity")

HELD = 0.2  # share of a person's items that choices are made on
# Held-out items are drawn by their buyers to this power. What people take later leans to what is popular more than a
# random part of what they took: on a random slice of Gowalla popularity reaches .028 (published on its test: .042), and
# single models are misranked for it. With this it reaches .045.
LEANING = 0.2
PEOPLE = 4000  # of how many people at most
DEPTH = 60  # each member's best that the blend is weighed on, per person
SEED = 0


@dataclass(frozen=True)
class Asked:
    """People to rank for, what they took afterwards, and how much that is with what no model can know."""

    history: Interactions
    taken: sp.csr_matrix[np.bool_]
    relevant: Counts


def topn(train: Path, test: Path, *, k: int = 20, model: str | None = None, progress: Progress = silent) -> Outcome:
    """Recall@k and NDCG@k over the users of ``test``, all items of ``train`` ranked but the user's own.

    Hyper-parameters and weights are chosen on items held out from some of the training's users; members are then fitted
    on all of it and the test is measured once.

    Args:
        train: a file of user, item.
        test: the same; its users' recall is hits ÷ their items here, the ideal of NDCG min(items, k) hits.
        k: places.
        model: one of ``MODELS``; default ``blend``.
        progress: called with one line per step.

    Raises:
        SourceError: a file cannot be read as such a table.
        RefusedError: there is no such model.
    """
    chosen = known_model(model, MODELS) or "blend"
    known, later = read(train, ("user", "item")).unique(), read(test, ("user", "item")).unique()
    clock = Clock()
    products = np.array(sorted(known["item"].unique().to_list()), dtype=np.str_)
    everybody = _people(known, products)
    progress(f"{len(everybody.person_keys):,} users, {len(products):,} items, {known.height:,} pairs")
    with clock("fit"):
        parameters, weights, validation = _choose(everybody, chosen, k, progress)
        models = {name: MEMBER_MODELS[name](**given) for name, given in parameters.items()}
        for name, fitted in models.items():
            progress(f"fitting {name} on all of the training")
            fitted.fit(everybody)
    asked = _asked(known, later, products)
    with clock("score"):
        hits = np.zeros((len(asked.relevant), k), dtype=np.bool_)
        for start, stop, scores in _scored(models, asked.history):
            _mark(hits[start:stop], _combined(scores, weights), asked.taken[start:stop], k)
    figures = _figures(hits, asked.relevant, k)
    choice = {"weights": weights, "members": parameters} if chosen != "popularity" else {}
    return Outcome("topn", chosen, figures, validation, choice, clock)


def _people(pairs: pl.DataFrame, products: npt.NDArray[np.str_], users: Sequence[str] | None = None) -> Interactions:
    """One purchase per pair; ``users`` are all of the pairs by default."""
    keys = np.array(sorted(pairs["user"].unique().to_list() if users is None else set(users)), dtype=np.str_)
    return _interactions(_matrix(pairs, keys, products), keys, products)


def _interactions(
    taken: sp.csr_matrix[np.float32], keys: npt.NDArray[np.str_], products: npt.NDArray[np.str_]
) -> Interactions:
    return Interactions(keys, products, taken, taken, taken, taken)


def _matrix(
    pairs: pl.DataFrame, keys: npt.NDArray[np.str_], products: npt.NDArray[np.str_]
) -> sp.csr_matrix[np.float32]:
    """1 at each pair of a known user and item."""
    rows = pl.DataFrame({"user": keys.tolist(), "row": np.arange(len(keys))}, schema_overrides={"user": pl.String})
    columns = pl.DataFrame({"item": products.tolist(), "column": np.arange(len(products))})
    placed = pairs.join(rows, on="user").join(columns, on="item").sort("row", "column")
    made = sp.csr_matrix(
        (np.ones(placed.height, dtype=np.float32), (placed["row"].to_numpy(), placed["column"].to_numpy())),
        shape=(len(keys), len(products)),
    )
    made.sort_indices()
    return made


def _asked(known: pl.DataFrame, later: pl.DataFrame, products: npt.NDArray[np.str_]) -> Asked:
    """The users of ``later``; those that ``known`` does not know have no history."""
    history = _people(known.join(later, on="user", how="semi"), products, later["user"].unique().to_list())
    counted = later.group_by("user").len().sort("user")
    return Asked(
        history,
        sp.csr_matrix(_matrix(later, history.person_keys, products).astype(np.bool_)),
        counted["len"].to_numpy().astype(np.int64),
    )


def _held_out(everybody: Interactions) -> tuple[Interactions, Asked]:
    """The training without a share of the items of some people, and those people with the items.

    Everybody else stays whole, so that what is chosen suits a training as full as the one that is fitted at last.
    """
    random = np.random.default_rng(SEED)
    taken = everybody.purchases
    lengths = np.diff(taken.indptr)
    able = np.flatnonzero(lengths >= 2)
    drawn = np.sort(random.choice(able, min(PEOPLE, len(able)), replace=False))
    share = np.zeros(len(lengths), dtype=np.int64)
    share[drawn] = np.maximum(1, np.floor(lengths[drawn] * HELD)).astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    # The lowest waits are held out: as many draws without putting back, each by its weight.
    buyers = np.bincount(taken.indices, minlength=taken.shape[1]).astype(np.float64)
    waits = -np.log1p(-random.random(taken.nnz)) / buyers[taken.indices] ** LEANING
    order = np.lexsort((waits, rows))
    held = np.zeros(taken.nnz, dtype=np.bool_)
    held[order] = np.arange(taken.nnz) - np.repeat(taken.indptr[:-1], lengths) < np.repeat(share, lengths)

    def part(mask: npt.NDArray[np.bool_]) -> sp.csr_matrix[np.float32]:
        return sp.csr_matrix((taken.data[mask], (rows[mask], taken.indices[mask])), shape=taken.shape)

    rest = _interactions(part(~held), everybody.person_keys, everybody.product_ids)
    return rest, Asked(rest.take(drawn), sp.csr_matrix(part(held)[drawn].astype(np.bool_)), share[drawn])


def _choose(
    everybody: Interactions, chosen: str, k: int, progress: Progress
) -> tuple[dict[str, dict[str, Any]], Weights, dict[str, dict[str, float]]]:
    """Parameters of the members that ``chosen`` needs, their weights, and the figures of the slice by model."""
    if chosen == "popularity":
        return {"popularity": {}}, {"popularity": 1.0}, {}
    names = tuple(MEMBERS) if chosen == "blend" else (chosen,)
    parameters = {name: dict(MEMBERS[name]) for name in names}
    rest, asked = _held_out(everybody)
    if not len(asked.relevant):
        return parameters, dict.fromkeys(names, 1.0 / len(names)), {}
    best: dict[str, Recommender] = {}
    validation: dict[str, dict[str, float]] = {}
    for name in names:
        best[name], parameters[name], validation[name] = _search(name, rest, asked, k, progress)
    if len(names) == 1:
        return parameters, {names[0]: 1.0}, validation
    pools, offsets = [], []
    for start, _, scores in _scored(best, asked.history):
        pools.append(pooled(scores, DEPTH))
        offsets.append(start)
    pool = Pool.concat(pools, offsets)
    hits = values_at(asked.taken, pool.rows, pool.columns) > 0
    weights = _steadied(choose_weights(pool, hits, asked.relevant, _figure, k)[0], pool, hits, asked.relevant, k)
    found = np.zeros((len(asked.relevant), k), dtype=np.bool_)
    for start, stop, scores in _scored(best, asked.history):
        _mark(found[start:stop], _combined(scores, weights), asked.taken[start:stop], k)
    validation["blend"] = _figures(found, asked.relevant, k)
    progress(f"validation: blend {_told(validation['blend'])} with weights {weights}")
    return parameters, weights, validation


def _steadied(weights: Weights, pool: Pool, hits: npt.NDArray[np.bool_], relevant: Counts, k: int) -> Weights:
    """Halfway to equal weights, where that costs at most a hundredth on the slice.

    Members that say nearly the same swap their weights by chance, and a slice is not the future: diversity is safer.
    """
    halfway = {name: round((weight + 1 / len(weights)) / 2, 6) for name, weight in weights.items()}

    def reached(tried: Weights) -> float:
        scores = pool.features @ np.array([tried[name] for name in pool.names], dtype=np.float32)
        return float(_figure(hits_at(pool, scores, hits, len(relevant), k), relevant, k).mean())

    return halfway if reached(halfway) >= 0.99 * reached(weights) else weights


def _search(
    name: str, rest: Interactions, asked: Asked, k: int, progress: Progress
) -> tuple[Recommender, dict[str, Any], dict[str, float]]:
    """The best member of its grid, fitted on ``rest``, with its parameters and figures."""

    def tried(parameters: dict[str, Any]) -> tuple[float, Recommender, dict[str, float]]:
        model = MEMBER_MODELS[name](**parameters)
        model.fit(rest)
        hits = np.zeros((len(asked.relevant), k), dtype=np.bool_)
        for start, stop, scores in _scored({name: model}, asked.history):
            _mark(hits[start:stop], scores[name], asked.taken[start:stop], k)
        figures = _figures(hits, asked.relevant, k)
        progress(f"validation: {name} {parameters} {_told(figures)}")
        return round(float(_figure(hits, asked.relevant, k).mean()), 9), model, figures

    parameters = dict(MEMBERS[name])
    best, model, figures = tried(parameters)
    for knob, values in GRIDS[name].items():
        begun = model.parameters[knob]
        for value in values:
            if value == begun:
                continue
            reached, other, told = tried(parameters | {knob: value})
            if reached > best:
                best, model, figures = reached, other, told
        parameters |= {knob: model.parameters[knob]}
    return model, parameters, figures


def _figure(hits: Hits, relevant: Counts, k: int) -> npt.NDArray[np.float64]:
    """What is chosen by: both figures, as one."""
    both: npt.NDArray[np.float64] = recall(hits, relevant, k) + ndcg(hits, relevant, k)
    return both


def _scored(models: Mapping[str, Recommender], history: Interactions) -> Iterator[tuple[int, int, dict[str, Floats]]]:
    """Blocks of people: first, last, and each model's scores, 0 on what the person has, root mean square 1."""
    people = len(history.person_keys)
    size = block_size(len(history.product_ids))
    for start in range(0, people, size):
        block = history.rows(start, start + size)
        owned = block.purchases.tocoo()
        made = {}
        for name, model in models.items():
            scores = model.scores(block)
            scores[owned.row, owned.col] = 0
            made[name] = rms_is_one(scores)
        yield start, start + len(block.person_keys), made


def _combined(scores: Mapping[str, Floats], weights: Weights) -> Floats:
    """Σ weight × scores, rounded to 6 decimals."""
    names = list(scores)
    total = scores[names[0]] * np.float32(weights[names[0]])
    for name in names[1:]:
        total += scores[name] * np.float32(weights[name])
    return np.round(total, 6, out=total)


def _mark(hits: Hits, scores: Floats, taken: sp.csr_matrix[np.bool_], k: int) -> None:
    """Sets the places of each person's list that hold what was taken."""
    picks = top(scores, k)
    hits[picks.rows, picks.ranks()] = taken.toarray()[picks.rows, picks.columns]


def _figures(hits: Hits, relevant: Counts, k: int) -> dict[str, float]:
    return {
        f"recall@{k}": float(recall(hits, relevant, k).mean()),
        f"ndcg@{k}": float(ndcg(hits, relevant, k).mean()),
    }


def _told(figures: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4f}" for name, value in figures.items())
