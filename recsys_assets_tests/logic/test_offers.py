"""From a plan to its offer: what each part of the fit costs, and what a list of few may hold."""

from collections.abc import Sequence
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_assets.logic.offers import SCHEMA, offers
from recsys_assets.tuning import Tuning

PRICES = ("price_low_micros", "price_middle_micros", "price_high_micros")
_PLAN: dict[str, Any] = {
    **dict.fromkeys(("person_key", "intent", "trigger"), pl.String),
    "categories": pl.List(pl.String),
    "category_probabilities": pl.List(pl.Float64),
    **dict.fromkeys(PRICES, pl.Int64),
}
PLAN = pl.Schema(_PLAN)
CANDIDATE = pl.Schema(
    {"person_key": pl.String, "product_id": pl.String, "rank": pl.Int64, "category": pl.String}
    | {"price_micros": pl.Int64}
    | dict.fromkeys(("parent_id", "brand", "reason_code", "name"), pl.String)
    | {"purchased": pl.Boolean}
)
Row = dict[str, Any]


def plan(person: str = "p", /, **other: Any) -> Row:
    """Tea before mugs before pots, for 10 to 40 with 20 in the middle."""
    return {
        "person_key": person, "intent": "explore", "categories": ["Tea", "Mugs", "Pots"],
        "category_probabilities": [0.4, 0.2, 0.0], "price_low_micros": 10, "price_middle_micros": 20,
        "price_high_micros": 40, "trigger": "on-page",
    } | other  # fmt: skip


NO_BRACKET: Row = dict.fromkeys(PRICES)


def product(name: str, rank: int = 1, /, **other: Any) -> Row:
    return {
        "person_key": "p", "product_id": name, "rank": rank, "category": "Tea", "price_micros": 20, "parent_id": None,
        "brand": None, "reason_code": "taste", "name": name, "purchased": False,
    } | other  # fmt: skip


def offered(plans: Sequence[Row], products: Sequence[Row], **knobs: int) -> pl.DataFrame:
    made = offers(
        pl.DataFrame(plans, PLAN), pl.DataFrame(products, CANDIDATE), Tuning.model_validate({"offers": knobs})
    )
    assert made.schema == SCHEMA
    return made


def ids(made: pl.DataFrame) -> list[str]:
    return made["product_id"].to_list()


def fit(plan_: Row, **about: Any) -> float:
    """Of one product, alone."""
    return float(offered([plan_], [product("a", **about)])["_fit"].item())


def test_what_nothing_speaks_against_fits_wholly() -> None:
    assert offered([plan()], [product("a")]).rows() == [("p", 1, "a", "taste", 1.0)]


def test_the_parts_multiply() -> None:
    # 16 ** -1/4 = 1/2; half as likely as the first: 1/4 + 3/4 * 1/2; twice the ceiling: (1/2) ** 2
    assert fit(plan(), rank=16, category="Mugs", price_micros=80) == 1 / 2 * 5 / 8 * 1 / 4


@pytest.mark.parametrize(
    ("category", "share"), [("Tea", 1.0), ("Mugs", 0.625), ("Pots", 0.25), ("Cars", 0.25), (None, 0.25), ("", 0.25)]
)
def test_categories_count_by_their_probability(category: str | None, share: float) -> None:
    assert fit(plan(), category=category) == share
    assert fit(plan(categories=[], category_probabilities=[]), category=category) == 1
    assert fit(plan(categories=None, category_probabilities=None), category=category) == 1


@pytest.mark.parametrize(
    ("price", "share"),
    [(10, 1.0), (40, 1.0), (80, 1 / 4), (160, 1 / 16), (5, 1 / 2), (1, 1 / 10), (None, 0.1), (0, 0.1)],
)
def test_prices_count_by_the_distance_to_the_bracket(price: int | None, share: float) -> None:
    assert fit(plan(), price_micros=price) == pytest.approx(share)
    assert fit(plan(**NO_BRACKET), price_micros=price) == (1.0 if price else 0.1)


def test_a_bracket_that_is_not_whole_is_none() -> None:
    assert fit(plan(price_low_micros=None), price_micros=9_999) == 1


@pytest.mark.parametrize("intent", ["gift", "upgrade", "accessory", "explore"])
def test_what_was_bought_is_only_replenished(intent: str) -> None:
    bought, new = product("a", purchased=True), product("b", rank=2)
    assert ids(offered([plan(intent="replenish")], [bought, new])) == ["a", "b"]
    assert ids(offered([plan(intent=intent)], [bought, new])) == ["b", "a"]
    assert fit(plan(intent="replenish"), purchased=None) == 0.4  # not known to have been bought


def test_an_upgrade_starts_at_the_middle() -> None:
    shares = [fit(plan(intent="upgrade"), price_micros=price) for price in (19, 20, 40)]
    assert shares == [0.4, 1, 1]
    assert fit(plan(intent="upgrade", **NO_BRACKET), price_micros=1) == 1


@pytest.mark.parametrize(
    ("name", "category", "share"),
    [("A GIFT box", "Tea", 1.0), ("Box", "Gift", 0.25), ("Geschenk2", "Tea", 1.0), ("Gifted", "Tea", 0.4),
     (None, None, 0.4 * 0.25)],
)  # fmt: skip
def test_a_gift_says_that_it_is_one(name: str | None, category: str | None, share: float) -> None:
    assert fit(plan(intent="gift"), name=name, category=category) == pytest.approx(share)


def test_gift_words_are_words_and_no_patterns() -> None:
    tuning = Tuning.model_validate({"planner": {"gift_words": ["a.b", "für (dich)", "["]}})
    made = offers(
        pl.DataFrame([plan(intent="gift")], PLAN),
        pl.DataFrame([product("1", name="axb"), product("2", name="Etwas FÜR (dich)")], CANDIDATE), tuning,
    )  # fmt: skip
    assert dict(made.select("product_id", "_fit").rows()) == {"2": 1.0, "1": 0.4}


def test_an_accessory_is_of_another_kind_than_what_the_person_has() -> None:
    has, same, other = product("a", purchased=True), product("b"), product("c", category="Mugs")
    made = dict(offered([plan(intent="accessory")], [has, same, other]).select("product_id", "_fit").rows())
    assert made == {"c": 0.625, "b": 0.4, "a": pytest.approx(0.4 * 0.4)}


def test_what_the_person_has_counts_though_it_is_no_candidate() -> None:
    """The owner of a phone in a shop without repeats, whose candidates hold no phone of theirs."""
    second, case = product("phone", category="Phones"), product("case", 9, category="Cases")
    goes_with = plan(intent="accessory", categories=["Phones", "Cases"], category_probabilities=[0.5, 0.5])
    candidates = pl.DataFrame([second, case], CANDIDATE)
    for owned, expected in ((["Phones", None], ["case", "phone"]), ([], ["phone", "case"])):
        has = pl.DataFrame(
            {"person_key": ["p"] * len(owned), "category": owned}, candidates.select("person_key", "category").schema
        )
        assert ids(offers(pl.DataFrame([goes_with], PLAN), candidates, Tuning(), has)) == expected


@pytest.mark.parametrize(("at_most", "expected"), [(1, "ad"), (2, "abd"), (0, "abcd")])
def test_variants_of_an_offer_are_few(at_most: int, expected: str) -> None:
    goods = [product(name, place, parent_id="x") for place, name in enumerate("abc", 1)] + [product("d", 4)]
    made = offers(pl.DataFrame([plan()], PLAN), pl.DataFrame(goods, CANDIDATE), Tuning(variants_at_most=at_most))
    assert ids(made) == list(expected)


def test_what_one_person_has_says_nothing_of_another() -> None:
    made = offered(
        [plan(intent="accessory"), plan("q", intent="accessory")],
        [product("a", purchased=True), product("b", person_key="q")],
    )
    assert made.filter(pl.col("person_key") == "q")["_fit"].to_list() == [1.0]


def test_in_the_cart_small_additions_come_first() -> None:
    shares = [fit(plan(trigger="in-cart"), price_micros=price) for price in (10, 20, 40)]
    assert shares == [1, 1, 1 / 2]
    assert fit(plan(trigger="in-cart"), price_micros=None) == 0.1
    upgrade = plan(trigger="in-cart", intent="upgrade")
    assert fit(upgrade, price_micros=40) == 1 / 2 > fit(upgrade, price_micros=19)


def test_after_a_purchase_comes_what_goes_with_it() -> None:
    bought = product("a", purchased=True)
    rows = [bought, product("b"), product("c", category="Mugs")]
    made = dict(offered([plan(trigger="post-purchase")], rows).select("product_id", "_fit").rows())
    assert made == {"c": 0.625, "b": 0.6, "a": pytest.approx(0.4 * 0.4)}
    assert fit(plan(trigger="post-purchase", intent="replenish"), purchased=True) == 1


def test_a_family_is_offered_once_by_its_best() -> None:
    rows = [product("a", 2, parent_id="f"), product("b", 1, parent_id="f"), product("f", 3), product("c", 4)]
    assert ids(offered([plan()], rows)) == ["b", "c"]


def test_a_product_listed_twice_counts_by_its_better_rank() -> None:
    made = offered([plan()], [product("a", 16, reason_code="popular"), product("a", 1)])
    assert made.rows() == [("p", 1, "a", "taste", 1.0)]


def test_ties_go_to_the_lower_product_id() -> None:
    rows = [product(name, parent_id=parent) for name, parent in (("d", None), ("c", "f"), ("b", "f"), ("a", None))]
    assert ids(offered([plan()], rows)) == ids(offered([plan()], rows[::-1])) == ["a", "b", "d"]


def test_all_of_one_family() -> None:
    assert ids(offered([plan()], [product(str(i), i + 1, parent_id="f") for i in range(9)])) == ["0"]


def test_two_of_a_brand_while_there_are_others() -> None:
    rows = [product(f"a{i}", i + 1, brand="A") for i in range(6)]
    assert ids(offered([plan()], rows)) == ["a0", "a1", "a2", "a3", "a4"]  # there is no other
    rows.append(product("b", 7, brand="B", category="Cars"))  # fits badly, and is another
    assert ids(offered([plan()], rows)) == ["a0", "a1", "b"]
    rows += [product("n0", 8), product("n1", 9), product("n2", 10)]  # of no brand: these are not alike
    assert ids(offered([plan()], rows)) == ["a0", "a1", "n0", "n1", "n2"]


def test_beyond_the_least_only_what_is_worth_it() -> None:
    good = [product(f"a{i}", 1) for i in range(3)]
    assert ids(offered([plan()], [*good, product("b", 16)])) == ["a0", "a1", "a2", "b"]  # exactly half
    assert ids(offered([plan()], [*good, product("b", 17)])) == ["a0", "a1", "a2"]
    assert ids(offered([plan()], [*good, product("b", 17)], least=4)) == ["a0", "a1", "a2", "b"]
    assert ids(offered([plan()], [product(f"a{i}") for i in range(9)], least=1, most=2)) == ["a0", "a1"]


def test_a_shop_with_few_products_offers_what_it_has() -> None:
    assert ids(offered([plan()], [product("a"), product("b", category=None, price_micros=None, name=None)])) == [
        "a",
        "b",
    ]


def test_a_plan_of_unknown_categories_offers_by_the_rest() -> None:
    rows = [product("a", 2), product("b", 1)]
    made = offered([plan(categories=["X"], category_probabilities=[0.9])], rows)
    assert made["_fit"].to_list() == [0.25, pytest.approx(0.25 * 2**-0.25)]
    assert ids(made) == ["b", "a"]


def test_nobody_and_nothing() -> None:
    assert offered([], []).is_empty()
    assert offered([plan()], []).is_empty()
    assert offered([], [product("a")]).is_empty()
    assert offered([plan(), plan("q")], [product("a", person_key="q")])["person_key"].to_list() == ["q"]


def test_columns_that_hold_nothing_may_have_no_type() -> None:
    bare = ("category", "parent_id", "brand", "reason_code", "name", "purchased", "price_micros")
    rows = pl.DataFrame([product("a") | dict.fromkeys(bare)])
    assert rows["brand"].dtype == pl.Null
    assert offers(pl.DataFrame([plan()], PLAN), rows, Tuning())["_fit"].to_list() == [0.25 * 0.1]


def test_five_thousand_products_hold_the_planted_one() -> None:
    rows = [product(f"{i:04}", i + 1, category="Cars", price_micros=900 + i) for i in range(4_999)]
    assert ids(offered([plan()], [*rows, product("planted", 5_000)]))[0] == "planted"


# What is said of a product is the same wherever it is listed, but for its rank and who bought it.
PRODUCTS = st.fixed_dictionaries(
    dict.fromkeys(
        "abcdefghij",
        st.fixed_dictionaries(
            {"category": st.sampled_from(["Tea", "Mugs", "Cars", None])}
            | {"price_micros": st.sampled_from([None, 0, 5, 20, 35, 200])}
            | {"parent_id": st.sampled_from([None, None, "f", "g", "a"])}
            | {"brand": st.sampled_from([None, "A", "A", "B"])}
        ),
    )
)
LISTED = st.lists(
    st.tuples(
        st.sampled_from("pq"), st.sampled_from("abcdefghij"), st.integers(1, 20), st.sampled_from([None, True, False])
    ),
    max_size=25,
)
PLANS = st.builds(
    lambda intent, trigger, bracket, categories: plan(
        intent=intent, trigger=trigger, categories=categories, category_probabilities=[0.3] * len(categories), **bracket
    ),
    st.sampled_from(["gift", "upgrade", "accessory", "replenish", "explore"]),
    st.sampled_from(["on-page", "in-cart", "post-purchase"]),
    st.sampled_from([{}, NO_BRACKET]),
    st.sampled_from([[], ["Tea"], ["Mugs", "Tea"]]),
)


@settings(max_examples=50)
@given(PLANS, PRODUCTS, LISTED, st.randoms(use_true_random=False))
def test_whatever_the_order_of_rows_an_offer_is_the_same_and_whole(
    planned: Row, facts: dict[str, Row], listed: list[tuple[str, str, int, bool | None]], random: Random
) -> None:
    plans = [planned, planned | {"person_key": "q"}]
    rows = [product(name, at, person_key=person, purchased=had, **facts[name]) for person, name, at, had in listed]
    made = offered(plans, rows)
    assert_frame_equal(made, offered(plans[::-1], random.sample(rows, len(rows))))
    # What is there for others does not matter.
    assert_frame_equal(
        made.filter(pl.col("person_key") == "p"), offered(plans, [row for row in rows if row["person_key"] == "p"])
    )
    for person in ("p", "q"):
        families = {
            row["product_id"]: row["parent_id"] or row["product_id"] for row in rows if row["person_key"] == person
        }
        mine = made.filter(pl.col("person_key") == person)
        assert set(ids(mine)) <= set(families)
        assert min(3, len(set(families.values()))) <= mine.height <= 5
        assert len({families[name] for name in ids(mine)}) == mine.height
        assert mine["place"].to_list() == list(range(1, mine.height + 1))
        assert mine["_fit"].is_between(0, 1).all()
        assert mine.sort("_fit", "product_id", descending=[True, False]).equals(mine)


@settings(max_examples=50)
@given(PLANS, st.lists(st.sampled_from(["A", "B", "C", None]), max_size=12), st.integers(1, 3))
def test_brands_and_families_of_products_that_are_told_apart(
    planned: Row, brands: list[str | None], sizes: int
) -> None:
    rows = [product(f"{i:02}", i + 1, brand=brand, parent_id=f"f{i // sizes}") for i, brand in enumerate(brands)]
    chosen = ids(offered([planned], rows))
    families = [int(name) // sizes for name in chosen]
    assert len(families) == len(set(families))
    assert len(chosen) >= min(3, len({i // sizes for i in range(len(rows))}))
    heads = {i // sizes: brand for i, brand in reversed(list(enumerate(brands)))}  # the best of each family
    for brand in ("A", "B", "C"):
        assert [heads[family] for family in families].count(brand) <= 2 or set(heads.values()) == {brand}
