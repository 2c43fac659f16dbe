"""Events become lines, baskets and looks; what a day knew does not change with what came later."""

import random
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_assets.logic.baskets import Shopping, plan_category, shopping
from recsys_assets.logic.plans import cut, is_gift
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, MICROS
from recsys_assets_tests.logic.plan_shops import Row, day, did, goods, known, shop
from recsys_assets_tests.models.builders import rows

GOODS = goods(
    {
        "rye": ("Food > Bread > Rye", 2.0),
        "oat": ("Food > Bread > Oat", 4.0),
        "tea": ("Food > Tea", 3.0),
        "pan": ("Home > Pans", 30.0),
        "odd": (None, None),
    }
)


def texts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.cast({pl.Enum: pl.String})


def plain(seen: Shopping) -> list[pl.DataFrame]:
    """Without the orders' numbers, which only say which lines belong together."""
    return [texts(frame).drop("_order", strict=False) for frame in (seen.lines, seen.baskets, seen.looks)]


def test_a_basket_is_named_by_the_category_on_which_the_most_was_spent() -> None:
    made = shop(
        [
            did("ann", "rye", 0, price=2, quantity=3, order="a"),  # bread: 3 × 2 + 1 × 4 = 10
            did("ann", "oat", 0, price=4, order="a"),
            did("ann", "tea", 0, price=9, order="a"),  # tea: 9
        ],
        GOODS,
    )
    assert texts(made.baskets).select("person_key", "event_date", "category", "product_id").rows() == [
        ("ann", day(0), "Food > Bread", "rye")  # on rye 6 were spent, on oats 4
    ]
    assert texts(made.lines).select("product_id", "price_micros", "spend_micros").rows() == [
        ("oat", 4 * MICROS, 4 * MICROS),
        ("rye", 2 * MICROS, 6 * MICROS),
        ("tea", 9 * MICROS, 9 * MICROS),
    ]


def test_of_equal_sums_more_products_decide_and_then_the_name() -> None:
    equal = [did("ann", "rye", 0, price=3, order="a"), did("ann", "tea", 0, price=3, order="a")]
    assert texts(shop(equal, GOODS).baskets)["category"].to_list() == ["Food > Bread"]
    free = [did("ann", name, 0, price=0, order="a") for name in ("rye", "tea", "oat")]
    assert texts(shop(free, GOODS).baskets).select("category", "product_id").rows() == [("Food > Bread", "oat")]


def test_lines_without_an_order_are_one_basket_a_day() -> None:
    made = shop([did("ann", "rye", 0, at=1), did("ann", "tea", 0, at=900), did("ann", "tea", 1, at=1)], GOODS)
    assert made.baskets["event_date"].to_list() == [day(0), day(1)]
    assert made.lines.group_by("_order").len().sort("_order")["len"].to_list() == [2, 1]


def test_two_people_may_have_an_order_of_one_name() -> None:
    made = shop([did("ann", "rye", 0, order="1"), did("bob", "tea", 0, order="1")], GOODS)
    assert texts(made.baskets).select("person_key", "category").rows() == [
        ("ann", "Food > Bread"),
        ("bob", "Food > Tea"),
    ]


def test_what_an_order_sells_on_another_day_is_another_basket() -> None:
    """Else what was known of the first day would change with the second."""
    made = shop([did("ann", "rye", 0, price=1, order="a"), did("ann", "pan", 1, price=30, order="a")], GOODS)
    assert texts(made.baskets)["category"].to_list() == ["Food > Bread", "Home > Pans"]
    assert texts(made.until(day(0)).baskets)["category"].to_list() == ["Food > Bread"]


def test_products_without_category_or_price_are_kept_and_unknown_ones_are_not() -> None:
    made = shop([did("ann", "odd", 0, price=0), did("ann", "not sold here", 0), did("ann", "odd", 1, "view")], GOODS)
    assert texts(made.lines).select("product_id", "category", "price_micros", "spend_micros", "_tier").rows() == [
        ("odd", "", None, 0, None)
    ]
    assert texts(made.looks).select("category", "_price", "_tier").rows() == [("", None, None)]


def test_looks_say_what_was_put_into_the_cart_and_searches_are_none() -> None:
    given = [did("ann", "rye", 0, kind, at=at) for at, kind in enumerate(["view", "add_to_cart", "return", "review"])]
    made = shop([*given, did("ann", "tea", 0, "remove_from_cart")], GOODS)
    assert made.looks["_cart"].to_list() == [False, True]
    assert made.lines.is_empty()
    assert made.baskets.is_empty()


def test_who_has_no_user_is_known_by_the_device() -> None:
    one = did("ann", "rye", 0) | {"user_key": None, "anon_key": "device"}
    nobody = did("ann", "rye", 0, order="x") | {"user_key": None}
    assert texts(shop([one, nobody], GOODS).lines)["person_key"].to_list() == ["device"]


@pytest.mark.parametrize("given", [[], [did("ann", "not sold here", 0)]])
def test_nothing_makes_empty_frames_with_all_columns(given: list[Row]) -> None:
    made, full = shop(given, GOODS), shop([did("ann", "rye", 0), did("ann", "rye", 0, "view")], GOODS)
    for empty, filled in zip(plain(made), plain(full), strict=True):
        assert empty.is_empty()
        assert empty.schema == filled.schema
    assert made.until(day(1)).lines.is_empty()
    assert shop([], CATALOG.empty()).looks.is_empty()


def test_until_keeps_the_day_itself_and_of_keeps_some_people() -> None:
    made = shop([did("ann", "rye", 0), did("bob", "tea", 1), did("bob", "tea", 2), did("bob", "tea", 3, "view")], GOODS)
    assert made.until(day(1)).lines["event_date"].to_list() == [day(0), day(1)]
    assert made.until(day(2)).looks.is_empty()
    bob = made.of(made.baskets.select("person_key").filter(pl.col("person_key") == "bob").unique())
    assert texts(bob.lines)["person_key"].to_list() == ["bob", "bob"]
    assert bob.looks.height == 1


events_drawn = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "Zoë >,\"' 1"]),
        st.sampled_from(["rye", "oat", "tea", "pan", "odd"]),
        st.integers(0, 4),
        st.sampled_from(["purchase", "purchase", "view", "add_to_cart", "remove_from_cart", "return"]),
        st.sampled_from([0, 1, 2]),
        st.sampled_from([None, "1", "2"]),
        st.sampled_from([0.0, 1.0, 3.0]),
    ),
    max_size=25,
)


def made_of(drawn: Sequence[tuple[str, str, int, str, int, str | None, float]]) -> list[Row]:
    return [did(p, i, n, kind, at=at, order=order, price=price) for p, i, n, kind, at, order, price in drawn]


@given(events_drawn, st.integers(0, 4))
def test_what_a_day_knew_does_not_change_with_later_events(
    drawn: list[tuple[str, str, int, str, int, str | None, float]], number: int
) -> None:
    everything = made_of(drawn)
    before = [one for one in everything if one["event_date"] <= day(number)]  # type: ignore[operator] # days
    for then, now in zip(plain(shop(before, GOODS)), plain(shop(everything, GOODS).until(day(number))), strict=True):
        assert_frame_equal(then, now)


@given(events_drawn, st.randoms())
def test_the_order_of_rows_does_not_matter(
    drawn: list[tuple[str, str, int, str, int, str | None, float]], dice: random.Random
) -> None:
    given_rows = made_of(drawn)
    shuffled = dice.sample(given_rows, len(given_rows))
    products = known(GOODS)
    one, other = (shopping(rows(CLEAN_EVENTS, some), products) for some in (given_rows, shuffled))
    for first, second in zip(
        (one.lines, one.baskets, one.looks), (other.lines, other.baskets, other.looks), strict=True
    ):
        assert_frame_equal(first, second)


@given(
    st.lists(st.none() | st.text(st.sampled_from("aÄ>ß \t\u00a0\u2003\x1c\x1f\u200b")), min_size=1), st.integers(1, 5)
)
def test_a_path_is_cut_alike_in_a_column_and_alone(paths: list[str | None], depth: int) -> None:
    column = pl.DataFrame({"path": paths}, schema={"path": pl.String})
    assert column.select(plan_category(pl.col("path"), depth)).to_series().to_list() == [cut(p, depth) for p in paths]


def test_paths_are_cut_at_the_depth_and_blank_parts_left_out() -> None:
    paths = pl.DataFrame({"path": ["a > b > c", "a>b", " > a >> b ", "  ", ">", None]})
    assert paths.select(plan_category(pl.col("path"), 2)).to_series().to_list() == [
        "a > b",
        "a > b",
        "a > b",
        *[None] * 3,
    ]


GIFTS = {
    "Gift card": True, "gift": True, "GESCHENK": True, "for a gift, wrapped": True, "gift-wrap": True,
    "Gifted": False, "regift": False, "gift2": True, "": False,
}  # fmt: skip


@pytest.mark.parametrize(("text", "is_one"), GIFTS.items())
def test_gifts_are_told_by_whole_words_alike_in_a_column_and_alone(text: str, is_one: bool) -> None:
    words = ("gift", "geschenk")
    catalog = goods({"x": (text, 1.0)})
    assert known(catalog)["_gift"].to_list() == [is_one]
    assert is_gift(text, words) is is_one


def test_a_tag_or_a_name_makes_a_gift_too() -> None:
    catalog = goods({"x": ("Home", 1.0), "y": ("Home", 1.0), "z": (None, None)}, x=["sale", "Present"])
    named = catalog.with_columns(pl.when(pl.col("product_id") == "y").then(pl.lit("A gift box")).alias("name"))
    assert known(named).select("product_id", "_gift").rows() == [("x", True), ("y", True), ("z", False)]


def test_tiers_are_numbers_from_cheap_to_dear_and_null_without_a_price() -> None:
    catalog = goods({f"p{price}": ("Home", float(price)) for price in range(1, 11)} | {"free": ("Home", None)})
    tiers = dict(known(catalog).select("product_id", "_tier").rows())
    assert tiers["free"] is None
    assert (tiers["p1"], tiers["p10"]) == (0, 2)
    assert sorted({tier for tier in tiers.values() if tier is not None}) == [0, 1, 2]
