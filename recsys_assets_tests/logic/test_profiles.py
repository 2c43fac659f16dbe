from datetime import UTC, date, datetime, time, timedelta
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.logic.profiles import user_profiles
from recsys_assets.logic.sessions import sessions
from recsys_assets.tables import EVENT_TYPES, ITEM_STATS, MICROS, USER_PROFILES, USERS
from recsys_assets.tuning import Tuning, UserSegments, UserTypes
from recsys_assets_tests.models.builders import event, events, rows

DAY = date(2024, 5, 30)  # a Thursday
TUNING = Tuning(window_days=100)
SHELF = rows(
    ITEM_STATS,
    [
        {"product_id": "a", "category": "Bread", "price_tier": "budget"},
        {"product_id": "b", "category": "Cheese", "price_tier": "premium"},
        {"product_id": "c", "category": "Wine", "price_tier": "premium"},
        {"product_id": "d", "category": "Ale", "price_tier": "mid"},
        {"product_id": "e"},
    ],
)


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def made(
    *given_events: dict[str, object],
    tuning: Tuning = TUNING,
    time_zone: str = "UTC",
    as_of: date = DAY,
    told: pl.DataFrame | None = None,
) -> pl.DataFrame:
    lines = events(*given_events)
    users = USERS.empty() if told is None else told
    return user_profiles(lines, sessions(lines, 30), SHELF, users, as_of, tuning, time_zone)


def one(
    *given_events: dict[str, object], tuning: Tuning = TUNING, time_zone: str = "UTC", as_of: date = DAY
) -> dict[str, object]:
    frame = made(*given_events, tuning=tuning, time_zone=time_zone, as_of=as_of)
    assert frame.height == 1
    return frame.row(0, named=True)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), tzinfo=UTC)


def test_a_persons_habits() -> None:
    row = one(
        event("p", "a", ago(60), hour=9, quantity=2, price=3 * MICROS, order="1"),
        event("p", "b", ago(60), hour=9, quantity=1, price=8 * MICROS, order="1"),
        event("p", "a", ago(59), hour=9, quantity=1, price=6 * MICROS, order="2"),
        event("p", "a", ago(2), "return", hour=18, quantity=-1, price=6 * MICROS, order="2"),
        event("p", "c", ago(2), "impression", hour=18),
        event("p", "c", ago(2), "impression", hour=18) | {"event_id": "second"},
        event("p", "c", ago(2), "click", hour=18) | {"event_time": at(ago(2), 18, 10)},
    )
    assert row == {
        "person_key": "p",
        "locale": None,
        "market": None,
        "user_type": "sparse",  # two orders: from 1, below 4
        "spending_segment": "small",  # who buys alone is at every quantile
        "price_tier": "budget",  # two lines of a, one of b
        "orders": 2,
        "purchases": 3,
        "unique_items": 2,
        "units": 4,
        "lifetime_value_micros": (2 * 3 + 8 + 6 - 6) * MICROS,
        "average_item_price_micros": ((2 * 3 + 6) * MICROS // 3 + 8 * MICROS) // 2,  # of a 4, of b 8
        "first_purchase_date": ago(60),
        "last_purchase_date": ago(59),
        "last_visit_date": ago(2),
        "days_since_last_visit": 2,
        "favourite_categories": ["Bread", "Cheese", "Wine"],
        "favourite_hour": 9,  # two visits of three
        "favourite_weekday": 1,  # 31 March is a Sunday, 1 April a Monday, 28 May a Tuesday: the earliest of a tie
        "favourite_season": "spring",
        "orders_per_30_days": 2 * 30 / 61,
        "return_rate": 1 / 3,
        "click_rate": 1 / 2,
        "conversion_rate": 2 / 3,
        "average_session_seconds": 600 / 3,
    }


def test_who_only_looks_has_visits_and_no_purchases() -> None:
    row = one(event("p", "a", ago(3), "view"))
    assert (row["user_type"], row["orders"], row["purchases"], row["units"], row["unique_items"]) == ("new", 0, 0, 0, 0)
    assert (row["lifetime_value_micros"], row["orders_per_30_days"], row["conversion_rate"]) == (0, 0, 0)
    nothing = ("spending_segment", "price_tier", "average_item_price_micros", "first_purchase_date",
               "last_purchase_date", "return_rate", "click_rate")  # fmt: skip
    assert {row[name] for name in nothing} == {None}
    assert (row["favourite_categories"], row["days_since_last_visit"]) == (["Bread"], 3)


def test_the_window_has_its_first_and_last_day_and_no_other() -> None:
    row = one(*(event("p", "a", ago(days)) for days in (-1, 0, 99, 100)))
    assert (row["purchases"], row["first_purchase_date"], row["last_purchase_date"]) == (2, ago(99), DAY)
    assert row["conversion_rate"] == 1
    assert row["favourite_weekday"] == 3  # Thursday, and 21 February, a Wednesday: the earlier day of the week


def test_an_order_is_an_id_or_a_days_purchases_without_one() -> None:
    lines = [event("p", "a", ago(1), order=order, hour=hour) for order, hour in (("1", 8), ("1", 9), ("2", 9))]
    lines += [event("p", product, ago(days)) for product, days in (("a", 2), ("b", 2), ("a", 3))]
    assert one(*lines)["orders"] == 2 + 2
    # An order may be named like a day, or as we name one.
    for name in (f"{ago(2)}", f"d{ago(2)}"):
        assert one(event("p", "a", ago(2)), event("p", "a", ago(2), order=name))["orders"] == 2


@pytest.mark.parametrize(
    ("orders", "kind"), [(1, "sparse"), (3, "sparse"), (4, "regular"), (19, "regular"), (20, "loyal"), (21, "loyal")]
)
def test_user_types_by_orders(orders: int, kind: str) -> None:
    assert one(*(event("p", "a", ago(days)) for days in range(orders)))["user_type"] == kind


def test_user_types_are_knobs() -> None:
    knobs = Tuning(user_types=UserTypes(sparse_from=2, regular_from=3, loyal_from=4))
    people = [event(f"p{orders}", "a", ago(day)) for orders in range(1, 5) for day in range(orders)]
    assert made(*people, tuning=knobs)["user_type"].to_list() == ["new", "sparse", "regular", "loyal"]


def segments(*spent: int, knobs: Tuning = TUNING) -> list[str]:
    lines = (event(f"p{place:02}", "a", DAY, price=price) for place, price in enumerate(spent))
    return made(*lines, tuning=knobs)["spending_segment"].to_list()


def test_segments_are_quartiles_of_those_who_bought() -> None:
    names = ["small", "low_average", "average", "high"]
    assert segments(1, 2, 3, 4) == names
    assert segments(*range(1, 9)) == [name for name in names for _ in range(2)]
    # Of five, the bounds are the persons ceil(5/4) = 2, ceil(5/2) = 3 and ceil(15/4) = 4.
    assert segments(1, 2, 3, 4, 5) == ["small", "small", "low_average", "average", "high"]


def test_equal_spending_is_one_segment() -> None:
    assert segments(7, 7, 7, 7) == ["small"] * 4
    assert segments(1, 7, 7, 7, 7, 7, 7, 9) == ["small", *["small"] * 6, "high"]


def test_one_buyer_is_small_and_who_did_not_buy_moves_no_bound() -> None:
    assert segments(5) == ["small"]
    lookers = [event(f"q{n}", "a", DAY, "view") for n in range(9)]
    frame = made(*lookers, *(event(f"p{n}", "a", DAY, price=n) for n in range(1, 5)))
    assert frame["spending_segment"].to_list() == ["small", "low_average", "average", "high"] + [None] * 9


def test_segments_are_knobs() -> None:
    knobs = Tuning(user_segments=UserSegments(small=0.1, low_average=0.2, average=0.9))
    assert segments(*range(10), knobs=knobs) == ["small", "low_average", *["average"] * 7, "high"]


def test_who_returned_all_is_still_a_buyer() -> None:
    lines = [event("p", "a", ago(1), price=9), event("p", "a", DAY, "return", quantity=-1, price=9)]
    row = one(*lines)
    assert (row["lifetime_value_micros"], row["spending_segment"], row["return_rate"]) == (0, "small", 1)


def test_a_return_without_a_purchase_in_the_window_costs() -> None:
    row = one(event("p", "a", DAY, "return", quantity=-1, price=9))
    assert (row["lifetime_value_micros"], row["spending_segment"], row["return_rate"]) == (-9, None, None)


def test_a_price_of_0_makes_the_average_smaller_and_a_missing_one_does_not() -> None:
    gift = event("p", "b", DAY, price=0)
    unpriced = event("p", "c", DAY) | {"unit_price_micros": None}
    assert one(event("p", "a", DAY, price=8), gift)["average_item_price_micros"] == (8 + 0) // 2
    assert one(event("p", "a", DAY, price=8), unpriced)["average_item_price_micros"] == 8
    assert one(unpriced)["average_item_price_micros"] is None


def test_favourite_categories_by_lines_then_events_then_name() -> None:
    row = one(
        event("p", "c", DAY), event("p", "b", DAY), event("p", "b", DAY, "view"),
        event("p", "d", DAY, "view"), event("p", "a", DAY, "view"),
        event("p", "e", DAY), event("p", "e", DAY, hour=1), event("p", "unheard of", DAY),
    )  # fmt: skip
    assert row["favourite_categories"] == ["Cheese", "Wine", "Ale"]  # of Ale and Bread, seen once, the first by name


def test_without_any_category_there_is_no_favourite() -> None:
    assert one(event("p", "e", DAY))["favourite_categories"] == []


def test_of_tiers_bought_equally_often_the_cheaper_one() -> None:
    assert one(event("p", "b", DAY), event("p", "d", DAY))["price_tier"] == "mid"
    assert one(event("p", "b", DAY), event("p", "c", DAY), event("p", "d", DAY))["price_tier"] == "premium"
    assert one(event("p", "b", DAY), event("p", "a", DAY))["price_tier"] == "budget"
    assert one(event("p", "e", DAY))["price_tier"] is None


def test_the_hour_is_the_homes_and_that_in_which_a_visit_began() -> None:
    late = event("p", "a", DAY, "view") | {"event_time": at(DAY, 12, 59)}
    later = event("p", "a", DAY, "view") | {"event_time": at(DAY, 13, 10), "event_id": "later"}
    assert one(late, later)["favourite_hour"] == 12
    assert one(late, later, time_zone="Europe/Berlin")["favourite_hour"] == 14
    assert one(late, later, time_zone="Asia/Kolkata")["favourite_hour"] == 18  # 18:29


def test_of_hours_equally_often_the_earlier_one() -> None:
    assert one(event("p", "a", ago(1), hour=20), event("p", "a", ago(2), hour=7))["favourite_hour"] == 7


@pytest.mark.parametrize(
    ("month", "day", "season"),
    [
        (12, 1, "winter"), (2, 28, "winter"), (3, 1, "spring"), (5, 31, "spring"),
        (6, 1, "summer"), (8, 31, "summer"), (9, 1, "autumn"), (11, 30, "autumn"),
    ],
)  # fmt: skip
def test_seasons_begin_with_months(month: int, day: int, season: str) -> None:
    when = date(2023, month, day)
    assert one(event("p", "a", when), as_of=when)["favourite_season"] == season


def test_orders_per_30_days_are_over_30_days_at_least() -> None:
    assert one(event("p", "a", DAY), event("p", "a", DAY, order="2"))["orders_per_30_days"] == 2
    assert one(event("p", "a", ago(29)))["orders_per_30_days"] == 1
    assert one(event("p", "a", ago(59)))["orders_per_30_days"] == 30 / 60


def test_known_and_anonymous_people_are_apart() -> None:
    frame = made(event("p", "a", DAY, anon="x"), event(None, "a", DAY, anon="x"))
    assert frame["person_key"].to_list() == ["p", "x"]


def test_no_events_no_people() -> None:
    assert made().equals(USER_PROFILES.empty())
    assert made(event("p", "a", ago(500))).equals(USER_PROFILES.empty())


LINES = st.lists(
    st.builds(
        event,
        st.sampled_from("pqr"),
        st.sampled_from("abcde"),
        st.sampled_from([-1, 0, 1, 30, 99, 100]).map(ago),
        st.sampled_from(EVENT_TYPES),
        hour=st.integers(0, 23),
        quantity=st.integers(1, 3),
        price=st.integers(0, 3),
        order=st.sampled_from([None, "1", "2"]),
    ),
    max_size=12,
).map(lambda found: [line | {"event_id": str(place)} for place, line in enumerate(found)])


@settings(deadline=None)
@given(LINES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(lines: list[dict[str, object]], random: Random) -> None:
    one_way = made(*lines)
    shuffled = events(*random.sample(lines, len(lines)))
    visits, shelf = (frame.sample(fraction=1, shuffle=True, seed=1) for frame in (sessions(shuffled, 30), SHELF))
    assert one_way.equals(user_profiles(shuffled, visits, shelf, USERS.empty(), DAY, TUNING, "UTC"))


@settings(deadline=None)
@given(LINES)
def test_sums_over_people_are_sums_over_events(lines: list[dict[str, object]]) -> None:
    frame = made(*lines)
    window = events(*lines).filter(pl.col("event_date").is_between(ago(99), DAY))
    bought = window.filter(pl.col("event_type") == "purchase")
    sold = window.filter(pl.col("event_type").is_in(["purchase", "return"]))
    assert frame["person_key"].to_list() == sorted(set(window["user_key"]))
    assert frame["purchases"].sum() == bought.height
    assert frame["units"].sum() == bought["quantity"].sum()
    assert frame["lifetime_value_micros"].sum() == (sold["quantity"] * sold["unit_price_micros"]).sum()
    assert (frame["orders"] <= frame["purchases"]).all()
    assert (frame["unique_items"] <= frame["purchases"]).all()
    assert (frame["favourite_categories"].list.len() <= 3).all()
    assert frame["spending_segment"].is_null().equals(frame["purchases"] == 0)
    assert frame["conversion_rate"].is_between(0, 1).all()


def test_locale_and_market_are_the_users_files() -> None:
    told = rows(
        USERS,
        [
            {"person_key": "a", "locale": "de-DE", "market": "DE", "consent": True},
            {"person_key": "never seen", "locale": "it-IT"},
        ],
    )
    lines = [event(person, "p", ago(1), price=price) for person, price in (("a", 5), ("b", 7))]
    frame = made(*lines, told=told)
    assert frame.select("person_key", "locale", "market").rows() == [("a", "de-DE", "DE"), ("b", None, None)]
    assert frame.drop("locale", "market").equals(made(*lines).drop("locale", "market"))
