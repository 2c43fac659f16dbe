"""From a shop's past to its planner: what is tested knew nothing of the newest days, and verdicts decide who plans."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets.logic.copy_facts import INTENTS
from recsys_assets.logic.identities import identities
from recsys_assets.logic.intents import companions
from recsys_assets.logic.plan_states import States
from recsys_assets.logic.plans import Plan, Visit
from recsys_assets.logic.simulated_shop import Scale
from recsys_assets.models import planning
from recsys_assets.models.leaks import state_leaks
from recsys_assets.models.plan_evaluation import MUST_BEAT, Judged
from recsys_assets.models.plan_visits import WITHOUT, visit_measures
from recsys_assets.models.planner import FILE, Examples, Planner
from recsys_assets.models.planning import Known, Learned, ShopPlanner, Trial, learn, states_by, states_of
from recsys_assets.tables import CLEAN_EVENTS, IDENTITIES, PLAN_FIGURES
from recsys_assets.tuning import Evaluation, Tuning
from recsys_assets.tuning import Planner as Knobs
from recsys_assets_tests.models.made_shop import MadeShop, known_of, made_shop, shop_of

DAYS, HORIZON = 84, 14
FIRST = date(2026, 1, 1)
LAST = FIRST + timedelta(DAYS - 1)
TUNING = Tuning(evaluation=Evaluation(bootstrap=100), planner=Knobs(horizon_days=HORIZON, origins=4))
QUICK = Tuning(evaluation=Evaluation(bootstrap=100), planner=Knobs(horizon_days=HORIZON, origins=2, people=100))


@pytest.fixture(scope="module")
def made() -> MadeShop:
    return made_shop(Scale(users=240, products=300, days=DAYS, first_day=FIRST, seed=3, visits_per_month=10))


def learned_of(events: pl.DataFrame, catalog: pl.DataFrame, day: date = LAST, tuning: Tuning = TUNING) -> Learned:
    return learn(known_of(events, catalog, tuning), day, tuning)


def trial_of(learned: Learned) -> Trial:
    assert learned.tested is not None
    return learned.tested


def plans_of(learned: Learned, made: MadeShop) -> list[Plan]:
    shopping, cycles = made.until(LAST, TUNING)
    return learned.planner.predict(states_of(shopping, cycles, LAST, TUNING, companions(shopping, TUNING))).plans()


@pytest.fixture(scope="module")
def learned(made: MadeShop) -> Learned:
    return learned_of(made.events, made.catalog)


def figure(learned: Learned, target: str, metric: str, model: str) -> dict[str, float]:
    return learned.figures.row(
        by_predicate=(pl.col("user_type") == "all")
        & (pl.col("target") == target)
        & (pl.col("metric") == metric)
        & (pl.col("model") == model),
        named=True,
    )


def test_trees_beat_the_usual_where_there_is_something_to_learn(learned: Learned) -> None:
    assert learned.planner.terms.made_by["category"] == "trees"
    for baseline in ("majority", "last_category"):
        assert figure(learned, "category", "accuracy_at_3", baseline)["gain_low"] > 0
    ours = figure(learned, "bracket", "coverage", "planner")["value"]
    assert ours == pytest.approx(0.8, abs=0.1)


def test_every_part_is_judged_and_made_by_whom_it_may(learned: Learned) -> None:
    assert [one.part for one in learned.verdicts] == list(MUST_BEAT)
    assert dict(learned.planner.terms.made_by) == {
        one.part: "trees" if one.passed else "usual" for one in learned.verdicts
    }
    assert learned.figures.select(PLAN_FIGURES.grain).is_duplicated().sum() == 0
    assert (
        learned.figures["value"].is_finite().all()
        or learned.figures.filter(pl.col("metric") != "auc")["value"].is_finite().all()
    )


def test_plans_of_everybody_are_whole(learned: Learned, made: MadeShop) -> None:
    plans = plans_of(learned, made)
    assert len(plans) > 250
    for plan in plans:
        assert 1 <= len(plan.top()) <= 3
        assert plan.bracket is not None
        assert plan.bracket[0] <= plan.bracket[1] <= plan.bracket[2]
        assert 0 <= (plan.purchase_probability or 0) <= 1
        assert np.isfinite([*plan.intents, *plan.triggers]).all()


def scrambled(events: pl.DataFrame, after: date) -> pl.DataFrame:
    """What followed a day, with people and products dealt out anew; who did anything at all stays."""
    dice = np.random.default_rng(1)
    then, later = events.filter(pl.col("event_date") <= after), events.filter(pl.col("event_date") > after)
    deal = [later[name].gather(dice.permutation(later.height)) for name in ("product_id", "user_key")]
    return pl.concat([then, CLEAN_EVENTS.conform(later.with_columns(deal))])


def test_what_is_tested_knew_nothing_of_the_newest_horizon(learned: Learned, made: MadeShop) -> None:
    cutoff = LAST - timedelta(HORIZON)
    other = trial_of(learned_of(scrambled(made.events, cutoff), made.catalog))
    ours = trial_of(learned)
    assert ours.test.states.as_of == cutoff
    assert other.planner.terms == ours.planner.terms
    assert other.planner.predict(other.test.states).plans() == ours.planner.predict(ours.test.states).plans()
    assert not other.test.after.equals(ours.test.after)


def logged_in_late(made: MadeShop) -> pl.DataFrame:
    """Nobody logs in to look around before the newest horizon: until then, looks are those of cookies alone."""
    early = (pl.col("event_date") <= LAST - timedelta(HORIZON)) & (pl.col("event_type") != "purchase")
    cookie = pl.format("cookie {}", "user_key")
    return made.events.with_columns(
        cookie.alias("anon_key"), pl.when(~early | pl.col("user_key").is_null()).then("user_key").alias("user_key")
    ).with_columns(pl.when(pl.col("event_type") != "purchase").then("anon_key").alias("anon_key"))


@pytest.mark.parametrize("planted", [False, True])
def test_states_know_no_later_link(made: MadeShop, planted: bool) -> None:
    sent = logged_in_late(made)

    def known(day: date, events: pl.DataFrame, by: date) -> Known:
        def links(given: pl.DataFrame, _: date) -> pl.DataFrame:
            return identities(given, by, QUICK.window_days)

        return Known.by(day, events, links, (), made.catalog, made.catalog, QUICK)

    learned = learn(lambda day: known(day, sent, LAST if planted else day), LAST, QUICK)
    told = state_leaks(
        learned.states,
        lambda day: states_by(known(day, sent.filter(pl.col("event_date") <= day), day), day, QUICK),
    )
    assert len(learned.states) == 2
    if planted:
        assert len(told) == 2
        assert told[1].startswith(f"the planner's states of {LAST - timedelta(HORIZON)} (")
        assert "_looked" in told[1]
    else:
        assert told == []


def test_what_a_later_catalog_says_changes_no_state(made: MadeShop) -> None:
    """Twice the price, another category, and what is sold only later: the past stays as it was."""
    day = LAST - timedelta(HORIZON)
    later = made.catalog.with_columns(pl.col("unit_price_micros") * 2, pl.lit("All > Else").alias("category"))
    first = made.events.group_by("product_id").agg(pl.col("event_date").min())
    new = first.filter(pl.col("event_date") > day)["product_id"]
    then = made.catalog.filter(~pl.col("product_id").is_in(new.implode()))

    def states_with(after: pl.DataFrame, events: pl.DataFrame) -> States:
        known = Known.by(day, events, lambda given, _: IDENTITIES.empty(), (), then, after, QUICK)
        return states_by(known, day, QUICK)

    other = states_with(later, made.events)
    same = states_with(then, made.events.filter(pl.col("event_date") <= day))
    assert other.people.equals(same.people)
    assert other.categories.equals(same.categories)


def test_horizons_that_are_learned_from_end_where_the_newest_begins(
    made: MadeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[list[date]] = []
    original = Planner.fit

    def noted(self: Planner, examples: list[Examples]) -> Planner:
        fitted.append([one.states.as_of for one in examples])
        return original(self, examples)

    monkeypatch.setattr(Planner, "fit", noted)
    tuning = QUICK.model_copy(update={"planner": Knobs(horizon_days=HORIZON, origins=3, people=100)})
    learned_of(made.events, made.catalog, tuning=tuning)
    back = [LAST - timedelta(HORIZON * times) for times in (3, 2, 1)]
    assert fitted == [back[:2], back]


def test_nothing_after_the_day_is_read_even_where_it_is_given(learned: Learned, made: MadeShop) -> None:
    day = LAST - timedelta(HORIZON)
    then = learned_of(made.events.filter(pl.col("event_date") <= day), made.catalog, day, QUICK)
    now = learned_of(made.events, made.catalog, day, QUICK)
    assert now.figures.equals(then.figures)
    assert now.planner.terms == then.planner.terms
    assert now.planner.usual == then.planner.usual
    assert now.planner.usual != learned.planner.usual


def test_threads_and_the_order_of_rows_change_nothing(learned: Learned, made: MadeShop) -> None:
    shuffled = made.events.sample(fraction=1, shuffle=True, seed=4)
    catalog = made.catalog.sample(fraction=1, shuffle=True, seed=5)
    other = learn(known_of(shuffled, catalog, TUNING), LAST, TUNING, threads=2)
    assert other.figures.equals(learned.figures)
    assert other.planner.terms == learned.planner.terms
    assert plans_of(other, made) == plans_of(learned, made)


def test_a_planner_comes_back_from_its_folder(learned: Learned, made: MadeShop, tmp_path: Path) -> None:
    learned.planner.save(tmp_path)
    again = ShopPlanner.load(tmp_path, TUNING, threads=2)
    assert (again.usual, again.terms, again.new) == (
        learned.planner.usual, learned.planner.terms, learned.planner.new,
    )  # fmt: skip
    assert plans_of(replace(learned, planner=again), made) == plans_of(learned, made)
    (tmp_path / FILE).write_bytes(b"x")
    with pytest.raises(SourceError):
        ShopPlanner.load(tmp_path, TUNING)


@pytest.mark.parametrize("better", [("category", "trigger"), ("bracket", "intent", "buys"), ()])
def test_a_part_that_is_not_better_is_made_by_the_shops_habits(
    better: tuple[str, ...], made: MadeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "judge", lambda *_: [Judged(one, one in better, one) for one in MUST_BEAT])
    some = learned_of(made.events, made.catalog, tuning=QUICK)
    assert dict(some.planner.terms.made_by) == {one: "trees" if one in better else "usual" for one in MUST_BEAT}
    assert some.planner.trees is not None
    shopping, cycles = made.until(LAST, TUNING)
    known = states_of(shopping, cycles, LAST, TUNING, companions(shopping, TUNING))
    said, trees, usual = (one.predict(known) for one in (some.planner, some.planner.trees, some.planner.usual))
    of = {one: trees if one in better else usual for one in MUST_BEAT}
    assert not trees.categories.equals(usual.categories)
    assert said.categories.equals(of["category"].categories)
    for name, one in (("intents", "intent"), ("triggers", "trigger"), ("prices", "bracket"), ("buys", "buys")):
        assert not np.array_equal(getattr(trees, name), getattr(usual, name))
        assert np.array_equal(getattr(said, name), getattr(of[one], name))
    if "intent" not in better:  # nobody is helped: what is most usual is named
        assert (some.planner.terms.sharpness, some.planner.terms.shares) == (0.0, some.planner.usual.intents)


def test_visits_are_what_was_done_that_day_before_the_order(learned: Learned) -> None:
    tested = trial_of(learned)
    found, people = visit_measures(tested.test, tested.planner, tested.new)
    value = {(one.metric, one.model): float(one.columns.mean()) for one in found if one.target == "category"}
    assert len(people) > 100
    assert value["accuracy_at_1", "planner"] > value["accuracy_at_1", WITHOUT] + 0.2
    assert all(visit.looks and not visit.bought for visit in tested.test.visits.values())
    assert isinstance(next(iter(tested.test.visits.values())), Visit)


def habits_alone(learned: Learned) -> ShopPlanner:
    assert learned.planner.trees is None
    assert learned.figures.is_empty()
    assert learned.figures.schema == pl.Schema(PLAN_FIGURES.columns)
    assert learned.verdicts == []
    assert learned.tested is None
    return learned.planner


def test_a_young_shop_plans_by_its_habits(made: MadeShop) -> None:
    day = FIRST + timedelta(20)
    young = made.events.filter(pl.col("event_date") <= day)
    planner = habits_alone(learned_of(young, made.catalog, day))
    shopping, cycles = made.until(day, TUNING)
    known = states_of(shopping, cycles, day, TUNING, companions(shopping, TUNING))
    said = planner.predict(known)
    lately = shopping.baskets.filter(pl.col("event_date") > day - timedelta(HORIZON))["person_key"].n_unique()
    assert set(said.buys) == {lately / known.people.height}
    plan = planner.new
    assert (
        plan.top()[0][0]
        == shopping.baskets["category"]
        .cast(pl.String)
        .value_counts()
        .sort("count", "category", descending=[True, False])["category"][0]
    )
    assert plan.bracket is not None


def test_a_shop_in_which_nothing_was_bought_or_nothing_happened(made: MadeShop, tmp_path: Path) -> None:
    looks = made.events.filter(pl.col("event_type") == "view")
    planner = habits_alone(learned_of(looks, made.catalog))
    shopping, cycles = shop_of(looks, made.catalog, LAST, TUNING)
    plans = planner.predict(states_of(shopping, cycles, LAST, TUNING, companions(shopping, TUNING))).plans()
    assert len(plans) > 250
    assert {plan.bracket for plan in plans} == {None}
    assert {plan.purchase_probability for plan in plans} == {0.0}
    assert {name for plan in plans for name, _ in plan.categories} <= set(shopping.looks["category"].cast(pl.String))
    nothing = habits_alone(learned_of(CLEAN_EVENTS.empty(), made.catalog))
    nothing.save(tmp_path)
    assert (
        ShopPlanner.load(tmp_path, TUNING).new
        == nothing.new
        == Plan((), nothing.new.intents, nothing.new.triggers, None, 0.0)
    )


def test_a_shop_where_everybody_is_new_in_the_newest_horizon(made: MadeShop) -> None:
    cutoff = LAST - timedelta(HORIZON)
    key = pl.when(pl.col("event_date") > cutoff).then(pl.col("user_key") + " again").otherwise("user_key")
    habits_alone(learned_of(made.events.with_columns(key.alias("user_key")), made.catalog))


def test_a_shop_without_categories_or_prices_still_says_when_and_why(made: MadeShop) -> None:
    bare = made.catalog.with_columns(
        pl.lit(None, pl.String).alias("category"),
        pl.lit(None, pl.Int64).alias("unit_price_micros"),
        pl.lit(None, pl.String).alias("name"),
    )
    events = made.events.with_columns(pl.lit(None, pl.Int64).alias("unit_price_micros"))
    learned = learned_of(events, bare)
    made_by = learned.planner.terms.made_by
    assert (made_by["category"], made_by["bracket"]) == ("usual", "usual")
    assert made_by["buys"] == "trees"
    shopping, cycles = shop_of(events, bare, LAST, TUNING)
    plans = learned.planner.predict(states_of(shopping, cycles, LAST, TUNING, companions(shopping, TUNING))).plans()
    assert {tuple(plan.top()) for plan in plans} == {()}
    assert {plan.bracket for plan in plans} == {None}
    assert {plan.intent(learned.planner.terms) for plan in plans} <= set(INTENTS)
    assert "bracket" not in learned.figures["target"].to_list()


def test_a_shop_without_looks_learns_from_baskets(made: MadeShop) -> None:
    baskets = made.events.filter(pl.col("event_type") == "purchase")
    learned = learned_of(baskets, made.catalog)
    assert figure(learned, "category", "accuracy_at_3", "last_category")["gain_low"] > 0
    assert learned.planner.terms.category == (0.0, 0.0)


def test_so_many_people_are_drawn_by_the_seed(made: MadeShop) -> None:
    def people(seed: int) -> list[str]:
        tuning = QUICK.model_copy(update={"seed": seed})
        return trial_of(learned_of(made.events, made.catalog, tuning=tuning)).test.states.people["person_key"].to_list()

    one, other = people(1), people(2)
    assert one != other
    assert max(len(one), len(other)) <= 100
