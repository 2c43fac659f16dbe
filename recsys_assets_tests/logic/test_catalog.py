from datetime import UTC, date, datetime, timedelta
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.logic.catalog import catalog, top_category
from recsys_assets.tables import CATALOG, LANDING_CATALOG, LANDING_RATES, MICROS
from recsys_assets_tests.models.builders import event, events, rows

DAY = date(2024, 5, 10)


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def landed(product: str = "a", day: date = DAY, **more: object) -> dict[str, object]:
    return {
        "product_id": product,
        "event_date": day,
        "name": f"Name of {product}",
        "unit_price_micros": 2 * MICROS,
        "currency": "EUR",
        "row_hash": "0",
    } | more


def made(*given_rows: dict[str, object], bought: tuple[dict[str, object], ...] = (), day: date = DAY) -> pl.DataFrame:
    return catalog(rows(LANDING_CATALOG, list(given_rows)), events(*bought), day, LANDING_RATES.empty(), "EUR")


def names(frame: pl.DataFrame) -> list[str | None]:
    return frame["name"].to_list()


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def test_the_row_of_a_product_is_kept_whole() -> None:
    full = landed(
        parent_id="family", description="What it is", category="Grocery > Bread", brand="Mill",
        list_price_micros=3 * MICROS, image_url="https://example.org/a.jpg", url="https://example.org/a",
        tags=["vegan"], rating=4.5, in_stock=True, stock_level=4, shipping_days=2, attributes='{"grain": "rye"}',
        updated_at=at(DAY, 9),
    )  # fmt: skip
    row = made(full).row(0, named=True)
    assert row == {name: full.get(name) for name in CATALOG.columns} | {
        "updated_date": DAY,
        "not_recommendable": None,
    }


def test_the_newest_row_holds_by_updated_at() -> None:
    older, newer = landed(name="old", updated_at=at(DAY, 8)), landed(name="new", updated_at=at(DAY, 9), row_hash="-")
    assert names(made(newer, older)) == ["new"]


def test_of_rows_of_one_time_the_later_landing_holds_and_in_one_file_the_later_line() -> None:
    """A hash decided before: 505 of 1,000 products stayed at the older price."""
    monday = [landed(name=f"{line}", row_hash=f"{9 - line}", source_line=line, landed_at=at(DAY, 7)) for line in (1, 2)]
    assert names(made(*monday)) == names(made(*reversed(monday))) == ["2"]
    later = landed(name="later", source_file="another", source_line=1, landed_at=at(DAY, 8))
    assert names(made(later, *monday)) == ["later"]
    timed = [row | {"updated_at": at(DAY, 6)} for row in (later, *monday)]
    assert names(made(*timed)) == ["later"]


def test_an_undated_row_that_landed_on_its_day_is_newer_than_what_was_dated_before_the_landing() -> None:
    undated = landed(name="undated", landed_at=at(DAY, 20))
    seven, nine = (landed(name=f"{hour}", updated_at=at(DAY, hour), landed_at=at(DAY, 7)) for hour in (7, 21))
    assert names(made(undated, seven)) == ["undated"]
    assert names(made(undated, seven, nine)) == ["21"]


def test_a_row_without_updated_at_holds_from_the_start_of_its_day() -> None:
    undated = landed(name="undated")
    assert names(made(undated, landed(name="day before", day=ago(1), updated_at=at(ago(1), 23)))) == ["undated"]
    assert names(made(undated, landed(name="later that day", updated_at=at(DAY, 1)))) == ["later that day"]


def test_the_evening_before_is_not_newer_where_days_end_after_midnight_utc() -> None:
    # 22:00 in New York on the day before is 02:00 UTC of the day whose undated row came later.
    evening = landed(name="evening before", day=ago(1), updated_at=at(DAY, 2))
    assert names(made(landed(name="undated"), evening)) == ["undated"]


def test_a_row_from_before_the_homes_first_day_is_older_than_that_days_snapshot() -> None:
    last_year = landed(name="last year", updated_at=at(date(2023, 5, 1), 12), row_hash="9")
    assert names(made(last_year, landed(name="snapshot"))) == ["snapshot"]


def test_a_past_day_sees_the_prices_of_its_own() -> None:
    old, new = landed(day=ago(5), unit_price_micros=1), landed(day=ago(2), unit_price_micros=3)
    prices = [made(old, new, day=ago(days))["unit_price_micros"].to_list() for days in (6, 5, 3, 2, 0)]
    assert prices == [[], [1], [1], [3], [3]]
    assert made(old, new)["updated_date"].to_list() == [ago(2)]


def test_a_row_with_a_problem_is_ignored() -> None:
    good, bad = landed(day=ago(1), name="good"), landed(name="bad", unit_price_micros=-1, problem="price_negative")
    assert names(made(good, bad)) == ["good"]
    assert made(bad).is_empty()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"in_stock": True, "stock_level": 1}, None),
        ({"unit_price_micros": 0}, "price_missing"),
        ({"in_stock": False}, "out_of_stock"),
        ({"in_stock": False, "stock_level": 3}, "out_of_stock"),
        ({"stock_level": 0}, "out_of_stock"),
        ({"stock_level": -1}, "out_of_stock"),
        ({"in_stock": False, "unit_price_micros": 0}, "price_missing"),
    ],
)
def test_why_a_product_is_not_recommended(change: dict[str, object], why: str | None) -> None:
    assert made(landed() | change)["not_recommendable"].to_list() == [why]


@pytest.mark.parametrize(("stock", "why"), [(2, "out_of_stock"), (3, None), (None, None)])
def test_bans_and_a_low_stock_are_said_by_the_catalogue(stock: int | None, why: str | None) -> None:
    given_rows = [landed("a", stock_level=stock), landed("b", unit_price_micros=0)]
    frame = catalog(
        rows(LANDING_CATALOG, given_rows), events(event("p", "c", DAY)), DAY, LANDING_RATES.empty(), "EUR",
        bans=("b", "c", "gone"), stock_at_least=3,
    )  # fmt: skip
    assert frame.select("product_id", "not_recommendable").rows() == [("a", why), ("b", "banned"), ("c", "banned")]


def test_a_catalogue_with_prices_means_what_it_leaves_out() -> None:
    frame = made(landed("a"), landed("b", unit_price_micros=None), bought=(event("p", "b", DAY, price=MICROS),))
    assert frame["unit_price_micros"].to_list() == [2 * MICROS, None]
    assert frame["not_recommendable"].to_list() == [None, "price_missing"]


def test_of_prices_paid_in_one_second_the_highest_holds_whatever_the_events_are_called() -> None:
    paid = [event("p", "a", DAY, price=MICROS), event("q", "a", DAY, price=2 * MICROS)]
    for bought in (paid, paid[::-1]):
        frame = made(landed("a", unit_price_micros=None), bought=tuple(bought))
        assert frame["unit_price_micros"].to_list() == [2 * MICROS]


def test_a_catalogue_without_any_price_gets_the_last_one_that_somebody_paid() -> None:
    frame = made(
        landed("a", unit_price_micros=None, currency="EUR"),
        landed("b", unit_price_micros=None, list_price_micros=9 * MICROS),
        landed("c", unit_price_micros=None),
        bought=(
            event("p", "a", ago(3), price=5 * MICROS) | {"list_price_micros": 6 * MICROS, "currency": "EUR"},
            event("p", "a", ago(1), price=3 * MICROS, hour=8) | {"list_price_micros": None, "currency": "EUR"},
            event("q", "a", ago(1), price=4 * MICROS, hour=9) | {"list_price_micros": 7 * MICROS, "currency": "EUR"},
            event("q", "a", DAY, price=0),  # a gift is no price
            event("q", "a", DAY, "view", price=8 * MICROS),  # nobody paid it
            event("q", "a", DAY, "return", quantity=-1, price=8 * MICROS),
            event("q", "b", DAY, price=2 * MICROS) | {"list_price_micros": 3 * MICROS, "currency": "EUR"},
        ),
    )
    columns = ("product_id", "unit_price_micros", "list_price_micros", "currency", "not_recommendable")
    assert frame.select(columns).rows() == [
        ("a", 4 * MICROS, 7 * MICROS, "EUR", None),
        ("b", 2 * MICROS, 9 * MICROS, "EUR", None),  # the catalogue's own list price stays
        ("c", None, None, None, "price_missing"),
    ]


def test_of_two_purchases_at_one_time_the_later_id_is_the_last_price() -> None:
    bought = (event("p", "a", DAY, price=1) | {"event_id": "1"}, event("p", "a", DAY, price=2) | {"event_id": "2"})
    for lines in (bought, bought[::-1]):
        assert made(landed(unit_price_micros=None), bought=lines)["unit_price_micros"].to_list() == [2]


def test_later_days_are_not_looked_at() -> None:
    tomorrow = (event("p", "a", ago(-1), price=9), event("p", "z", ago(-1)))
    frame = made(landed(unit_price_micros=None), landed(day=ago(-1), name="tomorrow"), bought=tomorrow)
    assert frame.select("product_id", "name", "unit_price_micros").rows() == [("a", "Name of a", None)]


def test_a_product_sold_but_not_in_the_catalogue_is_known_and_not_recommended() -> None:
    sold = event("p", "b", DAY, price=3 * MICROS) | {"list_price_micros": 4 * MICROS, "currency": "EUR"}
    frame = made(landed("a"), bought=(sold, event("p", "c", DAY, "view"), event("p", None, DAY, "search")))
    columns = ("product_id", "name", "unit_price_micros", "list_price_micros", "currency", "not_recommendable")
    assert frame.select(columns).rows() == [
        ("a", "Name of a", 2 * MICROS, None, "EUR", None),
        ("b", None, 3 * MICROS, 4 * MICROS, "EUR", "product_unknown"),
        ("c", None, None, None, None, "product_unknown"),
    ]
    assert frame["updated_date"].to_list() == [DAY, None, None]


def test_a_shop_without_a_catalogue_recommends_what_was_sold() -> None:
    frame = made(bought=(event("p", "a", DAY), event("p", "b", DAY, "view"), event("p", "c", DAY, price=0)))
    assert frame.select("product_id", "unit_price_micros", "not_recommendable").rows() == [
        ("a", MICROS, None),
        ("b", None, "price_missing"),
        ("c", None, "price_missing"),
    ]


def test_no_products() -> None:
    assert made().equals(CATALOG.empty())


@pytest.mark.parametrize(
    ("path", "top"),
    [
        ("Bread", "Bread"),
        ("Bread > Rye", "Bread"),
        (" Bread>Rye>x", "Bread"),
        ("", None),
        (" > Rye", None),
        (None, None),
    ],
)
def test_top_category(path: str | None, top: str | None) -> None:
    assert pl.select(top_category(pl.lit(path, pl.String))).item() == top


ROWS = st.lists(
    st.builds(
        landed,
        st.sampled_from("abc"),
        st.integers(-2, 3).map(ago),
        unit_price_micros=st.sampled_from([None, 0, 1, 2]),
        row_hash=st.uuids().map(str),
        updated_at=st.none() | st.integers(0, 23).map(lambda hour: at(ago(3), hour)),
        in_stock=st.sampled_from([None, True, False]),
        problem=st.sampled_from([None, None, None, "price_negative"]),
    ),
    max_size=8,
)
LINES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(-2, 3), st.sampled_from([0, 1, 2])), max_size=8, unique=True
).map(lambda found: [event("p", product, ago(days), price=price) for product, days, price in found])


@settings(deadline=None)
@given(ROWS, LINES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(
    products: list[dict[str, object]], lines: list[dict[str, object]], random: Random
) -> None:
    lines = [line | {"event_id": str(place)} for place, line in enumerate(lines)]
    one_way = made(*products, bought=tuple(lines))
    other = made(*random.sample(products, len(products)), bought=tuple(random.sample(lines, len(lines))))
    assert one_way.equals(other)
    assert one_way["product_id"].is_unique().all()
    assert one_way["product_id"].is_sorted()


@settings(deadline=None)
@given(ROWS, LINES)
def test_every_price_stands_in_a_row_that_was_valid_by_the_day(
    products: list[dict[str, object]], lines: list[dict[str, object]]
) -> None:
    def known(found: list[dict[str, object]]) -> set[tuple[object, object]]:
        return {
            (row["product_id"], row["unit_price_micros"])
            for row in found
            if str(row["event_date"]) <= str(DAY) and row.get("problem") is None
        }

    told, paid = known(products), known(lines)
    frame = made(*products, bought=tuple(lines))
    assert set(frame["product_id"]) == {product for product, _ in told | paid}
    for product, price, why in frame.select("product_id", "unit_price_micros", "not_recommendable").rows():
        assert price is None or (product, price) in told | paid
        assert why is not None or price


def rate(currency: str, day: date, value: str) -> dict[str, object]:
    return {"currency": currency, "event_date": day, "rate": value, "landed_at": at(DAY, 0)}


def test_prices_are_converted_at_the_days_own_rate_and_without_one_nothing_is_recommended() -> None:
    products = [
        landed("dollar", ago(9), currency="USD", list_price_micros=4 * MICROS),
        landed("euro", ago(9)),
        landed("yen", ago(9), currency="JPY"),
        landed("unpriced", ago(9), currency="JPY", unit_price_micros=None),
    ]
    known = rows(LANDING_RATES, [rate("USD", ago(5), "0.5"), rate("USD", ago(1), "0.25"), rate("JPY", DAY, "0.01")])
    columns = ("product_id", "unit_price_micros", "list_price_micros", "currency", "not_recommendable")

    def on(day: date) -> list[tuple[object, ...]]:
        return catalog(rows(LANDING_CATALOG, products), events(), day, known, "EUR").select(columns).rows()

    assert on(ago(1)) == [
        ("dollar", MICROS // 2, MICROS, "EUR", None),
        ("euro", 2 * MICROS, None, "EUR", None),
        ("unpriced", None, None, "EUR", "price_missing"),
        ("yen", None, None, "JPY", "currency_without_rate"),
    ]
    assert on(ago(2))[0] == ("dollar", MICROS, 2 * MICROS, "EUR", None)
    assert on(ago(6))[0] == ("dollar", None, None, "USD", "currency_without_rate")
    assert on(DAY)[3] == ("yen", MICROS // 50, None, "EUR", None)


def test_a_catalogue_of_list_prices_alone_is_converted_too() -> None:
    product = landed("a", unit_price_micros=None, list_price_micros=4 * MICROS, currency="USD")
    known = rows(LANDING_RATES, [rate("USD", ago(5), "0.5")])
    sold = events(event("p", "a", DAY, price=MICROS) | {"currency": "EUR"})
    made_of = catalog(rows(LANDING_CATALOG, [product]), sold, DAY, known, "EUR").row(0, named=True)
    assert (made_of["unit_price_micros"], made_of["list_price_micros"], made_of["currency"]) == (
        MICROS, 2 * MICROS, "EUR",
    )  # fmt: skip
