from datetime import UTC, date, datetime
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.marts import NONE, OTHER, WHOLE, daily_sales, list_coverage
from recsys_assets.logic.sessions import sessions
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, LANDING_CATALOG, LISTS, SESSIONS, Table

DAY, NEXT = date(2024, 3, 1), date(2024, 3, 2)
FLOOR = 3
EUR = 1_000_000
SOLD = ["lines", "units", "revenue_micros"]
RETURNED = ["returned_units", "returned_micros"]
PLACED = ["listed_products", "served_products", "places", "places_micros"]


def frame(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    nothing = dict.fromkeys(table.columns)
    return pl.DataFrame([nothing | row for row in rows], schema=table.columns)


def event(person: str, product: str = "bread", kind: str = "purchase", **more: Any) -> dict[str, Any]:
    row = {
        "event_type": kind, "event_date": DAY, "user_key": person, "product_id": product, "quantity": 1,
        "unit_price_micros": EUR,
    }  # fmt: skip
    return row | more


def product(name: str, category: str | None, day: date = DAY, **more: Any) -> dict[str, Any]:
    return {"product_id": name, "category": category, "event_date": day, "row_hash": name} | more


CATALOGUE = [
    product("bread", "Bread > Rye"),
    product("brie", "Cheese > Soft"),
    product("tea", "Tea"),
    product("x", None),
]


def sales(
    events: list[dict[str, Any]],
    visits: list[dict[str, Any]] = (),  # type: ignore[assignment]  # a tuple is a fine default of a list
    catalogue: list[dict[str, Any]] = CATALOGUE,
    days: tuple[date, ...] = (DAY,),
    floor: int = FLOOR,
) -> dict[tuple[date, str], dict[str, Any]]:
    table = daily_sales(
        frame(CLEAN_EVENTS, events), frame(SESSIONS, list(visits)), frame(LANDING_CATALOG, catalogue), days, floor
    )
    return {(row["event_date"], row["category"]): row for row in table.iter_rows(named=True)}


def test_what_a_day_sold_by_hand() -> None:
    told = sales(
        [
            event("a", order_id="1", quantity=2),
            event("a", "brie", order_id="1", unit_price_micros=3 * EUR),
            event("a", order_id="2"),
            event("b"),
            event("b", "brie", unit_price_micros=None),
            event("c", "brie"),
            event("c", order_id="1"),  # another person's order 1
            event("d", "brie", kind="view"),
        ],
        floor=1,
    )
    names = ["orders", "buyers", *SOLD]
    assert [told[DAY, WHOLE][name] for name in names] == [5, 3, 7, 8, (2 + 3 + 1 + 1 + 0 + 1 + 1) * EUR]
    assert [told[DAY, "Bread"][name] for name in names] == [4, 3, 4, 5, 5 * EUR]
    assert [told[DAY, "Cheese"][name] for name in names] == [3, 3, 3, 3, 4 * EUR]
    assert set(told) == {(DAY, WHOLE), (DAY, "Bread"), (DAY, "Cheese")}
    assert told[DAY, "Bread"]["sessions"] is None


def test_returns_are_positive_and_apart() -> None:
    back = [event(person, kind="return", quantity=-2) for person in "abc"]
    told = sales([event(person, quantity=4) for person in "abcd"] + back)
    for category in (WHOLE, "Bread"):
        assert [told[DAY, category][name] for name in ("revenue_micros", *RETURNED)] == [16 * EUR, 6, 6 * EUR]


def test_visits_are_of_the_whole_shop() -> None:
    visit = {"event_date": DAY, "views": 2, "carts": 0, "converted": False}
    visits = [visit | {"person_key": person} for person in "abcaa"]
    visits += [visit | {"person_key": person, "carts": 1, "converted": True} for person in "ab"]
    told = sales([], visits)[DAY, WHOLE]
    assert [told[name] for name in ("sessions", "visitors", "views")] == [7, 3, 14]
    assert [told[name] for name in ("carts", "converted_sessions")] == [None, None]  # of two people
    told = sales([], visits, floor=2)[DAY, WHOLE]
    assert [told[name] for name in ("carts", "converted_sessions")] == [2, 2]


def test_a_day_without_events_has_zeros_and_no_categories() -> None:
    told = sales([], days=(DAY, NEXT))
    assert set(told) == {(DAY, WHOLE), (NEXT, WHOLE)}
    assert set(told[NEXT, WHOLE].values()) == {NEXT, WHOLE, 0}


def test_a_day_with_too_few_buyers_is_withheld_and_zero_is_no_secret() -> None:
    told = sales([event("a"), event("b", "brie")])
    assert set(told) == {(DAY, WHOLE)}
    assert [told[DAY, WHOLE][name] for name in ("orders", "buyers", *SOLD)] == [None] * 5
    assert told[DAY, WHOLE]["returned_units"] == 0


def test_categories_with_too_few_buyers_are_others() -> None:
    told = sales([event(p) for p in "abc"] + [event("a", "brie"), event("b", "brie"), event("c", "tea")])
    assert set(told) == {(DAY, WHOLE), (DAY, "Bread"), (DAY, OTHER)}
    assert told[DAY, OTHER]["buyers"] == 3
    assert told[DAY, OTHER]["lines"] == 3


def test_others_that_are_too_few_together_take_the_smallest_other_category_with_them() -> None:
    bread, cheese = [event(p) for p in "abcd"], [event(p, "brie") for p in "abc"]
    told = sales([*bread, *cheese, event("a", "tea")])
    assert set(told) == {(DAY, WHOLE), (DAY, "Bread"), (DAY, OTHER)}
    assert told[DAY, OTHER]["lines"] == 3 + 1


def test_a_product_has_the_category_of_its_day_or_its_first_or_none() -> None:
    catalogue = [
        product("p", "Old", DAY),
        product("p", "New", NEXT, row_hash="1"),
        product("p", "Newest", NEXT, updated_at=datetime(2024, 3, 2, 9, tzinfo=UTC), row_hash="0"),
        product("late", "Late > Very", NEXT),
        product("broken", "Broken", problem="why"),
    ]
    names = ("p", "late", "broken", "unknown")
    events = [event("a", name) for name in names] + [event("a", "p", event_date=NEXT)]
    told = sales(events, catalogue=catalogue, days=(DAY, NEXT), floor=1)
    lines = {key: row["lines"] for key, row in told.items() if key[1] != WHOLE}
    assert lines == {(DAY, "Old"): 1, (DAY, "Late"): 1, (DAY, NONE): 2, (NEXT, "Newest"): 1}


SOME_EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from("abcdefg"),
        st.sampled_from(["bread", "brie", "tea", "x", "unknown"]),
        st.sampled_from(["purchase", "purchase", "return", "view", "add_to_cart"]),
        quantity=st.integers(1, 5),
        order_id=st.sampled_from([None, "1", "2"]),
        unit_price_micros=st.one_of(st.none(), st.integers(0, 10**12)),
        event_date=st.sampled_from([DAY, NEXT]),
    ),
    max_size=60,
)


@given(SOME_EVENTS, st.integers(1, 5))
def test_categories_add_up_and_nobody_is_told_of_too_few(events: list[dict[str, Any]], floor: int) -> None:
    for number, row in enumerate(events):
        row["quantity"] *= -1 if row["event_type"] == "return" else 1
        row |= {"event_id": str(number), "event_time": datetime(2024, 3, row["event_date"].day, tzinfo=UTC)}
    clean = frame(CLEAN_EVENTS, events)
    table = daily_sales(clean, sessions(clean, 30), frame(LANDING_CATALOG, CATALOGUE), (DAY, NEXT), floor)
    for day in (DAY, NEXT):
        rows = table.filter(event_date=day)
        whole, categories = rows.filter(category=WHOLE).row(0, named=True), rows.filter(pl.col.category != WHOLE)
        for name in SOLD + RETURNED:
            assert categories[name].sum() == (whole[name] or 0), name
        assert all(buyers == 0 or buyers >= floor for buyers in categories["buyers"].drop_nulls())
        assert all(whole[name] is None or not 0 < whole[name] < floor for name in ("buyers", "visitors"))
        alone = daily_sales(
            clean.filter(event_date=day), sessions(clean, 30).filter(event_date=day),
            frame(LANDING_CATALOG, CATALOGUE), (day,), floor,
        )  # fmt: skip
        assert alone.equals(rows)


def listed(person: str, name: str, position: int | None, **more: Any) -> dict[str, Any]:
    category = {"bread": "Bread > Rye", "brie": "Cheese", "tea": "Tea", "x": None}[name]
    row = {"person_key": person, "product_id": name, "category": category, "position": position}
    return row | {"price_micros": EUR, "purchased": False} | more


def test_coverage_by_hand() -> None:
    known = frame(CATALOG, [{k: p[k] for k in ("product_id", "category")} for p in CATALOGUE])
    known = known.with_columns(
        pl.when(pl.col.product_id == "x").then(pl.lit("price_missing")).alias("not_recommendable")
    )
    rows = [listed(person, "bread", 1, purchased=True) for person in "abc"]
    rows += [listed(person, "brie", 2 if person != "c" else None, price_micros=3 * EUR) for person in "abc"]
    table = list_coverage(frame(LISTS, [*rows, listed("d", "tea", 1)]), known, DAY, FLOOR)
    told = {row["category"]: row for row in table.iter_rows(named=True)}
    names = ["products", "recommendable", "listed_products", "served_products", "people", "places", "purchased_places"]
    assert [told[WHOLE][name] for name in names] == [4, 3, 3, 3, 4, 6, 3]
    assert told[WHOLE]["places_micros"] == (3 + 2 * 3 + 1) * EUR
    # Two people see cheese, one sees tea: three together. As candidates, tea is one person's and takes bread along.
    assert [told["Bread"][name] for name in names] == [1, 1, None, 1, 3, 3, 3]
    assert [told["Cheese"][name] for name in names] == [1, 1, 1, None, None, None, 0]
    assert [told["Tea"][name] for name in names] == [1, 1, None, None, None, None, 0]
    assert [told[NONE][name] for name in names] == [1, 0, 0, 0, 0, 0, 0]
    assert [told[OTHER][name] for name in names] == [None, None, 2, 2, 3, 3, 0]


@given(
    st.sets(st.tuples(st.sampled_from("abcdefg"), st.sampled_from(["bread", "brie", "tea", "x"])), max_size=28),
    st.integers(1, 5),
)
def test_coverage_adds_up_and_nobody_is_told_of_too_few(places: set[tuple[str, str]], floor: int) -> None:
    known = frame(CATALOG, [{k: p[k] for k in ("product_id", "category")} for p in CATALOGUE])
    rows = [listed(person, name, None if name == "brie" else 1) for person, name in sorted(places)]
    table = list_coverage(frame(LISTS, rows), known, DAY, floor)
    whole, categories = table.filter(category=WHOLE).row(0, named=True), table.filter(pl.col.category != WHOLE)
    for name in ("products", "recommendable", *PLACED):
        assert categories[name].sum() == (whole[name] or 0), name
    assert all(people == 0 or people >= floor for people in categories["people"].drop_nulls())
    assert whole["people"] is None or not 0 < whole["people"] < floor


def test_a_shop_without_lists_or_products_has_a_row() -> None:
    table = list_coverage(LISTS.empty(), CATALOG.empty(), DAY, FLOOR)
    assert table.height == 1
    assert set(table.row(0)) == {DAY, WHOLE, 0}
