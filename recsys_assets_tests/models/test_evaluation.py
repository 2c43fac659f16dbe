from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from recsys_assets.logic.choices import Choices
from recsys_assets.models.evaluation import Evaluation, evaluate
from recsys_assets.tables import COMPARISONS, EVALUATION, SLICES
from recsys_assets.tuning import Als, Repeats, Tuning
from recsys_assets.tuning import Evaluation as Protocol
from recsys_assets_tests.models.builders import always, event, events

AS_OF = date(2024, 6, 30)
TUNING = Tuning(
    als=Als(factors=4, iterations=3, regularizations=(0.1, 1.0)),
    evaluation=Protocol(holdout_days=7, ks=(1, 5), bootstrap=100),
)


def shop(*, repeats: bool, people: int = 30, products: int = 16) -> pl.DataFrame:
    """Weekly purchases over 12 weeks: the same three products again and again, or ever new ones of one's own parity."""
    random = np.random.default_rng(5)
    made = []
    for person in range(people):
        own = random.permutation(np.arange(person % 2, products, 2))
        for week in range(8):
            day = AS_OF - timedelta(days=7 * (7 - week))
            chosen = own[:3] if repeats else own[week : week + 1]
            made += [event(f"p{person:02}", f"i{product:02}", day, order=f"{person} {week}") for product in chosen]
    return events(*made)


PRODUCTS = [f"i{product:02}" for product in range(16)]


@pytest.fixture(scope="module")
def repeating() -> Evaluation:
    return evaluate(shop(repeats=True), AS_OF, always(PRODUCTS), TUNING)


@pytest.fixture(scope="module")
def exploring() -> Evaluation:
    return evaluate(shop(repeats=False), AS_OF, always(PRODUCTS), TUNING)


def value(made: Evaluation, model: str, target: str, metric: str = "ndcg", k: int = 5, split: str = "test") -> float:
    found = made.metrics.filter(split=split, model=model, target=target, metric=metric, k=k)
    assert found.height == 1
    return float(found["value"][0])


def test_a_shop_of_repeats_gets_them(repeating: Evaluation) -> None:
    assert repeating.choices.repeats_allowed
    assert repeating.choices.repeat_weight > 0
    assert value(repeating, "published", "all") == pytest.approx(1.0)
    assert value(repeating, "published", "all") >= value(repeating, "personal", "all")


def test_a_shop_of_novelties_gets_none(exploring: Evaluation) -> None:
    assert not exploring.choices.repeats_allowed
    assert value(exploring, "personal", "all") == 0
    assert value(exploring, "published", "all") == value(exploring, "blend", "new")


def test_taste_beats_popularity_and_both_lie_between_floor_and_ceiling(exploring: Evaluation) -> None:
    assert value(exploring, "blend", "new") > value(exploring, "popularity", "new")
    for model in ("popularity", "als", "item_cf", "blend", "published"):
        assert value(exploring, model, "new") <= value(exploring, "ceiling", "new")


def test_the_shop_may_overrule_validation() -> None:
    for allowed, wanted in (("always", True), ("never", False)):
        tuning = TUNING.model_copy(update={"repeats": Repeats.model_validate({"allowed": allowed})})
        assert evaluate(shop(repeats=not wanted), AS_OF, always(PRODUCTS), tuning).choices.repeats_allowed is wanted


def test_tables_have_their_columns_and_unique_rows(repeating: Evaluation) -> None:
    whole = ["coverage", "calibration_error", "brier"]  # of everybody at once: no interval
    measured = repeating.metrics.filter(pl.col("metric").is_in(whole).not_())
    assert set(whole) <= set(repeating.metrics.filter(pl.col("split") == "test")["metric"])
    assert repeating.metrics.height > measured.height
    tables = ((EVALUATION, measured), (COMPARISONS, repeating.comparisons), (SLICES, repeating.slices))
    for table, frame in tables:
        assert frame.equals(table.conform(frame))
        assert not frame.select(table.grain).is_duplicated().any()
        assert frame.null_count().sum_horizontal()[0] == 0
        assert set(frame["split"]) == ({"test"} if table is SLICES else {"validation", "test"})
    assert (measured["low"] <= measured["value"] + 1e-9).all()
    assert (measured["high"] >= measured["value"] - 1e-9).all()


def test_differences_are_those_of_the_figures(repeating: Evaluation) -> None:
    row = repeating.comparisons.filter(
        split="test", model="published", baseline="popularity", target="all", metric="recall", k=5
    )
    expected = value(repeating, "published", "all", "recall") - value(repeating, "popularity", "all", "recall")
    assert row["difference"][0] == pytest.approx(expected)


def test_nothing_that_lies_in_the_test_window_can_change_what_is_chosen() -> None:
    """Promise 6: another last week, the same choices and validation figures."""
    made = shop(repeats=True)
    cut = AS_OF - timedelta(days=7)
    other = made.filter(pl.col("event_date") <= cut)
    late = events(*(event(f"p{person:02}", "i15", AS_OF) for person in range(30)))
    one, two = (evaluate(frame, AS_OF, always(PRODUCTS), TUNING) for frame in (made, pl.concat([other, late])))
    assert one.choices == two.choices
    assert one.metrics.filter(split="validation").equals(two.metrics.filter(split="validation"))
    assert not one.metrics.filter(split="test").equals(two.metrics.filter(split="test"))


def test_days_after_the_as_of_day_are_not_looked_at(repeating: Evaluation) -> None:
    future = events(event("p00", "i00", AS_OF + timedelta(days=1)))
    made = evaluate(pl.concat([shop(repeats=True), future]), AS_OF, always(PRODUCTS), TUNING)
    assert made.metrics.equals(repeating.metrics)


def test_threads_and_order_of_rows_change_nothing(exploring: Evaluation) -> None:
    shuffled = shop(repeats=False).sample(fraction=1, shuffle=True, seed=9)
    for threads in (1, 2):
        made = evaluate(shuffled.lazy(), AS_OF, always(list(reversed(PRODUCTS))), TUNING, threads=threads)
        assert made.metrics.equals(exploring.metrics)
        assert made.choices == exploring.choices


def test_products_that_may_not_be_listed_do_not_count() -> None:
    made = evaluate(shop(repeats=True), AS_OF, always(PRODUCTS[:8]), TUNING)
    assert made.metrics["people"].max() is not None
    assert value(made, "ceiling", "all", "recall") <= 1
    assert value(made, "published", "all") == pytest.approx(1.0)


def test_a_purchase_of_a_product_never_seen_lowers_the_ceiling() -> None:
    late = events(*(event(f"p{person:02}", "unseen", AS_OF) for person in range(30)))
    made = evaluate(pl.concat([shop(repeats=True), late]), AS_OF, always([*PRODUCTS, "unseen"]), TUNING)
    assert value(made, "ceiling", "all", "recall") == pytest.approx(3 / 4)


def test_a_shop_too_young_for_a_holdout_gets_no_figures_and_defaults() -> None:
    made = evaluate(events(event("p", "i00", AS_OF)), AS_OF, always(PRODUCTS), TUNING)
    assert made.metrics.is_empty()
    assert made.comparisons.is_empty()
    assert made.choices == Choices.unchosen(TUNING)


def test_at_most_so_many_people_are_drawn() -> None:
    few = TUNING.model_copy(update={"evaluation": TUNING.evaluation.model_copy(update={"people": 7})})
    assert evaluate(shop(repeats=True), AS_OF, always(PRODUCTS), few).metrics["people"].max() == 7


def test_confidence_never_falls_with_the_score(repeating: Evaluation) -> None:
    scores, shares = repeating.choices.repeat_calibration
    assert len(scores) == len(shares) > 0
    assert list(scores) == sorted(scores)
    assert list(shares) == sorted(shares)
