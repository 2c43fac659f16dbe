"""A visit moves the plan as it should, and a plan is the same in the lake and in the API."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.copy_facts import INTENTS, TRIGGERS
from recsys_assets.logic.plans import (
    LEAST,
    TOP,
    VISIT_FEATURES,
    Look,
    Plan,
    PlanningTerms,
    Visit,
    cut,
    moved,
    named,
    plan_of,
    row_of,
    softmax,
    visit_features,
    with_visit,
)
from recsys_assets.offer_tables import PLANS
from recsys_assets.tables import MICROS

GIFT = INTENTS.index("gift")
ROW = tuple(math.log(share) for share in (0.1, 0.2, 0.1, 0.4, 0.2))
PLAN = Plan(
    categories=(("tea", 0.0), ("bread", -1.0), ("pans", -2.0), ("lids", -3.0)),
    intents=ROW,
    triggers=(math.log(0.5), math.log(0.3), math.log(0.2)),
    bracket=(1 * MICROS, 2 * MICROS, 4 * MICROS),
    purchase_probability=0.25,
)
NEW = Plan((("pans", -1.5), ("cards", -2.5)), ROW, PLAN.triggers, (MICROS, MICROS, MICROS), 0.5)
NO_WEIGHTS = PlanningTerms(2, ("gift",))
TERMS = replace(NO_WEIGHTS, category=(2.0, 3.0), price=0.5)


def odds(score: float) -> float:
    """Chance of a score below 0."""
    return math.exp(score) / (1 + math.exp(score))


def intent_terms(intent: str, feature: str, weight: float) -> PlanningTerms:
    """Terms of one weight."""
    weights = [[0.0] * len(VISIT_FEATURES) for _ in INTENTS]
    weights[INTENTS.index(intent)][VISIT_FEATURES.index(feature)] = weight
    return replace(NO_WEIGHTS, intents=tuple(tuple(row) for row in weights))


def score(plan: Plan, category: str) -> float:
    return dict(plan.categories)[category]


def test_top_names_three_categories_best_first_and_leaves_out_what_has_no_name() -> None:
    plan = replace(PLAN, categories=(("", 5.0), ("lids", -3.0), ("tea", -2.0), ("bread", -2.0), ("pans", -2.5)))
    assert plan.top() == [("bread", odds(-2)), ("tea", odds(-2)), ("pans", odds(-2.5))]
    assert replace(PLAN, categories=()).top() == []


def test_chances_of_more_than_one_are_shared() -> None:
    plan = replace(PLAN, categories=tuple((name, 0.0) for name in ("a", "b", "c", "d")))
    assert plan.top() == [("a", 0.25), ("b", 0.25), ("c", 0.25)]  # 4 × 1/2, of which each is a quarter


def test_scores_too_large_for_a_chance_are_still_told_apart() -> None:
    plan = replace(PLAN, categories=(("a", 700.0), ("z", 800.0), ("b", -800.0)))
    assert plan.top() == [("z", 0.5), ("a", 0.5), ("b", 0.0)]


def test_an_empty_visit_changes_nothing() -> None:
    assert with_visit(PLAN, Visit(), TERMS, NEW) is PLAN
    assert visit_features(Visit(), PLAN, TERMS) == [0.0] * len(VISIT_FEATURES)


def test_a_category_gains_by_its_share_of_looks_and_of_carts() -> None:
    looks = (Look("bread"), Look("bread", cart=True), Look("tea", cart=True), Look("lids"))
    plan = with_visit(PLAN, Visit(looks), TERMS, NEW)
    assert score(plan, "bread") == -1 + 2 * 2 / 4 + 3 * 1 / 2
    assert score(plan, "tea") == 0 + 2 * 1 / 4 + 3 * 1 / 2
    assert score(plan, "lids") == -3 + 2 * 1 / 4
    assert score(plan, "pans") == -2  # not looked at
    assert [name for name, _ in plan.categories] == ["tea", "bread", "pans", "lids"]


def test_a_category_that_the_plan_does_not_hold_begins_where_somebody_new_does() -> None:
    plan = with_visit(PLAN, Visit((Look("cards"),)), TERMS, NEW)
    assert score(plan, "cards") == -2.5 + 2
    unheard = with_visit(PLAN, Visit((Look("unheard of"),)), TERMS, NEW)
    assert score(unheard, "unheard of") == -3 + 2  # the least of all
    nothing = replace(PLAN, categories=())
    assert score(with_visit(nothing, Visit((Look("x"),)), TERMS, nothing), "x") == math.log(LEAST) + 2


def test_unknown_products_count_as_looks_and_harm_nothing() -> None:
    plan = with_visit(PLAN, Visit((Look(), Look(None, None, cart=True), Look("tea"))), TERMS, NEW)
    assert score(plan, "tea") == 0 + 2 * 1 / 3
    assert plan.bracket == PLAN.bracket
    assert [name for name, _ in plan.categories if not name] == []
    only = with_visit(PLAN, Visit((Look("", 0), Look(price_micros=-5))), TERMS, NEW)
    assert only.categories == PLAN.categories
    assert only.bracket == PLAN.bracket


def test_each_feature_moves_the_intents_by_its_weight() -> None:
    visit = Visit((Look("tea", 4 * MICROS), Look("Gift > Cards", 4 * MICROS, cart=True)), queries=("a gift", "soup"))
    told = dict(zip(VISIT_FEATURES, visit_features(visit, PLAN, NO_WEIGHTS), strict=True))
    assert told == {
        "looked": math.log1p(2),
        "carted": 1.0,
        "gift": 2 / 4,  # of two looks and two searches, one each
        "dearer": pytest.approx(math.log(2)),  # 4 over the middle of 2
        "familiar": 1 / 2,  # tea is planned, gift cards are not
    }
    for feature, value in told.items():
        plan = with_visit(PLAN, visit, intent_terms("upgrade", feature, 2.0), NEW)
        assert plan.intents == tuple(
            old + (2.0 * value if intent == "upgrade" else 0) for intent, old in zip(INTENTS, ROW, strict=True)
        )


def test_a_search_alone_is_a_visit() -> None:
    terms = intent_terms("gift", "gift", 5.0)
    plan = with_visit(PLAN, Visit(queries=("gift for her",)), terms, NEW)
    assert plan.intent(terms) == "gift"
    assert PLAN.intent(terms) == "replenish"
    assert plan.categories == PLAN.categories
    assert plan.trigger() == "on-page"


def test_looks_dearer_than_planned_move_the_bracket_by_a_part_and_never_without_end() -> None:
    eight = Visit((Look("tea", 8 * MICROS),))  # four times the middle; a price weight of a half doubles it
    assert with_visit(PLAN, eight, TERMS, NEW).bracket == (2 * MICROS, 4 * MICROS, 8 * MICROS)
    end = round(2 * MICROS * math.exp(0.5 * 2))
    far = with_visit(PLAN, Visit((Look("tea", 10**15),)), TERMS, NEW).bracket
    assert far is not None
    assert far[1] == end
    assert with_visit(PLAN, eight, NO_WEIGHTS, NEW).bracket == PLAN.bracket
    assert with_visit(replace(PLAN, bracket=None), eight, TERMS, NEW).bracket is None
    assert moved((1, 2, 3), 1e-9) == (1, 1, 1)
    assert moved(None, 2.0) is None


@pytest.mark.parametrize(
    ("visit", "trigger"),
    [
        (Visit((Look("tea"),)), "on-page"),
        (Visit((Look("tea", cart=True),)), "in-cart"),
        (Visit((Look("tea", cart=True),), bought=True), "post-purchase"),
        (Visit(bought=True), "post-purchase"),
    ],
)
def test_the_moment_of_a_visit_is_no_guess(visit: Visit, trigger: str) -> None:
    plan = with_visit(replace(PLAN, triggers=(-9.0, -9.0, -9.0)), visit, TERMS, NEW)
    assert plan.trigger() == trigger
    assert max(softmax(plan.triggers)) > 0.99
    assert replace(PLAN, triggers=(0.0, 0.0, 0.0)).trigger() == TRIGGERS[0]


def test_rare_intents_are_named_where_their_share_is_held_against_them() -> None:
    scores = tuple(math.log(share) for share in (0.1, 0.05, 0.05, 0.5, 0.3))
    shares = (0.02, 0.1, 0.1, 0.6, 0.18)
    assert named(scores, shares, 0.0) == "replenish"
    assert named(scores, shares, 1.0) == "gift"  # .1 / .02 is the most
    assert named((0.0,) * 5, (0.2,) * 5, 1.0) == "gift"  # the first on a tie
    assert named(scores, (0.0, 0.1, 0.1, 0.6, 0.2), 1.0) == "gift"  # a share of nothing is no error


finite = st.floats(-2_000, 2_000)
names = st.text(max_size=6)
plans = st.builds(
    Plan,
    st.lists(st.tuples(names, finite), unique_by=lambda one: one[0], max_size=8).map(
        lambda some: tuple(sorted(some, key=lambda one: (-one[1], one[0])))
    ),
    st.tuples(*[finite] * len(INTENTS)),
    st.tuples(*[finite] * len(TRIGGERS)),
    st.none() | st.tuples(*[st.integers(1, 10**15)] * 3),
    st.none() | st.floats(0, 1),
)
looks = st.builds(Look, st.none() | names, st.none() | st.integers(-5, 10**15), st.booleans())
visits = st.builds(Visit, st.lists(looks, max_size=5).map(tuple), st.lists(names, max_size=2).map(tuple), st.booleans())
weight = st.floats(-5, 5)
all_terms = st.builds(
    PlanningTerms,
    st.integers(1, 5),
    st.lists(names, max_size=2).map(tuple),
    st.tuples(st.floats(0, 100), st.floats(0, 100)),
    st.tuples(*[st.tuples(*[weight] * len(VISIT_FEATURES))] * len(INTENTS)),
    st.floats(0, 1),
    st.tuples(*[st.floats(0, 1)] * len(INTENTS)),
    st.floats(0, 1),
    st.dictionaries(names, names, max_size=2),
)


@given(plans, all_terms)
def test_a_plan_is_read_as_it_was_written(plan: Plan, terms: PlanningTerms) -> None:
    row = json.loads(json.dumps(row_of(plan, terms)))
    assert plan_of(row) == plan
    assert list(row) == [name for name in PLANS.columns if name in row]
    assert PlanningTerms.of(json.loads(json.dumps(terms.to_json()))) == terms


@given(plans, visits, all_terms, plans)
def test_chances_are_chances_with_and_without_a_visit(
    plan: Plan, visit: Visit, terms: PlanningTerms, new: Plan
) -> None:
    for one in (plan, with_visit(plan, visit, terms, new)):
        chances = [chance for _, chance in one.top()]
        assert len(chances) <= TOP
        assert sum(chances) <= 1 + 1e-9
        assert all(0 <= chance <= 1 for chance in chances)
        assert sum(one.chances().values()) == pytest.approx(1)
        assert one.intent(terms) in INTENTS
        assert (one.bracket is None) == (plan.bracket is None)
        assert [score for _, score in one.categories] == sorted((score for _, score in one.categories), reverse=True)


@given(plans, visits, all_terms, plans)
def test_a_visit_takes_from_no_category(plan: Plan, visit: Visit, terms: PlanningTerms, new: Plan) -> None:
    after = dict(with_visit(plan, visit, terms, new).categories)
    assert all(after[name] >= score for name, score in plan.categories)
    assert {name for name in after if after[name] != dict(plan.categories).get(name)} <= {
        look.category for look in visit.looks
    }


def test_a_path_keeps_its_first_parts() -> None:
    assert cut("a > b > c", 2) == "a > b"
    assert cut("a > b > c", 9) == "a > b > c"
    assert cut("", 1) is None
