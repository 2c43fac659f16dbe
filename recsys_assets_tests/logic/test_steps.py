from datetime import date, timedelta
from random import Random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.steps import steps
from recsys_assets.tables import STEPS
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import event, events

DAY = date(2024, 12, 31)
TUNING = Tuning(window_days=100)


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def of(*given_events: dict[str, object], tuning: Tuning = TUNING) -> list[tuple[object, ...]]:
    """Product, basket, visit and age of the one person's steps."""
    made = steps(events(*given_events), DAY, tuning)
    assert made.equals(STEPS.conform(made))
    return made.select("product_id", "basket", "visit", "age_days").rows()


def test_an_order_is_one_basket_and_a_day_without_orders_too() -> None:
    assert of(
        event("p", "b", ago(3), order="1", hour=9),
        event("p", "a", ago(3), order="1", hour=9),
        event("p", "c", ago(3), order="2", hour=9),
        event("p", "d", ago(1), hour=9),
        event("p", "e", ago(1), hour=20),
    ) == [("a", 0, 0, 3), ("b", 0, 0, 3), ("c", 1, 0, 3), ("d", 2, 1, 1), ("e", 2, 1, 1)]


def test_what_is_looked_at_has_an_order_within_the_visit() -> None:
    assert of(
        event("p", "b", DAY, "view", hour=9),
        event("p", "a", DAY, "view", hour=10) | {"session_id": "s"},
        event("p", "c", DAY, "add_to_cart", hour=11) | {"session_id": "s"},
        event("p", "d", DAY, "click", hour=23),
    ) == [("b", 0, 0, 0), ("a", 1, 1, 0), ("c", 2, 1, 0), ("d", 3, 2, 0)]


def test_what_is_bought_in_the_visit_counts_as_bought_and_repeats_count_once_the_last_time() -> None:
    in_one = {"session_id": "s"}
    assert of(
        event("p", "a", DAY, "view", hour=9) | in_one,
        event("p", "b", DAY, "view", hour=10) | in_one,
        event("p", "c", DAY, "view", hour=11) | in_one,
        event("p", "b", DAY, "view", hour=12) | in_one,
        event("p", "a", DAY, order="1", hour=13) | in_one,
    ) == [("c", 0, 0, 0), ("b", 1, 0, 0), ("a", 2, 0, 0)]


def test_returns_are_taken_out_and_what_was_looked_at_stays() -> None:
    assert of(
        event("p", "a", ago(2), order="1"),
        event("p", "b", ago(2), order="1"),
        event("p", "a", ago(1), "return", quantity=-1, order="1"),
        event("p", "a", ago(1), "view", hour=20),
    ) == [("b", 0, 0, 2), ("a", 1, 1, 1)]


def test_the_window_the_weights_and_who_is_nobody() -> None:
    assert of(
        event("p", "a", ago(100)),
        event("p", "b", ago(99)),
        event("p", "c", ago(-1)),
        event("p", "d", DAY, "impression"),
        event("p", None, DAY, "view"),
        event(None, "e", DAY),
    ) == [("b", 0, 0, 99)]


def test_people_are_users_where_known_else_the_anonymous_key() -> None:
    made = steps(events(event("user", "a", DAY, anon="anon"), event(None, "b", DAY, anon="anon")), DAY, TUNING)
    assert made.select("person_key", "product_id").rows() == [("anon", "b"), ("user", "a")]


def test_the_newest_steps_are_kept_and_numbered_from_0() -> None:
    few = TUNING.model_copy(update={"steps_per_person": 2})
    bought = [event("p", product, ago(days), order=product) for days, product in enumerate("dcba")]
    assert of(*bought, tuning=few) == [("c", 0, 0, 1), ("d", 1, 1, 0)]


def test_no_events_no_rows() -> None:
    assert steps(events(), DAY, TUNING).equals(STEPS.empty())


@given(
    st.lists(
        st.tuples(
            st.sampled_from("pq"), st.sampled_from("abc"), st.integers(0, 3),
            st.sampled_from(["purchase", "return", "view"]), st.sampled_from([None, "1", "2"]),
            st.sampled_from([None, "s", "t"]), st.integers(0, 23),
        ),
        max_size=12, unique=True,
    ),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_whatever_the_order_of_rows_steps_are_those_of_the_interactions(
    given_rows: list[tuple[str, str, int, str, str | None, str | None, int]], random: Random
) -> None:
    made = [
        event(person, product, ago(days), kind, order=order, hour=hour) | {"session_id": session}
        for person, product, days, kind, order, session, hour in given_rows
    ]
    shuffled = random.sample(made, len(made))
    one_way = steps(events(*made), DAY, TUNING)
    assert one_way.equals(steps(events(*shuffled).lazy(), DAY, TUNING))
    assert not one_way.select(STEPS.grain).is_duplicated().any()
    pairs = one_way.select("person_key", "product_id").unique(maintain_order=True).sort("person_key", "product_id")
    assert pairs.equals(interactions(events(*made), DAY, TUNING).select("person_key", "product_id"))
    for _, person in one_way.group_by("person_key", maintain_order=True):
        assert person["basket"].diff().drop_nulls().is_in([0, 1]).all()
        assert person["visit"].diff().drop_nulls().is_in([0, 1]).all()
        assert (person["age_days"].diff().drop_nulls() <= 0).all()
        assert person["basket"][0] == person["visit"][0] == 0
    assert one_way["visit"].len() == one_way.filter(pl.col("visit") <= pl.col("basket")).height
