from datetime import date, timedelta
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.interactions import interactions
from recsys_assets.tables import INTERACTIONS, MICROS
from recsys_assets.tuning import Repeats, Tuning
from recsys_assets_tests.models.builders import event, events

DAY = date(2024, 12, 31)
TUNING = Tuning(window_days=100, repeats=Repeats(half_life_days=10))


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def one(*given_events: dict[str, object]) -> dict[str, object]:
    made = interactions(events(*given_events), DAY, TUNING)
    assert made.height == 1
    return made.row(0, named=True)


def test_weights_are_summed_and_a_purchase_day_fades() -> None:
    row = one(
        event("p", "a", DAY, "view"),
        event("p", "a", DAY, "add_to_cart"),
        event("p", "a", DAY, quantity=2, price=3 * MICROS),
        event("p", "a", ago(10), order="1"),
        event("p", "a", ago(10), order="2", hour=15),
    )
    assert row["weight_micros"] == (1 + 3 + 5 + 5 + 5) * MICROS
    assert row["frequency_micros"] == MICROS + MICROS // 2  # today, and one day that is a half-life old
    assert (row["purchases"], row["units"], row["spend_micros"]) == (2, 4, 8 * MICROS)
    assert row["last_purchase_date"] == DAY


def test_the_window_has_its_first_and_last_day_and_no_other() -> None:
    made = interactions(
        events(*(event("p", product, day) for product, day in zip("abcd", map(ago, (-1, 0, 99, 100)), strict=True))),
        DAY,
        TUNING,
    )
    assert made["product_id"].to_list() == ["b", "c"]


def test_people_are_users_where_known_and_events_without_product_or_person_are_left_out() -> None:
    made = interactions(
        events(
            event("user", "a", DAY, anon="anon"),
            event(None, "a", DAY, anon="anon"),
            event("user", None, DAY, "search"),
            event(None, "a", DAY),
            event("user", "b", DAY, "impression"),
        ),
        DAY,
        TUNING,
    )
    assert made.select("person_key", "product_id").rows() == [("anon", "a"), ("user", "a")]


def test_a_return_takes_its_own_order_back() -> None:
    row = one(
        event("p", "a", ago(10), order="old"),
        event("p", "a", ago(1), order="new"),
        event("p", "a", DAY, "return", quantity=-1, order="old"),
    )
    assert (row["weight_micros"], row["purchases"], row["units"]) == (5 * MICROS, 1, 1)
    assert row["last_purchase_date"] == ago(1)


@pytest.mark.parametrize("order", [None, "outside the window"])
def test_a_return_of_no_known_order_takes_the_latest_purchase_before_it(order: str | None) -> None:
    row = one(
        event("p", "a", ago(10), order="old"),
        event("p", "a", ago(3), order="new"),
        event("p", "a", ago(2), "return", quantity=-1, order=order),
        event("p", "a", ago(1), order="later"),
    )
    assert row["purchases"] == 2
    assert row["frequency_micros"] == MICROS // 2 + round(MICROS * 2**-0.1)


def test_some_units_returned_take_their_share() -> None:
    row = one(
        event("p", "a", DAY, quantity=4, order="1"), event("p", "a", DAY, "return", quantity=-1, order="1", hour=13)
    )
    assert row["weight_micros"] == 5 * MICROS * 3 // 4
    assert (row["units"], row["purchases"], row["spend_micros"]) == (3, 1, 3 * MICROS)


def test_all_returned_leaves_no_row_and_all_returned_but_viewed_leaves_the_view() -> None:
    back = [event("p", "a", ago(2), order="1"), event("p", "a", ago(1), "return", quantity=-9, order="1")]
    assert interactions(events(*back), DAY, TUNING).is_empty()
    row = one(*back, event("p", "a", ago(3), "view"))
    assert (row["weight_micros"], row["purchases"], row["frequency_micros"]) == (MICROS, 0, 0)
    assert row["last_purchase_date"] is None
    assert row["spending_ratio"] is None


def test_a_return_before_any_purchase_takes_nothing() -> None:
    row = one(event("p", "a", ago(3), "return", quantity=-1), event("p", "a", ago(1)))
    assert row["purchases"] == 1


def test_spending_and_quantity_ratios() -> None:
    made = interactions(
        events(
            event("p", "a", DAY, price=3 * MICROS, quantity=2),
            event("p", "b", DAY, price=1 * MICROS),
            event("q", "a", DAY, price=3 * MICROS, quantity=4),
        ),
        DAY,
        TUNING,
    )
    columns = ("person_key", "product_id", "spending_ratio", "quantity_ratio")
    by_pair = {row[:2]: row[2:] for row in made.select(columns).rows()}
    assert by_pair["p", "a"] == (3 / ((3 + 1) / 2), 2 / ((2 + 4) / 2))
    assert by_pair["p", "b"] == (1 / ((3 + 1) / 2), 1.0)


def test_no_events_no_rows() -> None:
    assert interactions(events(), DAY, TUNING).equals(INTERACTIONS.empty())


@given(
    st.lists(
        st.tuples(
            st.sampled_from("pq"), st.sampled_from("ab"), st.integers(0, 5),
            st.sampled_from(["purchase", "return", "view"]), st.sampled_from([None, "1", "2"]), st.integers(0, 23),
        ),
        max_size=12, unique=True,
    ),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_the_order_of_rows_does_not_matter_and_nothing_is_negative(
    given_rows: list[tuple[str, str, int, str, str | None, int]], random: Random
) -> None:
    made = [
        event(person, product, ago(days), kind, order=order, hour=hour)
        for person, product, days, kind, order, hour in given_rows
    ]
    shuffled = random.sample(made, len(made))
    one_way = interactions(events(*made), DAY, TUNING)
    assert one_way.equals(interactions(events(*shuffled).lazy(), DAY, TUNING))
    for column in ("weight_micros", "frequency_micros", "purchases", "units", "spend_micros"):
        assert (one_way[column] >= 0).all()
    assert one_way.filter((pl.col("purchases") == 0) & (pl.col("weight_micros") == 0)).is_empty()
