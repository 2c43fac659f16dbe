"""The planner beside its baselines, on purchases, on a made shop whose truth is known, and on visits without baskets.

Run: ``python -m recsys_assets_tests.benchmarks.bench_planner [--retailrocket FOLDER] [--only …]``; FOLDER holds
``events.parquet`` (user, item, ts, event_type). Parts: ``purchases`` (Complete Journey), ``made`` (2,000 users, 1,000
products, 120 days) and ``visits`` (the folder's). What is tested knew nothing of the newest horizon; a gain is what the
planner has over a model, with its paired 95 % interval over people.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import precision_recall_fscore_support
from threadpoolctl import threadpool_limits

from recsys_assets.logic.copy_facts import INTENTS, TRIGGERS
from recsys_assets.logic.intents import companions, labelled
from recsys_assets.logic.simulated_shop import Scale
from recsys_assets.models.plan_evaluation import PLANNER, Measure, f1_measure, figures
from recsys_assets.models.plan_visits import visit_measures
from recsys_assets.models.planner import named_intents
from recsys_assets.models.planning import Learned, Trial, learn, states_of
from recsys_assets.tables import CATALOG, CLEAN_EVENTS
from recsys_assets.tuning import Tuning
from recsys_assets_tests.benchmarks.purchases import catalog, clean_events
from recsys_assets_tests.models.made_shop import MadeShop, filled, known_of, made_shop, shop_of

BY_TYPE = ("accuracy_at_1", "accuracy_at_3", "pinball_loss", "macro_f1", "brier", "auc")
PARTS = ("purchases", "made", "visits")
Flags = npt.NDArray[np.bool_]
Fits = list[tuple[Any, tuple[Any, ...], dict[str, Any]]]


@contextmanager
def recorded() -> Iterator[Fits]:
    """Every fit of trees inside of the block: the model as it was before, and what it was given."""
    fits: Fits = []
    kinds = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    originals = [kind.fit for kind in kinds]

    def noted(original: Any) -> Any:
        def fit(self: Any, *given: Any, **named: Any) -> Any:
            fits.append((clone(self), given, named))
            return original(self, *given, **named)

        return fit

    for kind, original in zip(kinds, originals, strict=True):
        kind.fit = noted(original)
    try:
        yield fits
    finally:
        for kind, original in zip(kinds, originals, strict=True):
            kind.fit = original


def learned_of(events: pl.DataFrame, products: pl.DataFrame, day: date, tuning: Tuning) -> Learned:
    """Learns, and prints how long that, planning everybody, and the trees alone take."""
    shopping, cycles = shop_of(events, products, day, tuning)
    with recorded() as fits:
        started = time.perf_counter()
        learned = learn(known_of(events, products, tuning), day, tuning)
        learning = time.perf_counter() - started
    started = time.perf_counter()
    with threadpool_limits(1):
        for model, given, named in fits:
            model.fit(*given, **named)
    bare = time.perf_counter() - started
    started = time.perf_counter()
    said = learned.planner.predict(states_of(shopping, cycles, day, tuning, companions(shopping, tuning)))
    planned = len(said.plans())
    planning = time.perf_counter() - started
    print(
        f"learned {learning:.1f} s, the same {len(fits)} fits of bare scikit-learn {bare:.1f} s "
        f"({learning / bare:.2f} times) · {planned:,} people planned in {planning:.1f} s"
    )
    print("made by: " + ", ".join(f"{part} {by}" for part, by in learned.planner.terms.made_by.items()), flush=True)
    return learned


def table(told: pl.DataFrame, what: str) -> None:
    """One row per figure and user type: the planner, then each baseline with the planner's gain over it."""
    print(f"\n| {what} | people | planner | beside it (gain of the planner) |\n|---|---|---|---|")
    told = told.filter((pl.col("user_type") == "all") | pl.col("metric").is_in(BY_TYPE))
    for (group, target, metric), part in told.group_by("user_type", "target", "metric", maintain_order=True):
        ours = part.filter(pl.col("model") == PLANNER).row(0, named=True)
        others = "; ".join(
            f"{row['model']} {row['value']:.3f} ({row['gain']:+.3f}, {row['gain_low']:+.3f} to {row['gain_high']:+.3f})"
            for row in part.filter(pl.col("model") != PLANNER).iter_rows(named=True)
        )
        span = f"{ours['value']:.3f} ({ours['low']:.3f} to {ours['high']:.3f})"
        print(f"| {group}: {target} {metric} | {ours['people']:,} | {span} | {others} |", flush=True)


def of_everybody(found: list[Measure], people: list[str], tuning: Tuning) -> pl.DataFrame:
    """Figures of all people together."""
    groups: dict[str, Flags] = {"all": np.ones(len(people), dtype=bool)}
    return figures(found, groups, tuning.evaluation.bootstrap, tuning.seed, tuning.k_anonymity)


def purchases(tuning: Tuning) -> None:
    """Complete Journey: baskets alone, no visits."""
    events = clean_events()
    day: date = events["event_date"].max()  # type: ignore[assignment] # a column of days
    shopping, _ = shop_of(events, catalog(events), day, tuning)
    print(f"\n# Complete Journey: {shopping.baskets.height:,} baskets up to {day}")
    table(learned_of(events, catalog(events), day, tuning).figures, "Complete Journey")


def made(tuning: Tuning) -> None:
    """The simulator's shop: the same, the weak labels beside the truth, and the terms of a visit."""
    scale = Scale(users=2_000, products=1_000, days=120, first_day=date(2026, 1, 1), seed=1)
    day = scale.first_day + timedelta(scale.days - 1)
    shop = made_shop(scale)
    shopping, cycles = shop.until(day, tuning)
    print(f"\n# Made shop: {shopping.baskets.height:,} baskets, {shopping.looks.height:,} looks up to {day}")
    learned = learned_of(shop.events, shop.catalog, day, tuning)
    table(learned.figures, "made shop")
    true = with_truth(labelled(shopping, companions(shopping, tuning), cycles, tuning), shop)
    agreement(true)
    if learned.tested is not None:
        against_truth(learned.tested, true, tuning)


def with_truth(baskets: pl.DataFrame, shop: MadeShop) -> pl.DataFrame:
    """Labelled baskets with ``_intent``, ``_trigger`` and ``_category`` as they are true of the order."""
    begun = (
        shop.events.filter(pl.col("event_type") == "purchase")
        .group_by("order_id", "user_key", "event_date")
        .agg(pl.col("event_time").dt.epoch("us").min().alias("_time"))
    )
    facts = shop.orders.select("order_id", _intent="intent", _trigger="trigger", _category="category")
    known = begun.join(facts, on="order_id").unique(["user_key", "_time"], keep="none").drop("order_id", "event_date")
    return baskets.with_columns(pl.col("person_key", "category").cast(pl.String)).join(
        known.rename({"user_key": "person_key"}), on=["person_key", "_time"], maintain_order="left"
    )


def agreement(true: pl.DataFrame) -> None:
    """How well the rules that label baskets find what the made orders were for."""
    print(
        f"\n| weak labels of {true.height:,} orders | orders | labelled so | precision | recall |\n"
        "|---|---|---|---|---|"
    )
    for name, classes in (("intent", INTENTS), ("trigger", TRIGGERS)):
        wanted, said = true[f"_{name}"].to_numpy(), true[name].to_numpy()
        told = precision_recall_fscore_support(wanted, said, labels=list(classes), zero_division=0)
        for label, precision, recall, _, orders in zip(classes, *told, strict=True):
            print(f"| {label} | {orders:,} | {(said == label).sum():,} | {precision:.3f} | {recall:.3f} |")
        usual, most = true[f"_{name}"].value_counts(sort=True).row(0)
        print(
            f"| {name}: accuracy {(wanted == said).mean():.3f}, macro-F1 {np.mean(told[2]):.3f}; "
            f"always {usual} {most / true.height:.3f} | {true.height:,} | | | |"
        )
    same = int((true["category"] == true["_category"]).sum()) / true.height
    print(f"| main category: the true one of {same:.3f} | {true.height:,} | | | |", flush=True)


def against_truth(tested: Trial, true: pl.DataFrame, tuning: Tuning) -> None:
    """Intents held against what the orders were really for, and the planner with and without the visit."""
    test, planner = tested.test, tested.planner
    facts = test.after.join(true.select("person_key", "_time", "_intent"), on=["person_key", "_time"])
    intents = dict(facts.select("person_key", "_intent").iter_rows())
    said = planner.predict(test.states, facts.select("person_key"))
    wanted = [intents[person] for person in said.people]
    earlier = true.filter(pl.col("event_date") <= test.states.as_of)
    usual = earlier["_intent"].value_counts().sort("count", "_intent", descending=[True, False])["_intent"][0]
    named = {
        PLANNER: named_intents(said.intents, planner.terms.shares, planner.terms.sharpness),
        "weak labels": [dict(facts.select("person_key", "intent").iter_rows())[person] for person in said.people],
        f"always {usual}": [usual] * len(wanted),
    }
    found = [f1_measure("intent", model, names, wanted, INTENTS) for model, names in named.items()]
    table(of_everybody(found, said.people, tuning), "made shop, true intents")
    for what, truth in (("weak labels", None), ("true intents", intents)):
        measured, people = visit_measures(test, planner, tested.new, truth)
        table(of_everybody(measured, people, tuning), f"made shop, with the visit, {what}")


def visits(folder: Path, tuning: Tuning) -> None:
    """RetailRocket: who buys at all within the horizon. No catalogue, no prices: nothing else can be said."""
    sent = pl.read_parquet(folder / "events.parquet").filter(pl.col("ts").is_not_null())
    events = filled(
        CLEAN_EVENTS,
        sent.with_row_index("_row").select(
            pl.col("_row").cast(pl.String).alias("event_id"),
            "event_type",
            pl.from_epoch(pl.col("ts").cast(pl.Int64), "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC")
            .alias("event_time"),
            pl.from_epoch(pl.col("ts").cast(pl.Int64), "s").dt.date().alias("event_date"),
            pl.col("user").cast(pl.String).alias("user_key"),
            pl.col("item").cast(pl.String).alias("product_id"),
        ),
    )  # fmt: skip
    products = filled(CATALOG, events.select("product_id").unique().sort("product_id"))
    day: date = events["event_date"].max()  # type: ignore[assignment] # a column of days
    shopping, _ = shop_of(events, products, day, tuning)
    print(f"\n# RetailRocket: {shopping.baskets.height:,} baskets, {shopping.looks.height:,} looks up to {day}")
    print("Its people were chosen for having bought, so who has not yet will: only those who have are a fair test.")
    told = learned_of(events, products, day, tuning).figures
    table(told.filter(pl.col("target") == "buys"), "RetailRocket, buys within the horizon")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--retailrocket", type=Path, help="folder with events.parquet")
    parser.add_argument("--only", choices=PARTS, nargs="*", default=list(PARTS), help="parts; default: all")
    given = parser.parse_args()
    tuning = Tuning()
    if "purchases" in given.only:
        purchases(tuning)
    if "made" in given.only:
        made(tuning)
    if "visits" in given.only and given.retailrocket is not None:
        visits(given.retailrocket, tuning)


if __name__ == "__main__":
    main()
