"""How well plans foretell the first basket after a day, beside what needs no model (promise 6).

Everything is measured on people who bought within the horizon, on baskets that nothing was learned from, and paired:
all figures of one split come from the same draws of people. The baselines:

- ``majority``: what most baskets of the past were, and the quantiles of all their prices; the same for everybody
- ``last_category``: the main category of the person's last basket, then what is most usual; the same of intents
- ``user_median``: the person's median price, with the spread around it that people usually have
- ``favourite_category``: the person's most frequent main categories; nobody asked for it, and it is the hardest
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.copy_facts import INTENTS, TRIGGERS
from recsys_assets.logic.plans import TOP
from recsys_assets.models.planner import Examples, Planner, Predicted, named_intents
from recsys_assets.tables import PLAN_FIGURES
from recsys_assets.tuning import Tuning

Floats = npt.NDArray[np.float64]
Reduce = Callable[[Floats], Floats]
PLANNER = "planner"
# What a part of a plan has to beat, strictly, before trees may make it: metric → baselines.
MUST_BEAT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "category": {"accuracy_at_1": ("majority", "last_category"), "accuracy_at_3": ("majority", "last_category")},
    "bracket": {"pinball_loss": ("majority", "user_median")},
    "intent": {"macro_f1": ("majority", "last_category")},
    "trigger": {"macro_f1": ("majority",)},
    "buys": {"brier": ("majority",)},
}
LOWER_IS_BETTER = ("pinball_loss", "calibration_error", "coverage_error", "brier")
_BINS = 10
_LONG_AGO = 1e6  # days; infinite ones have no quantiles
_LEVELS = np.linspace(0.005, 0.995, 199)  # quantiles between which scores count as equal in an area under the curve


@dataclass(frozen=True)
class Measure:
    """One figure of one model: ``columns`` (people × any), and what makes a figure of their means."""

    target: str
    metric: str
    model: str
    columns: Floats
    reduce: Reduce


@dataclass(frozen=True)
class Judged:
    """Whether trees may make a part of the plan, and what was found."""

    part: str
    passed: bool
    says: str


def mean(means: Floats) -> Floats:
    """Of one column."""
    return means[:, 0]


def ratio(means: Floats) -> Floats:
    """The first column per unit of the second: a mean over those people who have one; NaN where nobody has."""
    found: Floats = np.divide(means[:, 0], means[:, 1], out=np.full(len(means), np.nan), where=means[:, 1] > 0)
    return found


def macro_f1(means: Floats) -> Floats:
    """Of shares of people: hits, named and true, a column per class each; classes that nobody has do not count.

    >>> macro_f1(np.array([[0.5, 0.0, 1.0, 0.0, 0.5, 0.5]])).round(4)  # one class always named: (2/3 + 0) / 2
    array([0.3333])
    """
    hits, named, true = np.split(means, 3, axis=1)
    there = (named + true) > 0
    f1 = np.divide(2 * hits, named + true, out=np.zeros_like(hits), where=there)
    counted: Floats = f1.sum(axis=1) / np.maximum(1, (true > 0).sum(axis=1))
    return counted


def calibration_error(means: Floats) -> Floats:
    """Expected calibration error: Σ over bins of the share of people in it × |confidence − hits|.

    Of two columns per bin: people's confidence, and their hits (0 outside of the bin).
    """
    confidence, hits = np.split(means, 2, axis=1)
    total: Floats = np.abs(confidence - hits).sum(axis=1)
    return total


def measures(test: Examples, said: Predicted, planner: Planner, past: pl.DataFrame, prices: pl.DataFrame,
             tuning: Tuning) -> list[Measure]:  # fmt: skip
    """Every figure of every model, of the people who bought, in the order of ``said.people``.

    Args:
        test: the day, and the first baskets after it.
        said: what the planner predicts for those people.
        planner: for how it names intents.
        past: first baskets that the planner learned from: ``category`` and ``intent``.
        prices: their items' log prices, ``_log`` and ``_weight``.
        tuning: ``planner.bracket`` is read.
    """
    order = pl.DataFrame({"person_key": said.people})
    true = order.join(test.after, on="person_key", how="left", maintain_order="left")
    known = order.join(test.states.people, on="person_key", how="left", maintain_order="left")
    return [
        *_categories(test, said, true, past),
        *_intents(said, planner, true, known, past),
        *_triggers(said, true, past),
        *_brackets(test, said, known, prices, tuning.planner.bracket),
    ]


def conversions(test: Examples, planner: Planner, learned: Sequence[Examples]) -> tuple[list[Measure], list[str]]:
    """Whether people buy at all within the horizon: of everybody who is known, and who they are, in order.

    The Brier score is held against the base rate of the past; the area under the curve against who was there last.
    """
    said = planner.predict(test.states)
    bought = set(test.after["person_key"])
    true = np.array([person in bought for person in said.people], dtype=float)
    past = [(one.met_again().height, one.states.people.height) for one in learned]
    rate = sum(buyers for buyers, _ in past) / max(1, sum(people for _, people in past))
    there = test.states.people.select(pl.min_horizontal("_since", "_look_since")).to_series()
    recency = -there.fill_null(_LONG_AGO).to_numpy()
    brier = [(PLANNER, said.buys), ("majority", np.full(len(true), rate))]
    made = [Measure("buys", "brier", model, ((chance - true) ** 2)[:, None], mean) for model, chance in brier]
    for model, score in ((PLANNER, said.buys), ("recency", recency)):
        order = np.unique(np.searchsorted(np.unique(np.quantile(score, _LEVELS)), score), return_inverse=True)[1]
        columns = np.zeros((len(true), 2 * (int(order.max()) + 1) if len(order) else 0))
        columns[np.arange(len(true)), 2 * order + true.astype(np.int64)] = 1.0
        made.append(Measure("buys", "auc", model, columns, area))
    return made, said.people


def area(means: Floats) -> Floats:
    """Area under the ROC curve; two columns per distinct score, ascending: people who did not buy, and who did.

    >>> area(np.array([[0.25, 0.0, 0.25, 0.25, 0.0, 0.25]])).round(4)  # of 4 pairs 3 in order, 1 tied
    array([0.875])
    """
    no, yes = means[:, 0::2], means[:, 1::2]
    below = np.cumsum(no, axis=1) - no
    pairs = no.sum(axis=1) * yes.sum(axis=1)
    won = (yes * (below + no / 2)).sum(axis=1)
    found: Floats = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
    return found


def figures(found: list[Measure], groups: Mapping[str, npt.NDArray[np.bool_]], replicates: int, seed: int,
            least: int) -> pl.DataFrame:  # fmt: skip
    """Table PLAN_FIGURES: of everybody (``all``) and of each group of at least ``least`` people.

    ``gain`` is what the planner has over a model, positive where it is better.
    """
    rows = []
    for group, inside in groups.items():
        people = int(inside.sum())
        if people < max(1, least):
            continue
        columns = np.concatenate([one.columns[inside] for one in found], axis=1)
        drawn = np.vstack([columns.mean(axis=0, keepdims=True), resampled_means(columns, replicates, seed)])
        widths = np.cumsum([0, *(one.columns.shape[1] for one in found)])
        values = [one.reduce(drawn[:, low:high]) for one, low, high in zip(found, widths, widths[1:], strict=False)]
        ours = {(m.target, m.metric): value for m, value in zip(found, values, strict=True) if m.model == PLANNER}
        for one, value in zip(found, values, strict=True):
            sign = -1.0 if one.metric in LOWER_IS_BETTER else 1.0
            gain = sign * (ours[one.target, one.metric] - value)
            (low, high), (gain_low, gain_high) = interval(value[1:, None]), interval(gain[1:, None])
            compared = one.model != PLANNER
            rows.append(
                {
                    "user_type": group, "target": one.target, "metric": one.metric, "model": one.model,
                    "value": float(value[0]), "low": float(low[0]), "high": float(high[0]),
                    "gain": float(gain[0]) if compared else None, "gain_low": float(gain_low[0]) if compared else None,
                    "gain_high": float(gain_high[0]) if compared else None, "people": people,
                }
            )  # fmt: skip
    return PLAN_FIGURES.conform(pl.DataFrame(rows, schema=PLAN_FIGURES.columns))


def judge(told: pl.DataFrame, tuning: Tuning) -> list[Judged]:
    """For each part of a plan, whether the trees beat its baselines: the interval of each gain lies above 0."""
    everybody = told.filter(pl.col("user_type") == "all")
    verdicts = []
    for part, wanted in MUST_BEAT.items():
        held = everybody.filter(pl.col("target") == part)
        people = int(held["people"].max() or 0)  # type: ignore[arg-type] # a column of whole numbers
        said, passed = [], people >= tuning.planner.people_at_least
        if not passed:
            said.append(f"{people} people tested, {tuning.planner.people_at_least} needed")
        for metric, baselines in wanted.items():
            for baseline in baselines:
                rows = held.filter(pl.col("metric") == metric, pl.col("model") == baseline).to_dicts()
                if rows:
                    row = rows[0]
                    better = row["gain_low"] > 0
                    passed &= better
                    verb = "beats" if better else "does not beat"
                    said.append(
                        f"{metric} {verb} {baseline} {row['value']:.4f} by {row['gain']:+.4f} "
                        f"[{row['gain_low']:+.4f}, {row['gain_high']:+.4f}]"
                    )
        verdicts.append(Judged(part, passed, f"{part}: " + "; ".join(said)))
    return verdicts


def _categories(test: Examples, said: Predicted, true: pl.DataFrame, past: pl.DataFrame) -> list[Measure]:
    wanted = true["category"].to_list()
    there = pl.col("category") != ""  # a plan names none either
    usual = past["category"].value_counts().filter(there).sort("count", "category", descending=[True, False])
    top = usual["category"].head(TOP + 1).to_list()
    share = dict(zip(usual["category"], (usual["count"] / max(1, past.height)).to_list(), strict=True))
    named = {PLANNER: [plan.top() for plan in said.plans()]}
    states = test.states.categories.filter(pl.col("person_key").is_in(said.people), there)
    last = dict(states.filter(pl.col("_last_main") > 0).select("person_key", "category").iter_rows())
    favourite = {
        key[0]: part["category"].to_list()
        for key, part in states.filter(pl.col("_bought") > 0)
        .sort("person_key", "_main_share", "_faded_share", "category", descending=[False, True, True, False])
        .group_by("person_key", maintain_order=True)
        .head(TOP)
        .partition_by("person_key", as_dict=True)
        .items()
    }
    named["majority"] = [[(name, share[name]) for name in top[:TOP]] for _ in wanted]
    named["last_category"] = [_first_then(([last[p]] if p in last else []), top, share) for p in said.people]
    named["favourite_category"] = [_first_then(favourite.get(p, []), top, share) for p in said.people]
    found = []
    for model, lists in named.items():
        hits = np.array(
            [[name == want for name, _ in chosen[:1]] or [False] for chosen, want in zip(lists, wanted, strict=True)]
        )
        within = [[want in [name for name, _ in chosen]] for chosen, want in zip(lists, wanted, strict=True)]
        found += [
            Measure("category", "accuracy_at_1", model, hits.astype(float), mean),
            Measure("category", "accuracy_at_3", model, np.array(within, dtype=float), mean),
        ]
        if model in (PLANNER, "majority"):  # the others name no probability
            confidence = np.array([chosen[0][1] if chosen else 0.0 for chosen in lists])
            found.append(
                Measure(
                    "category",
                    "calibration_error",
                    model,
                    _binned(confidence, hits[:, 0].astype(float)),
                    calibration_error,
                )
            )
    return found


def _first_then(own: list[str], top: list[str], share: Mapping[str, float]) -> list[tuple[str, float]]:
    names = list(dict.fromkeys([*own, *top]))[:TOP]
    return [(name, share.get(name, 0.0)) for name in names]


def _intents(
    said: Predicted, planner: Planner, true: pl.DataFrame, known: pl.DataFrame, past: pl.DataFrame
) -> list[Measure]:
    wanted = true["intent"].to_list()
    usual = past["intent"].value_counts().sort("count", "intent", descending=[True, False])["intent"].to_list()[0]
    last = [
        next((name for name in INTENTS if row[f"_last_{name}"] == 1.0), usual) for row in known.iter_rows(named=True)
    ]
    terms = planner.terms
    named = {
        PLANNER: named_intents(said.intents, terms.shares, terms.sharpness),
        "majority": [usual] * len(wanted),
        "last_category": last,
    }
    found = [f1_measure("intent", model, names, wanted, INTENTS) for model, names in named.items()]
    chances = np.exp(said.intents)
    chances /= chances.sum(axis=1, keepdims=True)
    likeliest = chances.argmax(axis=1)
    hit = np.array([INTENTS[place] == want for place, want in zip(likeliest, wanted, strict=True)], dtype=float)
    columns = _binned(chances.max(axis=1), hit)
    share = (past["intent"] == usual).mean() or 0.0
    constant = _binned(np.full(len(wanted), share), np.array([want == usual for want in wanted], dtype=float))
    return [
        *found,
        Measure("intent", "calibration_error", PLANNER, columns, calibration_error),
        Measure("intent", "calibration_error", "majority", constant, calibration_error),
    ]


def _triggers(said: Predicted, true: pl.DataFrame, past: pl.DataFrame) -> list[Measure]:
    wanted = true["trigger"].to_list()
    usual = past["trigger"].value_counts().sort("count", "trigger", descending=[True, False])["trigger"].to_list()[0]
    ours = [TRIGGERS[place] for place in said.triggers.argmax(axis=1)]
    named = {PLANNER: ours, "majority": [usual] * len(wanted)}
    return [f1_measure("trigger", model, names, wanted, TRIGGERS) for model, names in named.items()]


def _brackets(test: Examples, said: Predicted, known: pl.DataFrame, past: pl.DataFrame,
              quantiles: tuple[float, float, float]) -> list[Measure]:  # fmt: skip
    """Pinball loss in the currency's log (a tenth is about 10 %), and how far coverage is from what it says."""
    items = test.prices.filter(pl.col("person_key").is_in(said.people))
    if past.is_empty() or items.is_empty() or np.isnan(said.prices).any():
        return []
    own, weight = past["_log"].to_numpy(), past["_weight"].to_numpy()
    shop = np.array([_quantile(own, weight, q) for q in quantiles])
    middle = known["_price"].fill_null(float(shop[1])).fill_nan(float(shop[1])).to_numpy()
    around = (past["_log"] - past["_price"]).fill_nan(None)
    there = around.is_not_null().to_numpy()
    spread = (
        np.array([_quantile(around.to_numpy()[there], weight[there], q) for q in quantiles])
        if there.any()
        else shop - shop[1]
    )
    brackets = {
        PLANNER: said.prices,
        "majority": np.tile(shop, (len(middle), 1)),
        "user_median": middle[:, None] + spread,
    }
    places = {person: place for place, person in enumerate(said.people)}
    row = np.array([places[person] for person in items["person_key"]], dtype=np.int64)
    price, share = items["_log"].to_numpy(), items["_weight"].to_numpy()
    nominal = quantiles[2] - quantiles[0]
    found = []
    for model, bracket in brackets.items():
        here = bracket[row]
        beyond = price[:, None] - here
        q = np.array(quantiles)
        loss = np.maximum(q * beyond, (q - 1) * beyond).mean(axis=1)
        inside = (price >= here[:, 0]) & (price <= here[:, 2])
        lost, covered = (
            np.stack([np.bincount(row, share * part, len(places)) for part in (one, np.ones(len(one)))], 1).astype(
                float
            )
            for one in (loss, inside)
        )
        found += [
            Measure("bracket", "pinball_loss", model, lost, ratio),
            Measure("bracket", "coverage", model, covered, ratio),
            Measure("bracket", "coverage_error", model, covered, lambda means: np.abs(ratio(means) - nominal)),
        ]
    return found


def _quantile(values: Floats, weight: Floats, share: float) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    return float(values[order][min(len(values) - 1, int(np.searchsorted(reached, share * reached[-1])))])


def f1_measure(target: str, model: str, named: Sequence[str], wanted: Sequence[str], classes: Sequence[str]) -> Measure:
    """Macro-F1 of what a model names, a person each."""
    said, true = (
        np.array([[name == one for one in classes] for name in names], dtype=float) for names in (named, wanted)
    )
    return Measure(target, "macro_f1", model, np.concatenate([said * true, said, true], axis=1), macro_f1)


def _binned(confidence: Floats, hit: Floats) -> Floats:
    bins = np.minimum(_BINS - 1, (confidence * _BINS).astype(np.int64))
    inside = bins[:, None] == np.arange(_BINS)
    return np.concatenate([inside * confidence[:, None], inside * hit[:, None]], axis=1)
