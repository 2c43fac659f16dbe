from datetime import date, timedelta
from random import Random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.logic.item_stats import item_stats
from recsys_assets.logic.price_tiers import price_tiers
from recsys_assets.tables import CATALOG, EVENT_TYPES, ITEM_STATS, MICROS
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import event, events, rows

DAY = date(2024, 5, 30)
TUNING = Tuning(window_days=20, recent_days=5)
NOTHING = CATALOG.empty()


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def product(name: str, category: str | None = None, price: int | None = None, **more: object) -> dict[str, object]:
    return {"product_id": name, "category": category, "unit_price_micros": price} | more


def made(*given_events: dict[str, object], catalog: pl.DataFrame = NOTHING, tuning: Tuning = TUNING) -> pl.DataFrame:
    return item_stats(events(*given_events), catalog, price_tiers(catalog, tuning), DAY, tuning)


def one(
    *given_events: dict[str, object], catalog: pl.DataFrame = NOTHING, tuning: Tuning = TUNING
) -> dict[str, object]:
    frame = made(*given_events, catalog=catalog, tuning=tuning)
    assert frame.height == 1
    return frame.row(0, named=True)


def test_a_product_is_counted_and_rated() -> None:
    row = one(
        *(event("p", "a", DAY, "view", hour=hour) for hour in range(8)),
        *(event("p", "a", DAY, "add_to_cart", hour=hour) for hour in range(4)),
        event("p", "a", ago(9), quantity=2, price=3 * MICROS),
        event("p", "a", ago(1), quantity=1, price=6 * MICROS, order="1"),
        event("q", "a", DAY, quantity=5, price=2 * MICROS),
        event("q", "a", DAY, "return", quantity=-1, price=2 * MICROS),
        event("q", "a", DAY, "impression"),
        catalog=rows(CATALOG, [product("a", "Bread > Rye", 4 * MICROS, rating=2.0)]),
    )
    assert row == {
        "product_id": "a",
        "category": "Bread",
        "price_tier": "mid",  # the only one
        "purchases": 3,
        "buyers": 2,
        "units": 2 + 1 + 5,
        "views": 8,
        "carts": 4,
        "returns": 1,
        "recent_buyers": 2,
        "recent_purchases": 2,
        "recent_units": 1 + 5,
        "lookers": 1,
        "recent_lookers": 1,
        "trend": 2 / 1,  # two in the last five days, one in the five before
        "view_to_cart": 4 / 8,
        "cart_to_purchase": 3 / 4,
        "return_rate": 1 / 3,
        "average_price_micros": (2 * 3 + 1 * 6 + 5 * 2) * MICROS // 8,
        "average_quantity": 8 / 3,
        "rating": 2.0,  # nobody rated it in the window
        "first_sold_date": ago(9),
        "last_sold_date": DAY,
    }


def test_a_rate_with_nothing_below_its_line_is_null() -> None:
    row = one(event("p", "a", DAY, "impression"))
    zero = {name for name, kind in ITEM_STATS.columns.items() if kind.is_integer()} - {"average_price_micros"}
    assert {row[name] for name in zero} == {0}
    assert {row[name] for name in row.keys() - {"product_id", *zero}} == {None}


def test_a_product_only_returned_in_the_window() -> None:
    row = one(event("p", "a", DAY, "return", quantity=-1))
    assert (row["returns"], row["units"], row["return_rate"], row["average_price_micros"]) == (1, 0, None, None)


def test_the_window_has_its_first_and_last_day_and_no_other() -> None:
    lines = [event("p", "a", ago(days)) for days in (-1, 0, 19, 20)]
    row = one(*lines)
    assert (row["purchases"], row["first_sold_date"], row["last_sold_date"]) == (2, ago(19), DAY)


def test_lately_has_its_first_day_and_so_have_the_days_before() -> None:
    row = one(*(event("p", "a", ago(days)) for days in (4, 5, 9, 10)))
    assert (row["recent_purchases"], row["recent_buyers"], row["trend"]) == (1, 1, 1 / 2)


def test_the_trend_is_per_day_where_fewer_days_lie_before() -> None:
    knobs = Tuning(window_days=8, recent_days=6)  # two days before
    row = one(event("p", "a", DAY), event("p", "a", ago(6)), event("p", "a", ago(7), "view"), tuning=knobs)
    assert row["trend"] == (1 / 6) / (1 / 2)


def test_a_window_of_recent_days_alone_has_no_trend() -> None:
    for recent in (20, 30):
        row = one(event("p", "a", DAY), tuning=Tuning(window_days=20, recent_days=recent))
        assert (row["recent_purchases"], row["trend"]) == (1, None)


def test_a_fall_to_nothing_is_0_and_a_rise_from_nothing_is_null() -> None:
    assert one(event("p", "a", ago(6)))["trend"] == 0
    assert one(event("p", "a", ago(1)))["trend"] is None


def test_a_price_of_0_counts_and_a_missing_one_does_not() -> None:
    lines = event("p", "a", DAY, price=3 * MICROS), event("q", "a", DAY, price=0)
    assert one(*lines)["average_price_micros"] == 3 * MICROS // 2
    unpriced = event("r", "a", DAY, quantity=7) | {"unit_price_micros": None}
    assert one(*lines, unpriced)["average_price_micros"] == 3 * MICROS // 2
    assert one(unpriced)["average_price_micros"] is None


def test_ratings_of_the_window_win_over_the_catalogues() -> None:
    reviews = (event(who, "a", DAY, "review") | {"rating": rating} for who, rating in (("p", 4.0), ("q", 4.5)))
    assert one(*reviews, catalog=rows(CATALOG, [product("a", rating=1.0)]))["rating"] == (4.0 + 4.5) / 2


def test_a_product_sold_but_not_in_the_catalogue_has_no_category() -> None:
    frame = made(event("p", "a", DAY), event("p", "b", DAY), catalog=rows(CATALOG, [product("b", "Bread", MICROS)]))
    assert frame.select("product_id", "category", "price_tier").rows() == [("a", None, None), ("b", "Bread", "mid")]


def test_a_product_of_the_catalogue_without_an_event_has_no_row() -> None:
    assert made(catalog=rows(CATALOG, [product("a", "Bread", MICROS)])).equals(ITEM_STATS.empty())


def test_known_and_anonymous_people_are_buyers_and_a_search_is_of_no_product() -> None:
    row = one(
        event("p", "a", DAY, anon="x"), event("p", "a", ago(1), anon="y"), event(None, "a", DAY, anon="x"),
        event("p", None, DAY, "search"),
    )  # fmt: skip
    assert (row["purchases"], row["buyers"]) == (3, 2)


LINES = st.lists(
    st.builds(
        event,
        st.sampled_from("pqr"),
        st.sampled_from("ab"),
        st.integers(-1, 21).map(ago),
        st.sampled_from(EVENT_TYPES),
        quantity=st.integers(1, 3),
        price=st.integers(0, 3),
    ),
    max_size=15,
).map(lambda found: [line | {"event_id": str(place), "rating": place % 5 + 0.1} for place, line in enumerate(found)])
SHELF = rows(CATALOG, [product("a", "x > y", 2, rating=3.0), product("c", None, 1)])


@settings(deadline=None)
@given(LINES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(lines: list[dict[str, object]], random: Random) -> None:
    assert made(*lines, catalog=SHELF).equals(made(*random.sample(lines, len(lines)), catalog=SHELF))


@settings(deadline=None)
@given(LINES)
def test_sums_are_those_of_the_events_and_buyers_are_no_more_than_purchases(lines: list[dict[str, object]]) -> None:
    frame = made(*lines, catalog=SHELF)
    window = events(*lines).filter(pl.col("event_date").is_between(ago(19), DAY))
    bought = window.filter(pl.col("event_type") == "purchase")
    assert frame["purchases"].sum() == bought.height
    assert frame["units"].sum() == bought["quantity"].sum()
    assert frame["views"].sum() == window.filter(pl.col("event_type") == "view").height
    assert frame["product_id"].to_list() == sorted(set(window["product_id"]))
    for few, many in (("buyers", "purchases"), ("recent_buyers", "buyers"), ("recent_buyers", "recent_purchases"),
                      ("recent_purchases", "purchases"), ("purchases", "units")):  # fmt: skip
        assert (frame[few] <= frame[many]).all()
    assert (frame["average_price_micros"].drop_nulls().is_between(0, 3)).all()
