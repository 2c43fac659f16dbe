"""The planner: gradient-boosted trees of scikit-learn over what is known of a person at the end of a day.

Four questions, each with trees of its own: is this category the main one of the next basket, what is that basket for,
what sets it off, what does a product in it cost (quantiles, of log prices); and whether there is a basket at all. Terms
of a visit are linear, on top of them (`logic.plans`), so that the API adds them without any of this.

The trees are stored as scikit-learn pickles them, and read back by a reader that knows arrays and these trees alone.
"""

import io
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.errors import SourceError
from recsys_assets.logic.copy_facts import INTENTS, TRIGGERS
from recsys_assets.logic.plan_states import CATEGORY_FEATURES, PERSON_FEATURES, States
from recsys_assets.logic.plans import LEAST, Plan, PlanningTerms, Visit
from recsys_assets.models.naming import helped
from recsys_assets.models.visit_terms import Visited, fitted_terms
from recsys_assets.tables import MICROS
from recsys_assets.tuning import Tuning

Floats = npt.NDArray[np.float64]
FILE = "planner.pickle"
# Chosen on the fortnight before the test's on Complete Journey. Accuracy@3 of the category .316, of 100 trees .317, of
# logistic regression on the same features .304, of the person's own most frequent main categories .311. Log loss of the
# intent 1.021, of trees with 15 leaves 1.065, of logistic regression 1.054. Pinball loss of all items .364 with either.
_ALL = {"random_state": 0, "max_bins": 63, "early_stopping": False}
_TREES = {
    "category": {"max_iter": 60, "learning_rate": 0.08, "max_leaf_nodes": 15, "min_samples_leaf": 100},
    "person": {"max_iter": 100, "learning_rate": 0.05, "max_leaf_nodes": 4, "min_samples_leaf": 100},
    "price": {"max_iter": 40, "learning_rate": 0.15, "max_leaf_nodes": 6, "min_samples_leaf": 200},
}
# Of fewer items than this, 40 trees learn quantiles by heart: brackets of three made shops of 240 people covered .71
# to .75 of the prices instead of .8; with 15 trees and larger leaves .76 to .79, at the same pinball loss.
_FEW_ITEMS = 5_000
_OF_FEW = {"max_iter": 15, "min_samples_leaf": 50}
_ENDS = ("price low", "price middle", "price high")
_MOST_ITEMS = 40_000
_ROWS_FOR_THREADS = 20_000
_LEAST_ITEMS = 20  # with a price, from which brackets are learned
_BOOSTING = "sklearn.ensemble._hist_gradient_boosting"
# Names one by one: a module has others within reach, down to `os.system`.
_SAFE = {
    "numpy": ("dtype", "ndarray"),
    "numpy._core.multiarray": ("scalar", "_reconstruct"),
    "numpy._core.numeric": ("_frombuffer",),
    "numpy.random._pcg64": ("PCG64",),
    "numpy.random._pickle": ("__bit_generator_ctor", "__generator_ctor"),
    "numpy.random.bit_generator": ("SeedSequence", "__pyx_unpickle_SeedSequence"),
    "sklearn._loss._loss": ("CyHalfBinomialLoss", "CyHalfMultinomialLoss", "CyPinballLoss",
                            "__pyx_unpickle_CyHalfMultinomialLoss"),
    "sklearn._loss.link": ("IdentityLink", "Interval", "LogitLink", "MultinomialLogit"),
    "sklearn._loss.loss": ("HalfBinomialLoss", "HalfMultinomialLoss", "PinballLoss"),
    f"{_BOOSTING}.binning": ("_BinMapper",),
    f"{_BOOSTING}.gradient_boosting": ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"),
    f"{_BOOSTING}.predictor": ("TreePredictor",),
    "sklearn.preprocessing._label": ("LabelEncoder",),
}  # fmt: skip


@dataclass(frozen=True)
class Examples:
    """One day that the planner learns from: what was known, and the first basket after it.

    ``after`` has one row per person who bought: ``category``, ``intent``, ``trigger``; ``prices`` their items' prices;
    ``visits`` what they did in the visit of that basket before they ordered.
    """

    states: States
    after: pl.DataFrame
    prices: pl.DataFrame
    visits: dict[str, Visit] = field(default_factory=dict)

    def met_again(self) -> pl.DataFrame:
        """``after`` of people of whom something was known before."""
        return self.after.join(self.states.people, on="person_key", how="semi", maintain_order="left")


@dataclass(frozen=True)
class Predicted:
    """What the planner says of people, in the order of ``people``.

    ``categories`` one row per person and category: ``_score`` (log odds); ``intents`` and ``triggers`` log
    probabilities; ``prices`` log quantiles, ascending; ``buys`` the probability of a basket within the horizon.
    """

    people: list[str]
    categories: pl.DataFrame
    intents: Floats
    triggers: Floats
    prices: Floats
    buys: Floats

    def plans(self) -> list[Plan]:
        """One per person."""
        scored = self.categories.sort("person_key", "_score", "category", descending=[False, True, False])
        by_person = {
            key[0]: (part["category"].to_list(), part["_score"].to_list())
            for key, part in scored.partition_by("person_key", as_dict=True, maintain_order=True).items()
        }
        made = []
        for place, person in enumerate(self.people):
            names, scores = by_person.get(person, ([], []))
            made.append(
                Plan(
                    tuple(zip(names, scores, strict=True)),
                    tuple(self.intents[place].tolist()),
                    tuple(self.triggers[place].tolist()),
                    in_micros(self.prices[place]),
                    float(self.buys[place]),
                )
            )
        return made


def in_micros(log_prices: Floats) -> tuple[int, int, int] | None:
    """A bracket from log prices, rounded to whole hundredths of the currency; None where no price is known."""
    if np.isnan(log_prices).any():
        return None
    cents = MICROS // 100
    low, middle, high = (max(cents, round(float(np.exp(price)) / cents) * cents) for price in log_prices)
    return low, middle, high


class Planner:
    """Fitted trees and the terms of a visit."""

    def __init__(self, tuning: Tuning, threads: int = 1) -> None:
        self._tuning, self._threads = tuning, threads
        self.terms = PlanningTerms(tuning.planner.category_depth, tuning.planner.gift_words)
        self._models: dict[str, Any] = {}
        self._seen: dict[str, list[int]] = {}

    def fit(self, examples: Sequence[Examples]) -> "Planner":
        """Learns from some days, on at least one of which somebody bought.

        Args:
            examples: oldest first.
        """
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):  # sums over threads would differ in their last digit
            self._fit(examples)
        return self

    def _fit(self, examples: Sequence[Examples]) -> None:
        pairs = pl.concat([_pairs(one) for one in examples])
        self._models["category"] = _score_of("category", pairs.select(CATEGORY_FEATURES).to_numpy(), pairs["_is"])
        people = pl.concat([_with_people(one) for one in examples])
        known = people.select(PERSON_FEATURES).to_numpy()
        for name, classes in (("intent", INTENTS), ("trigger", TRIGGERS)):
            labels = people[name].replace_strict({one: place for place, one in enumerate(classes)}).to_numpy()
            self._seen[name] = sorted(set(labels.tolist()))
            self._models[name] = _classifier("person", known, labels) if len(self._seen[name]) > 1 else None
        everybody = pl.concat([_buyers(one) for one in examples])
        self._models["buys"] = _score_of("person", everybody.select(PERSON_FEATURES).to_numpy(), everybody["_bought"])
        items = _some(pl.concat([_items(one) for one in examples]), self._tuning.seed)
        for end, quantile in zip(_ENDS, self._tuning.planner.bracket, strict=True):
            self._models[end] = _regressor(items, quantile) if items.height >= _LEAST_ITEMS else None
        counted = people["intent"].value_counts()
        shares = dict(zip(counted["intent"], (counted["count"] / len(people)).to_list(), strict=True))
        self.terms = replace(self.terms, shares=tuple(max(LEAST, shares.get(name, 0.0)) for name in INTENTS))
        self.terms = fitted_terms([row for one in examples for row in self._visited(one)], self.terms)

    def _visited(self, example: Examples) -> list[Visited]:
        """Visits that ended in a basket, of people who were known before, beside what is planned for them."""
        met = [person for person in example.after["person_key"] if person in example.visits]
        said = self.predict(example.states, pl.DataFrame({"person_key": met}, schema={"person_key": pl.String}))
        labels = {row["person_key"]: row for row in example.after.iter_rows(named=True)}
        prices = dict(example.prices.group_by("person_key").agg(pl.col("_log").median()).iter_rows())
        return [
            Visited(
                plan, example.visits[person], labels[person]["category"], labels[person]["intent"], prices.get(person)
            )
            for person, plan in zip(said.people, said.plans(), strict=True)
        ]

    def sharpen(self, known: States) -> None:
        """Chooses how far each intent is helped: by the macro-F1 that its own probabilities expect of these people.

        Each counts as much as they are likely to buy. No label is needed, so nothing is kept from learning for it; and
        labels of one horizon are worse judges: the best power of the shares was .75 of one fortnight of Complete
        Journey and 0 of the next. Mean macro-F1 of four fortnights before the test's: the last intent again .236, the
        likeliest .23, the expected best power .275, the expected best weight of each intent .288.
        """
        said = self.predict(known)
        if said.people:
            held = helped(np.exp(said.intents), said.buys, np.array(self.terms.shares))
            self.terms = replace(self.terms, shares=tuple(held.tolist()), sharpness=1.0)

    def predict(self, states: States, people: pl.DataFrame | None = None) -> Predicted:
        """What is next for ``people`` (``person_key``; None: everybody in ``states``), in their order by key."""
        from threadpoolctl import threadpool_limits

        known, pairs = states.people, states.categories
        if people is not None:
            known = known.join(people, on="person_key", how="semi", maintain_order="left")
            pairs = pairs.join(people, on="person_key", how="semi", maintain_order="left")
        if known.is_empty():
            none = np.zeros((0, 0))
            return Predicted(
                [], pairs.select("person_key", "category", _score=pl.lit(0.0)).clear(), none, none, none, none
            )
        x = known.select(PERSON_FEATURES).to_numpy()
        # The same on any number of threads, for people do not meet. Threads wait for each other at every tree, which
        # takes longer than a few rows do.
        with threadpool_limits(self._threads if pairs.height >= _ROWS_FOR_THREADS else 1):
            scores = _scores(self._models["category"], pairs.select(CATEGORY_FEATURES).to_numpy())
            models = [self._models[end] for end in _ENDS]
            prices = np.column_stack([np.full(len(x), np.nan) if one is None else one.predict(x) for one in models])
            return Predicted(
                known["person_key"].to_list(),
                pairs.select("person_key", "category").with_columns(_score=pl.Series(scores.round(6))),
                self._logs("intent", x, len(INTENTS)),
                self._logs("trigger", x, len(TRIGGERS)),
                np.sort(prices, axis=1).round(6),
                (1 / (1 + np.exp(-_scores(self._models["buys"], x)))).round(6),
            )

    def _logs(self, name: str, x: Floats, classes: int) -> Floats:
        """Log probabilities, small ones cut off; a class that was never seen has the smallest."""
        chances = np.full((len(x), classes), LEAST)
        model, seen = self._models[name], self._seen[name]
        chances[:, seen] = 1.0 if model is None else model.predict_proba(x)
        found: Floats = np.log(np.maximum(chances, LEAST)).round(6)
        return found

    def save(self, folder: Path) -> None:
        """Writes the fitted trees and terms."""
        state = {"models": self._models, "seen": self._seen, "terms": self.terms.to_json()}
        (folder / FILE).write_bytes(pickle.dumps(state, protocol=5))

    @classmethod
    def load(cls, folder: Path, tuning: Tuning, threads: int = 1) -> "Planner":
        """The planner that `save` wrote.

        Raises:
            SourceError: the file is not one, or holds anything but arrays and trees.
        """
        made = cls(tuning, threads)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # scikit-learn warns of trees of another version, and goes on
                state = _Reader(io.BytesIO((folder / FILE).read_bytes())).load()
            made._models, made._seen = state["models"], state["seen"]
            made.terms = PlanningTerms.of(state["terms"])
        except OSError:
            raise
        except Exception as error:  # bytes that are no pickle raise almost anything
            raise SourceError(
                f"{FILE} is not a planner of this program ({error}): materialize `planner` anew."
            ) from None
        return made


class _Reader(pickle.Unpickler):
    """Reads what scikit-learn's trees consist of, and runs nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if name not in _SAFE.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} does not belong there")
        return super().find_class(module, name)


def named_intents(scores: Floats, shares: Sequence[float], sharpness: float) -> list[str]:
    """As `logic.plans.named`, of many people."""
    held = scores - sharpness * np.log(np.maximum(np.array(shares), LEAST))
    return [INTENTS[place] for place in held.argmax(axis=1)]


def _classifier(kind: str, x: Floats, y: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**_trees(kind, len(y))).fit(_known(x), y)


def _score_of(kind: str, x: Floats, y: pl.Series) -> Any:
    """Trees for what is or is not; where it always is, or never, the log odds of that."""
    always = y.n_unique() < 2
    return float((1 if y.max() == 1 else -1) * -np.log(LEAST)) if always else _classifier(kind, x, y.to_numpy())


def _scores(model: Any, x: Floats) -> Floats:
    if isinstance(model, float) or not len(x):
        return np.full(len(x), model if isinstance(model, float) else 0.0)
    found: Floats = model.decision_function(x)
    return found


def _regressor(items: pl.DataFrame, quantile: float) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    made = HistGradientBoostingRegressor(loss="quantile", quantile=quantile, **_trees("price", items.height))
    features = _known(items.select(PERSON_FEATURES).to_numpy())
    return made.fit(features, items["_log"].to_numpy(), sample_weight=items["_weight"].to_numpy())


def _trees(kind: str, size: int) -> dict[str, Any]:
    """Knobs of the trees; a small shop has smaller leaves."""
    knobs: dict[str, Any] = _ALL | _TREES[kind]
    if kind == "price" and size < _FEW_ITEMS:
        return knobs | _OF_FEW
    return knobs | {"min_samples_leaf": min(knobs["min_samples_leaf"], max(5, size // 50))}


def _known(x: Floats) -> Floats:
    """Features of which nothing is known of anybody as 0: the trees' bins want some value."""
    return np.where(np.isnan(x).all(axis=0), 0.0, x)


def _pairs(example: Examples) -> pl.DataFrame:
    """Categories that were considered for people who bought, and which one it was."""
    return example.states.categories.join(
        example.after.select("person_key", pl.col("category").alias("_next")), on="person_key", maintain_order="left"
    ).with_columns((pl.col("category") == pl.col("_next")).cast(pl.Int8).alias("_is"))


def _with_people(example: Examples) -> pl.DataFrame:
    labels = example.after.select("person_key", "intent", "trigger")
    return example.states.people.join(labels, on="person_key", maintain_order="left")


def _buyers(example: Examples) -> pl.DataFrame:
    bought = example.after.select("person_key", _bought=pl.lit(1, pl.Int8))
    return example.states.people.join(bought, on="person_key", how="left", maintain_order="left").with_columns(
        pl.col("_bought").fill_null(0)
    )


def _items(example: Examples) -> pl.DataFrame:
    """What is known of a person, and the log price of an item of their basket; each basket weighs 1."""
    return example.states.people.join(example.prices, on="person_key", maintain_order="left_right")


def _some(items: pl.DataFrame, seed: int) -> pl.DataFrame:
    """At most so many items, drawn: fitting quantiles takes longest of all, and a basket's items are much alike."""
    if items.height <= _MOST_ITEMS:
        return items
    return items[np.sort(np.random.default_rng(seed).permutation(items.height)[:_MOST_ITEMS])]
