"""A window that models have not seen, and the lists that they make for its people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.metrics import Counts, Hits
from recsys_assets.logic.split import Window
from recsys_assets.models.base import Interactions
from recsys_assets.models.blend import Blend
from recsys_assets.models.top import Picks, block_size, top
from recsys_assets.tuning import Tuning

Mask = npt.NDArray[np.bool_]
TARGETS = ("all", "new", "repeat")


@dataclass(frozen=True)
class Holdout:
    """One window: what models may see, and what the people of it bought afterwards.

    ``history`` holds the people who bought something afterwards, also those never seen before; ``bought`` is them ×
    products of the training, and ``relevant`` counts per target also what no model could know.
    """

    train: Interactions
    history: Interactions
    listable: Mask
    bought: "sp.csr_matrix[np.bool_]"
    relevant: dict[str, Counts]


@dataclass(frozen=True)
class Listed:
    """Lists of all people for one model and target: people × places, in list order; scores are 0 past a list's end."""

    hits: Hits
    scores: npt.NDArray[np.float32]


Lists = dict[tuple[str, str], Listed]


def holdout(
    events: pl.DataFrame | pl.LazyFrame, window: Window, recommendable: Sequence[str], tuning: Tuning
) -> Holdout | None:
    """The window's training and truth, or None where one of them is empty."""
    seen = interactions(events, window.cutoff, tuning)
    allowed = pl.DataFrame({"product_id": recommendable}, schema={"product_id": pl.String}).unique()
    later = window.purchases(events).join(allowed, on="product_id", how="semi")
    if seen.is_empty() or later.is_empty():
        return None
    train = Interactions.from_frame(seen)
    people = np.array(sorted(later["person_key"].unique().to_list()), dtype=np.str_)
    if len(people) > tuning.evaluation.people:
        drawn = np.random.default_rng(tuning.seed).choice(len(people), tuning.evaluation.people, replace=False)
        people = people[np.sort(drawn)]
    history = Interactions.from_frame(seen, train.product_ids, people)

    rows = pl.DataFrame({"person_key": people.tolist(), "_row": np.arange(len(people))})
    columns = pl.DataFrame({"product_id": train.product_ids.tolist(), "_column": np.arange(len(train.product_ids))})
    truth = later.join(rows, on="person_key").join(columns, on="product_id", how="left").sort("_row", "_column")
    known = truth.drop_nulls("_column")
    bought = sp.csr_matrix(
        (np.ones(known.height, dtype=np.bool_), (known["_row"].to_numpy(), known["_column"].to_numpy())),
        shape=(len(people), len(train.product_ids)),
    )
    total = np.bincount(truth["_row"].to_numpy(), minlength=len(people)).astype(np.int64)
    again = np.asarray(sp.csr_matrix(history.purchases.sign().multiply(bought)).sum(axis=1)).ravel().astype(np.int64)
    listable = np.isin(train.product_ids, np.array(list(recommendable), dtype=np.str_))
    return Holdout(train, history, listable, bought, {"all": total, "new": total - again, "repeat": again})


def list_for_all(held: Holdout, blend: Blend, repeat_weights: Sequence[float], tuning: Tuning) -> Lists:
    """Lists of every model and target; what would be published under ``never`` and each repeat weight, by that name."""
    places = max(*tuning.evaluation.ks, tuning.served_list_size)
    people = len(held.history.person_keys)
    made: Lists = {}

    def keep(model: str, target: str, start: int, truth: Mask, picks: Picks) -> None:
        listed = made.setdefault(
            (model, target),
            Listed(np.zeros((people, places), dtype=np.bool_), np.zeros((people, places), dtype=np.float32)),
        )
        picks = picks.first(places)
        listed.hits[start + picks.rows, picks.ranks()] = truth[picks.rows, picks.columns]
        listed.scores[start + picks.rows, picks.ranks()] = picks.scores

    size = block_size(len(held.listable))
    for start in range(0, people, size):
        history = held.history.rows(start, start + size)
        truth = held.bought[start : start + size].toarray()
        owned = history.purchases.tocoo()
        may = held.listable[owned.col]
        rows, columns = owned.row[may].astype(np.int64), owned.col[may].astype(np.int64)
        scored = blend.members(history)
        scored["blend"] = blend.combine(scored)
        scored["random"] = _random(held, start, len(truth), tuning.seed)
        again = {name: scores[rows, columns] for name, scores in scored.items()}
        for name, scores in scored.items():
            scores[:, ~held.listable] = 0
            scores[owned.row, owned.col] = 0
            new = top(scores, places)
            said = again[name] > 0
            repeat = Picks.ordered(rows[said], columns[said], again[name][said])
            keep(name, "new", start, truth, new)
            keep(name, "repeat", start, truth, repeat)
            keep(name, "all", start, truth, new.and_also(repeat.first(places)))
            if name != "blend":
                continue
            keep("never", "new", start, truth, new)
            keep("never", "all", start, truth, new)
            keep("never", "repeat", start, truth, new.first(0))
            for weight in repeat_weights:
                lifted = np.round(again["blend"] + np.float32(weight) * again["personal"], 6).astype(np.float32)
                said = lifted > 0
                repeat = Picks.ordered(rows[said], columns[said], lifted[said])
                keep(f"repeat {weight}", "new", start, truth, new)
                keep(f"repeat {weight}", "repeat", start, truth, repeat)
                keep(f"repeat {weight}", "all", start, truth, new.and_also(repeat.first(places)))
    for target in TARGETS:
        made["ceiling", target] = _ceiling(held, target, places)
    return made


def _random(held: Holdout, start: int, people: int, seed: int) -> npt.NDArray[np.float32]:
    """Scores above 0, seeded per person, so that they do not depend on the block."""
    products = len(held.listable)
    return np.stack(
        [np.random.default_rng([seed, start + row]).random(products, dtype=np.float32) + 1 for row in range(people)]
    )


def _ceiling(held: Holdout, target: str, places: int) -> Listed:
    """What a ranking could reach that knew the answer and every product that was ever seen in training."""
    known = np.asarray(held.bought.sum(axis=1)).ravel()
    again = held.relevant["repeat"]
    reachable = {"all": known, "repeat": again, "new": known - again}[target]
    hits = np.arange(places)[None, :] < reachable[:, None]
    return Listed(hits, hits.astype(np.float32))
