"""What is published is picked on people whom nothing was learned from, and never loses against a member."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from recsys_assets.logic.choices import EVERYBODY, Choices
from recsys_assets.logic.split import Window
from recsys_assets.models import make_blend
from recsys_assets.models.base import Interactions
from recsys_assets.models.candidates import candidates, picked
from recsys_assets.models.choosing import choose, lists_of
from recsys_assets.models.holdout import Holdout, Lists, holdout, holdout_before
from recsys_assets.models.learned import NO_LESSON, Learned, _sample, pick
from recsys_assets.models.traits import Traits, described
from recsys_assets.tables import CANDIDATES, INTERACTIONS, MICROS, STEPS
from recsys_assets.tuning import Als, Blending, Evaluation, Tuning
from recsys_assets_tests.models.builders import bought, catalog, event, events, rows

CUTOFF = date(2024, 6, 30)
WINDOW = Window(CUTOFF, CUTOFF + timedelta(7))
PRODUCTS = [f"i{product:02}" for product in range(24)]
TUNING = Tuning(
    als=Als(factors=4, iterations=3, regularizations=()),
    evaluation=Evaluation(holdout_days=7, ks=(5,), bootstrap=100),
    candidate_pool_size=50,
    blend=Blending(
        members=("als", "item_cf", "popularity", "personal", "transitions"),
        depth=10, people_per_type=10, people_to_learn=20, trees=10, least_in_leaf=5,
    ),
)  # fmt: skip


def with_blend(**knobs: object) -> Tuning:
    return TUNING.model_copy(update={"blend": TUNING.blend.model_copy(update=knobs)})


def shop(people: int = 60) -> pl.DataFrame:
    """Everybody buys along one ring of products, a step a week, from a place of their own: what comes next is known."""
    random = np.random.default_rng(8)
    made = []
    for person in range(people):
        place, weeks = int(random.integers(24)), 3 + person % 3
        for week in range(weeks + 1):
            day = CUTOFF + timedelta(7 * (week - weeks) + 1 if week == weeks else 7 * (week - weeks))
            made.append(event(f"p{person:02}", PRODUCTS[(place + week) % 24], day, order=f"{person} {week}"))
    return events(*made)


def held(frame: pl.DataFrame) -> Holdout:
    made = holdout(frame, WINDOW, PRODUCTS, TUNING)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def ring() -> tuple[Choices, Lists]:
    return choose(held(shop()), TUNING, 1, lambda _: None)


def ndcg(lists: Lists, model: str) -> float:
    """Everybody buys one product afterwards, so its discount is the figure."""
    hits = lists[model, "all"].hits[:, :5]
    return float((hits / np.log2(np.arange(2, 7))).sum(axis=1).mean())


def test_what_is_published_never_loses_against_a_member(ring: tuple[Choices, Lists]) -> None:
    choices, lists = ring
    best = max(choices.figures.values())
    assert choices.figures[choices.kind] == best
    assert ndcg(lists, "published") == pytest.approx(best, abs=1e-6)
    for member in TUNING.blend.members:
        assert ndcg(lists, "published") >= ndcg(lists, member) - 1e-9, member
    # transitions alone knows the way round: the default blend does without it
    assert best > 0.9 > choices.figures["default"]
    assert choices.weights[EVERYBODY]["transitions"] > 0
    assert "transitions" in choices.members


def test_figures_of_every_kind_stand_beside_one_another(ring: tuple[Choices, Lists]) -> None:
    choices, lists = ring
    assert set(choices.figures) == {"default", "weights", "learned", *TUNING.blend.members}
    assert {model for model, _ in lists} >= {"weights", "learned", "blend", "published", *TUNING.blend.members}
    for kind in ("weights", "learned"):
        assert ndcg(lists, kind) == pytest.approx(choices.figures[kind], abs=1e-6)


def test_a_member_that_beats_every_blend_is_published_alone() -> None:
    assert pick({"default": 0.3, "weights": 0.2, "learned": 0.1}, {"als": 0.3}, TUNING) == ("default", None)
    assert pick({"default": 0.3, "weights": 0.2, "learned": 0.5}, {"als": 0.6}, TUNING) == ("weights", "als")


def test_the_shop_may_want_one_kind() -> None:
    for kind in ("default", "weights", "learned"):
        choices, lists = choose(held(shop()), with_blend(kind=kind), 1, lambda _: None)
        assert choices.kind == kind
        assert ("published", "all") in lists
        assert bool(choices.trees) == (kind == "learned")
    assert pick({"default": 0.3, "weights": 0.2}, {}, with_blend(kind="learned")) == ("weights", None)  # too few people


def test_the_default_kind_chooses_what_it_always_chose() -> None:
    choices, lists = choose(held(shop()), with_blend(kind="default"), 1, lambda _: None)
    assert (choices.weights, choices.figures, choices.members) == ({}, {}, ())
    assert make_blend(TUNING, choices).names == ("als", "item_cf", "popularity", "personal")
    assert {model for model, _ in lists}.isdisjoint({"weights", "learned", "transitions"})


def test_too_few_people_choose_nothing_and_nobody_learns_without_hits() -> None:
    few, lists = choose(held(shop(people=3)), TUNING, 1, lambda _: None)
    assert (few.kind, few.weights) == ("default", {})
    assert ("published", "all") in lists
    known = held(shop())
    nothing = known.bought.multiply(False).astype(np.bool_).tocsr()
    missed = replace(known, bought=nothing)
    choices, _ = choose(missed, TUNING, 1, lambda _: None)
    assert (choices.kind, choices.trees) == ("default", "")


@pytest.mark.parametrize("wanted", ["validation", "learned"])
@pytest.mark.parametrize("missed", ["halves", "everybody"])
def test_a_sample_without_a_hit_teaches_no_order_and_stops_nothing(missed: str, wanted: str) -> None:
    """Who took something is not among those drawn to learn from: of either half of people, or of both together."""
    tuning = with_blend(kind=wanted, people=10, people_to_learn=4)
    drawn = {"halves": np.repeat(_sample(30, tuning), 2), "everybody": _sample(60, tuning)}
    other = {"halves": "everybody", "everybody": "halves"}[missed]
    known = held(shop())
    truth = known.bought.toarray() & (drawn[other] & ~drawn[missed])[:, None]
    said: list[str] = []
    choices, lists = choose(with_truth(known, truth), tuning, 1, said.append)
    assert (choices.trees, "learned" in choices.figures) == ("", False)
    assert choices.kind in ("default", "weights")
    assert ("published", "all") in lists
    assert ("learned", "all") not in lists
    assert said.count(NO_LESSON) == 1


def test_nothing_of_a_half_is_learned_by_those_who_are_judged() -> None:
    """The truth of one half is replaced by noise: the figures of the other half's lists stay what they were."""
    one = held(shop())
    tuning = with_blend(kind="learned")
    noisy = one.bought.toarray()
    noisy[1::2] = np.random.default_rng(1).permuted(noisy[1::2], axis=1)
    other = replace(one, bought=type(one.bought)(noisy))
    first, second = (choose(given, tuning, 1, lambda _: None)[1]["learned", "all"].columns for given in (one, other))
    np.testing.assert_array_equal(first[1::2], second[1::2])  # learned on the even half, which is the same
    assert (first[::2] != second[::2]).any()


def with_truth(window: Holdout, truth: np.typing.NDArray[np.bool_]) -> Holdout:
    bought = type(window.bought)(truth)
    return replace(window, bought=bought)


def test_nothing_of_a_window_is_learned_where_there_is_one_before_it() -> None:
    """Its truth is replaced by noise: every list of it stays what it was, and what is kept does not."""
    one, tuning = held(shop()), with_blend(kind="learned")
    week = Window(CUTOFF - timedelta(1), WINDOW.until)  # the one before it holds each person's step before the last
    before = holdout_before(shop(), week, PRODUCTS, tuning, lambda _: None)
    assert before is not None
    assert before.traits is not one.traits
    other = with_truth(one, np.random.default_rng(1).permuted(one.bought.toarray(), axis=1))
    first, second = (choose(given, tuning, 1, lambda _: None, (), before) for given in (one, other))
    for kind in ("weights", "learned"):
        np.testing.assert_array_equal(first[1][kind, "all"].columns, second[1][kind, "all"].columns)
    assert first[0].figures["learned"] > 0.9 > second[0].figures["learned"]
    assert first[0].trees != second[0].trees


def test_a_window_with_too_few_days_before_it_teaches_nothing() -> None:
    young = shop().filter(pl.col("event_date") > CUTOFF - timedelta(14))
    assert holdout_before(young, WINDOW, PRODUCTS, TUNING, lambda _: None) is None


def test_the_learned_order_leaves_people_without_a_history_alone() -> None:
    known, tuning = held(shop()), with_blend(kind="learned")
    choices, _ = choose(known, tuning, 1, lambda _: None)
    blend = make_blend(tuning, choices)
    blend.fit(known.train)
    nobody = Interactions.from_frame(INTERACTIONS.empty(), known.train.product_ids, known.history.person_keys)
    picks = picked(blend.said(nobody), blend, nobody, known.listable, choices, tuning)
    made = Learned.of(choices, known.traits, 1)(picks, blend.said(nobody), nobody)
    np.testing.assert_array_equal(made.columns, picks.columns)
    assert len(made.columns)


def test_choices_survive_as_text(ring: tuple[Choices, Lists]) -> None:
    import json

    assert Choices.from_json(json.loads(json.dumps(ring[0].to_json()))) == ring[0]


def test_threads_and_the_order_of_rows_change_nothing(ring: tuple[Choices, Lists]) -> None:
    shuffled = shop().sample(fraction=1, shuffle=True, seed=4)
    choices, lists = choose(held(shuffled), TUNING, 2, lambda _: None)
    assert choices == ring[0]
    for key, listed in lists.items():
        np.testing.assert_array_equal(listed.columns, ring[1][key].columns)
        np.testing.assert_array_equal(listed.scores, ring[1][key].scores)


def test_another_window_is_measured_with_what_was_chosen(ring: tuple[Choices, Lists]) -> None:
    later = held(shop())
    blend = make_blend(TUNING, ring[0], every=True)
    blend.fit(later.train)
    lists = lists_of(later, blend, ring[0], TUNING)
    assert {"weights", "learned", "published", "blend"} <= {model for model, _ in lists}
    assert ndcg(lists, "weights") > 0.9


@pytest.mark.parametrize("threads", [1, 2])
def test_level_1_lists_what_was_measured(ring: tuple[Choices, Lists], threads: int) -> None:
    """The same days as if they were the last ones: candidates in the order of the lists of ``learned``."""
    known, tuning = held(shop()), with_blend(kind="learned")
    choices, _ = choose(known, tuning, 1, lambda _: None)
    every = make_blend(tuning, choices, every=True)
    every.fit(known.train)
    measured = lists_of(known, every, choices, tuning)["learned", "all"]
    blend = make_blend(tuning, choices)
    blend.fit(known.train)
    blend.meet(known.train)
    made = pl.concat(
        candidates(
            blend, known.history, known.listable, choices, tuning,
            reorder=Learned.of(choices, known.traits, 1), block=7, threads=threads,
        )
    )  # fmt: skip
    assert made.equals(CANDIDATES.conform(made))
    assert made.equals(made.sort("person_key", "score", "product_id", descending=[False, True, False]))
    assert made["score"].is_between(0, 1).all()
    assert made["content"].null_count() == made.height
    ids = np.array([*known.train.product_ids.tolist(), ""])
    for row, key in enumerate(known.history.person_keys.tolist()):
        own = made.filter(person_key=key)["product_id"].to_list()
        expected = [product for product in ids[measured.columns[row]].tolist() if product]
        assert own[: len(expected)] == expected


def test_traits_come_from_the_interactions_alone() -> None:
    seen = rows(
        INTERACTIONS,
        [
            {"person_key": person, "product_id": product, "purchases": days, "units": units,
             "priced_units": units, "spend_micros": spend * MICROS, "last_purchase_date": last}
            for person, product, days, units, spend, last in (
                ("p", "a", 1, 2, 6, date(2024, 6, 29)),
                ("q", "a", 2, 2, 6, date(2024, 1, 1)),
                ("q", "b", 0, 0, 0, None),
            )
        ],
    )  # fmt: skip
    facts = catalog({"a": "Bread > Rye", "b": "Cheese", "c": "Bread"})
    made = Traits.of(seen, np.array(["a", "b", "c", "d"]), CUTOFF, 30, facts)
    assert made.buyers.tolist() == [2, 0, 0, 0]
    assert made.recent.tolist() == [0.5, 0, 0, 0]
    assert made.price[0] == 12 / 4
    assert np.isnan(made.price[1:]).all()
    assert made.category.tolist() == [0, 1, 0, -1]


def test_what_trees_are_told() -> None:
    history = Interactions.from_frame(bought([("p", "a", 2), ("p", "b", 1), ("q", "c", 1)]))
    traits = Traits(
        np.array([9, 1, 1], dtype=np.float32), np.ones(3, dtype=np.float32),
        np.array([2, 4, np.nan], dtype=np.float32), np.array([0, 1, -1]),
    )  # fmt: skip
    blend = make_blend(TUNING)
    blend.fit(history)
    columns = np.array([0, 2, 1])
    pool = described(np.array([0, 0, 1]), columns, blend.said(history), history, traits)
    told = {name: pool.feature(name).tolist() for name in pool.names}
    assert told["days"] == [2, 0, 0]
    assert told["since"] == [-1, -1, -1]  # no steps are known
    assert told["products"] == [2, 2, 1]
    assert told["buyers"] == [9, 1, 1]
    assert told["usual_price"][:2] == [3, 3]
    assert told["price_ratio"][0] == pytest.approx(2 / 3)
    assert np.isnan([told["price_ratio"][1], told["price_ratio"][2], told["usual_price"][2]]).all()
    assert told["category_share"] == [0.5, 0, 0]


def test_trees_are_told_how_long_ago_a_product_was_taken_last() -> None:
    taken = pl.DataFrame(
        [("p", 0, "a", 0, 30), ("p", 1, "a", 1, 8), ("p", 2, "b", 2, 0)], schema=STEPS.columns, orient="row"
    )
    frame = bought([("p", "a", 2), ("p", "b", 1), ("q", "a", 1), ("q", "c", 1)])
    history = Interactions.from_frame(frame, steps=taken)
    blend = make_blend(TUNING)
    blend.fit(history)
    traits = Traits.of(frame, history.product_ids, CUTOFF, 30)
    pool = described(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0]), blend.said(history), history, traits)
    assert pool.feature("since").tolist() == [8, 0, -1, -1]
    assert pool.feature("baskets").tolist() == [3, 3, 3, 0]
