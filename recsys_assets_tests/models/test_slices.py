"""Figures by kind of person, older windows, and the champion beside the challenger."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from recsys_assets.errors import NotFoundError
from recsys_assets.logic.choices import Choices, Kind
from recsys_assets.logic.split import Window
from recsys_assets.models.evaluation import Evaluation, evaluate
from recsys_assets.models.holdout import Holdout, holdout
from recsys_assets.models.recipe import Recipe
from recsys_assets.models.slices import beginners, groups
from recsys_assets.tables import MICROS
from recsys_assets.tuning import Als, Blending, ModelWeights, Tuning
from recsys_assets.tuning import Evaluation as Protocol
from recsys_assets_tests.models.builders import always, catalog, event, events

AS_OF = date(2024, 6, 30)
WINDOW = Window(AS_OF - timedelta(7), AS_OF)
PRODUCTS = [f"i{product:02}" for product in range(24)]
CATALOG = catalog({product: f"Kind {place % 2}" for place, product in enumerate(PRODUCTS)})
TUNING = Tuning(
    als=Als(factors=4, iterations=3, regularizations=()),
    blend=Blending(kind="default"),
    evaluation=Protocol(holdout_days=7, ks=(1, 5), bootstrap=100, beginners=100),
)
WEIGHTS = {"all": {"als": 0.6}}
POPULAR_ONLY = TUNING.model_copy(update={"model_weights": ModelWeights(als=0, item_cf=0, popularity=1)})


def shop(people: int = 60) -> pl.DataFrame:
    """People of two tastes, each a new product of their own half every week; everybody's first ones are the same."""
    random = np.random.default_rng(7)
    made = []
    for person in range(people):
        own = random.permutation(np.arange(person % 2, len(PRODUCTS), 2))
        for week in range(9):
            day = AS_OF - timedelta(7 * (8 - week))
            made.append(event(f"p{person:02}", PRODUCTS[own[week]], day, order=f"{person} {week}"))
    return events(*made)


@pytest.fixture(scope="module")
def made() -> Evaluation:
    champion = Recipe(POPULAR_ONLY, Choices.unchosen(POPULAR_ONLY))
    return evaluate(shop(), AS_OF, always(PRODUCTS), TUNING, products=lambda _: CATALOG, champion=champion)


def after(made: Evaluation, count: int) -> dict[str, float]:
    rows = made.slices.filter(slice="after", group=str(count), model="published", target="new", metric="ndcg")
    assert rows.height == 1
    return rows.row(0, named=True)


def test_who_is_known_by_three_interactions_gains_over_popularity_and_a_stranger_gets_it(made: Evaluation) -> None:
    assert after(made, 0)["gain"] == 0
    assert after(made, 3)["people"] == 60
    assert after(made, 3)["gain_low"] > 0
    assert after(made, 3)["gain"] >= after(made, 1)["gain"]


def window(frame: pl.DataFrame) -> Holdout:
    held = holdout(frame, WINDOW, PRODUCTS, TUNING)
    assert held is not None
    return held


def test_a_beginner_is_known_by_the_first_interactions_alone_and_judged_by_all_purchases_of_the_window() -> None:
    early = [
        event("p", "i00", AS_OF - timedelta(30)),
        event("p", "i01", AS_OF - timedelta(29), "view"),
        event("p", "i02", AS_OF - timedelta(28), "search"),  # weighs nothing: no interaction
        event("p", "i02", AS_OF - timedelta(27)),
        event("p", "i03", AS_OF - timedelta(20)),
    ]
    frame = events(*early, event("p", "i03", AS_OF), event("p", "i00", AS_OF), event("p", "i04", AS_OF))
    held = window(frame)
    known = {0: set(), 1: {"i00"}, 2: {"i00", "i01"}, 3: {"i00", "i01", "i02"}, 4: {"i00", "i01", "i02", "i03"}}
    for count, products in known.items():
        then = beginners(held, frame, WINDOW, TUNING, count)
        assert {then.history.product_ids[column] for column in then.history.weights.indices} == products
        assert len(then.history.steps.columns) == count
        assert then.relevant["all"].tolist() == [3]
        assert then.relevant["repeat"].tolist() == [len(products & {"i00", "i03", "i04"})]


def test_what_came_first_in_one_second_does_not_hang_on_ids_of_events() -> None:
    frame = events(*(event("p", product, AS_OF - timedelta(20)) for product in PRODUCTS[:4]), event("p", "i09", AS_OF))
    assert frame.filter(pl.col("event_date") < AS_OF)["event_time"].n_unique() == 1
    # As another secret would call them.
    other = frame.with_columns(event_id=pl.Series([f"e{9 - place}" for place in range(frame.height)]))
    for one in (frame, other):
        then = beginners(window(one), one, WINDOW, TUNING, 2)
        assert {then.history.product_ids[column] for column in then.history.weights.indices} == {"i00", "i01"}


def test_beginners_are_drawn_up_to_a_number() -> None:
    few = TUNING.model_copy(update={"evaluation": TUNING.evaluation.model_copy(update={"beginners": 5})})
    held = window(shop())
    then = beginners(held, shop(), WINDOW, few, 1)
    assert len(then.history.person_keys) == then.bought.shape[0] == len(then.relevant["new"]) == 5
    assert set(then.history.person_keys) < set(held.history.person_keys)


def test_groups_are_those_of_the_cut_off() -> None:
    cut = WINDOW.cutoff
    past = [event("loyal", f"i{n % 4:02}", cut - timedelta(n), order=str(n), price=9 * MICROS) for n in range(20)]
    past += [event("sparse", "i00", cut, order="x")]
    late = [event("sparse", f"i{n:02}", AS_OF, order=f"late {n}", price=99 * MICROS) for n in range(9)]
    frame = events(*past, *late, event("loyal", "i05", AS_OF), event("stranger", "i00", AS_OF))
    held = window(frame)
    assert held.history.person_keys.tolist() == ["loyal", "sparse", "stranger"]
    found = {name: group.tolist() for name, group in groups(held, frame, WINDOW, TUNING).items()}
    assert found == {
        "history": ["more", "1", "0"],
        "user_type": ["loyal", "sparse", "new"],
        "spending_segment": ["average", "small", ""],  # what the window brought in does not count
    }


def test_slices_of_one_kind_hold_everybody_once(made: Evaluation) -> None:
    rows = made.slices.filter(model="published", target="all", metric="ndcg")
    everybody = made.metrics.filter(split="test", model="published", target="all", metric="ndcg", k=5)
    for name in ("history", "user_type", "spending_segment"):
        kind = rows.filter(slice=name)
        assert kind["people"].sum() == everybody["people"][0]
        assert np.average(kind["value"], weights=kind["people"]) == pytest.approx(everybody["value"][0])


def compared(made: Evaluation, target: str = "all") -> dict[str, float]:
    rows = made.comparisons.filter(
        split="test", model="published", baseline="champion", target=target, metric="ndcg", k=5
    )
    assert rows.height == 1
    return rows.row(0, named=True)


def test_a_challenger_that_finds_tastes_is_better_than_a_champion_that_does_not(made: Evaluation) -> None:
    assert compared(made)["low"] > 0
    rows = made.metrics.filter(split="test", target="new", metric="ndcg", k=5)
    value = dict(rows.select("model", "value").iter_rows())
    assert value["champion"] == value["popularity"]
    assert compared(made, "new")["difference"] == pytest.approx(value["published"] - value["champion"])


def test_everybody_the_same_list_is_worse_than_a_champion_with_tastes() -> None:
    champion = Recipe(TUNING, Choices.unchosen(TUNING))
    made = evaluate(shop(), AS_OF, always(PRODUCTS), POPULAR_ONLY, champion=champion)
    assert compared(made)["high"] < 0


def test_a_fixed_recipe_is_compared_beside_the_live_one() -> None:
    """The live recipe is today's, the fixed one has tastes."""
    live, fixed = Recipe(POPULAR_ONLY, Choices.unchosen(TUNING)), Recipe(TUNING, Choices.unchosen(TUNING))
    made = evaluate(shop(), AS_OF, always(PRODUCTS), POPULAR_ONLY, champion=live, reference=fixed)
    alone = evaluate(shop(), AS_OF, always(PRODUCTS), POPULAR_ONLY, champion=fixed)
    about = {"split": "test", "model": "published", "target": "all", "metric": "ndcg", "k": 5}
    by_name = made.comparisons.filter(**about)
    assert by_name.filter(baseline="reference")["high"][0] < 0
    figures = ["difference", "low", "high"]
    of = alone.comparisons.filter(**about).filter(baseline="champion").select(figures)
    assert by_name.filter(baseline="reference").select(figures).equals(of)
    assert by_name.filter(baseline="champion")["difference"][0] > by_name.filter(baseline="reference")["difference"][0]


def test_the_same_recipe_differs_by_nothing(made: Evaluation) -> None:
    again = evaluate(
        shop(), AS_OF, always(PRODUCTS), TUNING, products=lambda _: CATALOG, champion=Recipe(TUNING, made.choices)
    )
    assert [compared(again)[name] for name in ("difference", "low", "high")] == [0, 0, 0]
    assert again.metrics.filter(model="published").equals(made.metrics.filter(model="published"))


@pytest.mark.parametrize(
    ("kind", "weights", "same"),
    [("default", {"all": {"als": 0.3}}, True), ("weights", {"all": {"als": 0.3}}, False), ("weights", WEIGHTS, True)],
)
def test_what_was_tried_and_not_taken_makes_no_other_recipe(
    kind: Kind, weights: dict[str, dict[str, float]], same: bool
) -> None:
    one = Choices(False, 1.0, 0.1, kind=kind, weights=WEIGHTS, trees="old", figures={"als": 0.1})
    other = replace(one, weights=weights, trees="new", figures={"als": 0.2}, new_calibration=((0.1,), (0.2,)))
    assert Recipe(TUNING, one).makes_the_same_lists(Recipe(TUNING, other)) is same
    assert not Recipe(TUNING, one).makes_the_same_lists(Recipe(POPULAR_ONLY, one))


def test_a_champion_of_chosen_weights_is_made_of_them() -> None:
    choices = Choices(False, 1.0, TUNING.als.regularization, kind="weights", weights={"all": {"popularity": 1.0}})
    found = evaluate(shop(), AS_OF, always(PRODUCTS), TUNING, champion=Recipe(TUNING, choices))
    rows = found.metrics.filter(split="test", target="new", metric="ndcg", k=5)
    value = dict(rows.select("model", "value").iter_rows())
    assert value["champion"] == value["popularity"] < value["published"]


def test_a_champion_is_made_by_its_own_days_of_history() -> None:
    short = TUNING.model_copy(update={"window_days": 20})
    then = evaluate(shop(), AS_OF, always(PRODUCTS), TUNING)
    now = evaluate(shop(), AS_OF, always(PRODUCTS), short, champion=Recipe(TUNING, then.choices))

    def figures(made: Evaluation, model: str) -> list[float]:
        rows = made.metrics.filter(split="test", target="all", metric="ndcg", model=model).sort("k")
        return rows["value"].to_list()

    assert figures(now, "champion") == figures(then, "published") != figures(now, "published")
    assert now.doubts == ()
    new = now.metrics.filter(split="test", target="new", metric="recall", model="champion", k=5)
    assert 0 < new["value"][0] <= 1


def test_an_older_window_is_measured_by_knobs_of_its_own() -> None:
    both = TUNING.model_copy(update={"evaluation": TUNING.evaluation.model_copy(update={"origins": 2})})
    asked = []

    def older(day: date) -> Tuning:
        asked.append(day)
        return POPULAR_ONLY

    rolling = evaluate(shop(), AS_OF, always(PRODUCTS), both, older=older)
    before = evaluate(shop(), AS_OF - timedelta(7), always(PRODUCTS), POPULAR_ONLY)
    newest = evaluate(shop(), AS_OF, always(PRODUCTS), TUNING)
    assert asked == [AS_OF - timedelta(7)]
    assert (
        rolling.metrics.filter(split="test-1").drop("split").equals(before.metrics.filter(split="test").drop("split"))
    )
    assert rolling.metrics.filter(split="test").equals(newest.metrics.filter(split="test"))


def test_a_recipe_travels_as_text_and_one_of_another_version_is_named() -> None:
    recipe = Recipe(POPULAR_ONLY, Choices(True, 2.0, 0.1, new_calibration=((0.1, 0.2), (0.0, 0.5))))
    assert Recipe.from_text(recipe.to_text()) == recipe
    with pytest.raises(NotFoundError, match="the recipe of an older model is not one of this version's"):
        Recipe.from_text(recipe.to_text().replace('"window_days"', '"window_of_old"'))


def test_an_older_window_is_measured_as_if_it_were_the_newest(made: Evaluation) -> None:
    both = TUNING.model_copy(update={"evaluation": TUNING.evaluation.model_copy(update={"origins": 2})})
    rolling = evaluate(shop(), AS_OF, always(PRODUCTS), both)
    before = evaluate(shop(), AS_OF - timedelta(7), always(PRODUCTS), TUNING)
    older = rolling.metrics.filter(split="test-1").drop("split")
    assert older.height > 0
    assert older.equals(before.metrics.filter(split="test").drop("split"))
    assert rolling.slices.filter(split="test-1").drop("split").equals(before.slices.drop("split"))
    assert rolling.choices == made.choices
    assert set(rolling.metrics["split"]) == {"validation", "test", "test-1"}


def test_lists_are_measured_apart_from_their_hits(made: Evaluation) -> None:
    new = made.metrics.filter(split="test", target="new")
    value = {(model, metric): figure for model, metric, figure in new.select("model", "metric", "value").iter_rows()}
    tiers = [value["published", f"tier_{name}"] for name in ("budget", "mid", "premium")]
    assert sum(tiers) == pytest.approx(1)  # every product has a price
    assert value["blend", "auc"] > value["popularity", "auc"]
    assert value["published", "coverage"] >= value["popularity", "coverage"]
    assert value["popularity", "novelty"] < value["random", "novelty"]
    assert value["published", "diversity"] < value["random", "diversity"]  # each taste is one category
    assert ("ceiling", "novelty") not in value
