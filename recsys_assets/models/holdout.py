"""A window that models have not seen, and the lists that they make for its people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.metrics import NOTHING, Columns, Counts, Hits, PerPerson, auc
from recsys_assets.logic.split import Window
from recsys_assets.logic.steps import steps
from recsys_assets.models.base import Interactions, Matrix
from recsys_assets.models.blend import Blend
from recsys_assets.models.top import Picks, block_size, top
from recsys_assets.models.traits import Traits, columns_of, features_of
from recsys_assets.tuning import Tuning

Mask = npt.NDArray[np.bool_]
TARGETS = ("all", "new", "repeat")


@dataclass(frozen=True)
class Holdout:
    """One window: what models may see, and what the people of it bought afterwards.

    ``history`` holds the people who bought something afterwards, also those never seen before; ``bought`` is them ×
    products of the training, and ``relevant`` counts per target also what no model could know. ``traits`` is what the
    training says of products. ``taken`` is what everybody of the training bought afterwards, most of them nothing.
    """

    train: Interactions
    history: Interactions
    listable: Mask
    bought: "sp.csr_matrix[np.bool_]"
    relevant: dict[str, Counts]
    traits: Traits
    taken: "sp.csr_matrix[np.bool_]"


@dataclass(frozen=True)
class Listed:
    """Lists of all people for one model and target: people × places, in list order.

    Past a list's end scores are 0 and ``columns``, the products, are ``NOTHING``. ``auc`` is per person, of the
    model's whole ranking; NaN where it was not asked for, or says nothing.
    """

    hits: Hits
    scores: npt.NDArray[np.float32]
    columns: Columns
    auc: PerPerson

    @classmethod
    def none(cls, people: int, places: int) -> "Listed":
        """Nobody has a list yet."""
        return cls(
            np.zeros((people, places), dtype=np.bool_),
            np.zeros((people, places), dtype=np.float32),
            np.full((people, places), NOTHING, dtype=np.int32),
            np.full(people, np.nan),
        )


Lists = dict[tuple[str, str], Listed]


@dataclass(frozen=True)
class Past:
    """All that models are told of people, as of a cut-off: tables INTERACTIONS and STEPS."""

    interactions: pl.DataFrame
    steps: pl.DataFrame

    def of(
        self,
        product_ids: npt.NDArray[np.str_] | None = None,
        person_keys: npt.NDArray[np.str_] | None = None,
        features: Matrix | None = None,
    ) -> Interactions:
        """As matrices; see `Interactions.from_frame`."""
        return Interactions.from_frame(self.interactions, product_ids, person_keys, steps=self.steps, features=features)


def past(events: pl.DataFrame | pl.LazyFrame, window: Window, tuning: Tuning) -> Past:
    """What lies before the window. Days after the cut-off are dropped first, so that nothing below can look at them."""
    seen = events.lazy().filter(pl.col("event_date") <= window.cutoff).collect()
    return Past(interactions(seen, window.cutoff, tuning), steps(seen, window.cutoff, tuning))


def holdout(
    events: pl.DataFrame | pl.LazyFrame,
    window: Window,
    recommendable: Sequence[str],
    tuning: Tuning,
    products: pl.DataFrame | None = None,
) -> Holdout | None:
    """The window's training and truth, or None where one of them is empty.

    ``products`` is table CATALOG, or what of it is known: its facts make a column of each recommendable product, also
    of one that nobody took.
    """
    return held_out(
        past(events, window, tuning), window.purchases(events), window.cutoff, recommendable, tuning, products
    )


def holdout_before(
    events: pl.DataFrame | pl.LazyFrame,
    window: Window,
    recommendable: Sequence[str],
    tuning: Tuning,
    products: Callable[[date], pl.DataFrame | None],
) -> Holdout | None:
    """The window before ``window``, or None where fewer days lie before it than in both: models would know little."""
    earlier = window.before()
    first = events.lazy().select(pl.col("event_date").min()).collect().item()
    if first is None or earlier.cutoff - first < window.until - earlier.cutoff:
        return None
    return holdout(events, earlier, recommendable, tuning, products(earlier.cutoff))


def held_out(
    before: Past,
    later: pl.DataFrame,
    cutoff: date,
    recommendable: Sequence[str],
    tuning: Tuning,
    products: pl.DataFrame | None = None,
) -> Holdout | None:
    """What was known by ``cutoff`` beside what people took ``later`` (``person_key``, ``product_id``, each pair once).

    None where one of them is empty.
    """
    allowed = pl.DataFrame({"product_id": recommendable}, schema={"product_id": pl.String}).unique()
    later = later.join(allowed, on="product_id", how="semi")
    if before.interactions.is_empty() or later.is_empty():
        return None
    product_ids = columns_of(before.interactions, recommendable, products, tuning)
    features = features_of(product_ids, products, tuning)
    train = before.of(product_ids, features=features)
    people = np.array(sorted(later["person_key"].unique().to_list()), dtype=np.str_)
    if len(people) > tuning.evaluation.people:
        drawn = np.random.default_rng(tuning.seed).choice(len(people), tuning.evaluation.people, replace=False)
        people = people[np.sort(drawn)]
    history = before.of(train.product_ids, people, features)

    columns = pl.DataFrame({"product_id": train.product_ids.tolist(), "_column": np.arange(len(train.product_ids))})
    later = later.join(columns, on="product_id", how="left")
    truth = _with_rows(later, people)
    bought = _bought(truth, len(people), len(train.product_ids))
    taken = _bought(_with_rows(later, train.person_keys), len(train.person_keys), len(train.product_ids))
    total = np.bincount(truth["_row"].to_numpy(), minlength=len(people)).astype(np.int64)
    again = np.asarray(sp.csr_matrix(history.purchases.sign().multiply(bought)).sum(axis=1)).ravel().astype(np.int64)
    listable = np.isin(train.product_ids, np.array(list(recommendable), dtype=np.str_))
    relevant = {"all": total, "new": total - again, "repeat": again}
    traits = Traits.of(before.interactions, train.product_ids, cutoff, tuning.recent_days, products)
    return Holdout(train, history, listable, bought, relevant, traits, taken)


def _with_rows(later: pl.DataFrame, people: npt.NDArray[np.str_]) -> pl.DataFrame:
    rows = pl.DataFrame({"person_key": people.tolist(), "_row": np.arange(len(people))})
    return later.join(rows, on="person_key").sort("_row", "_column")


def _bought(truth: pl.DataFrame, people: int, products: int) -> "sp.csr_matrix[np.bool_]":
    known = truth.drop_nulls("_column")
    return sp.csr_matrix(
        (np.ones(known.height, dtype=np.bool_), (known["_row"].to_numpy(), known["_column"].to_numpy())),
        shape=(people, products),
    )


def list_for_all(
    held: Holdout, blend: Blend, repeat_weights: Sequence[float], tuning: Tuning, *, whole: bool = False
) -> Lists:
    """Lists of every model and target; what would be published under ``never`` and each repeat weight, by that name.

    ``whole``: the whole ranking of new products is measured too, as AUC; that sorts every product for everybody.
    """
    places = max(*tuning.evaluation.ks, tuning.served_list_size)
    people = len(held.history.person_keys)
    made: Lists = {}

    def keep(model: str, target: str, start: int, truth: Mask, picks: Picks) -> None:
        listed = made.setdefault((model, target), Listed.none(people, places))
        picks = picks.first(places)
        at = (start + picks.rows, picks.ranks())
        listed.hits[at] = truth[picks.rows, picks.columns]
        listed.scores[at] = picks.scores
        listed.columns[at] = picks.columns

    size = block_size(len(held.listable))
    for start in range(0, people, size):
        history = held.history.rows(start, start + size)
        bought = held.bought[start : start + size]
        truth = bought.toarray()
        first_bought = sp.csr_matrix(bought > bought.multiply(history.purchases.astype(np.bool_)))
        owned = history.purchases.tocoo()
        may = held.listable[owned.col]
        rows, columns = owned.row[may].astype(np.int64), owned.col[may].astype(np.int64)
        scored = blend.members(history)
        scored["blend"] = blend.combine(scored)
        scored["random"] = _random(held, start, len(truth), tuning.seed)
        left_out = (~held.listable).sum() + np.bincount(rows, minlength=len(truth))
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
            if whole and name != "random":
                made[name, "new"].auc[start : start + size] = auc(scores, first_bought, left_out)
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
    listed = Listed.none(len(known), places)
    listed.hits[:] = np.arange(places)[None, :] < reachable[:, None]
    listed.scores[:] = listed.hits
    return listed
