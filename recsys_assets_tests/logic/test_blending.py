"""Lists that are put together when they are asked for."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.blending import (
    REACH,
    SAME_KIND,
    Filters,
    Product,
    asked,
    by_member,
    few_variants,
    fused,
    other_kinds_first,
    summed,
    topped_up,
)

IDS = st.sampled_from("abcdefghij")
PRICES = st.none() | st.integers(1, 9)


@dataclass(frozen=True)
class Told:
    in_stock: bool | None
    price_micros: int | None


@st.composite
def lists(draw: st.DrawFn) -> list[Product]:
    """A list as it is kept: each product once, scores falling."""
    ids = draw(st.lists(IDS, unique=True))
    scores = sorted(draw(st.lists(st.floats(0, 1), min_size=len(ids), max_size=len(ids))), reverse=True)
    return [
        {"id": name, "score": score, "price_micros": draw(PRICES), "category": draw(st.sampled_from(["x > y", "z"])),
         "purchased": draw(st.none() | st.booleans()), "reason": "why", "source": "hybrid"}
        for name, score in zip(ids, scores, strict=True)
    ]  # fmt: skip


FILTERS = st.builds(
    Filters,
    exclude=st.frozensets(IDS, max_size=3),
    exclude_purchased=st.booleans(),
    price_min=PRICES,
    price_max=PRICES,
    category=st.sampled_from([None, "x"]),
    changes=st.dictionaries(IDS, st.builds(Told, st.none() | st.booleans(), PRICES), max_size=4),
)


@given(FILTERS, lists(), lists(), lists(), st.integers(1, 12))
def test_an_answer_holds_nothing_that_a_filter_refuses(
    filters: Filters, own: list[Product], near: list[Product], popular: list[Product], limit: int
) -> None:
    def made() -> list[Product]:
        parts = [list(filters.passed(part)) for part in (own, near)]
        families = {"a": "a b", "b": "a b"}
        named = ((p, str(families.get(p["id"], p["id"]))) for p in fused(zip((1.0, 0.5), parts, strict=True)))
        blended = few_variants(named, ["c"])
        return topped_up(list(blended), [filters.passed(popular)], limit)

    products = made()
    ids = [product["id"] for product in products]
    scores = [product["score"] for product in products]
    assert len(ids) == len(set(ids)) <= limit
    assert scores == sorted(scores, reverse=True)
    assert products == made()  # of the same parts the same answer
    for product in products:
        told = filters.changes.get(product["id"])
        assert product["id"] not in filters.exclude
        assert told is None or told.in_stock is not False
        if told is not None and told.price_micros is not None:
            assert product["price_micros"] == told.price_micros
        if filters.price_min is not None or filters.price_max is not None:
            assert (filters.price_min or 0) <= product["price_micros"] <= (filters.price_max or 9)
        assert not (filters.exclude_purchased and product["purchased"])
        assert filters.category is None or product["category"] == "x > y"
    if len(ids) < limit:  # nothing that may be shown is missing
        allowed = {p["id"] for part in (own, near) for p in filters.passed(part)} - {"c"}
        if "a" in allowed and "b" in allowed:  # variants of one parent
            allowed -= {"a", "b"} - set(ids)
        assert set(ids) == allowed | {p["id"] for p in filters.passed(popular)}


@given(lists(), lists())
def test_a_part_alone_stays_and_what_both_parts_name_first_leads(one: list[Product], other: list[Product]) -> None:
    assert fused([(1.0, one), (0.5, [])]) == one == fused([(1.0, one), (0.0, other)])
    both = fused([(1.0, one), (0.5, other)])
    assert {p["id"] for p in both} == {p["id"] for p in one + other}
    if one and other and one[0]["id"] == other[0]["id"]:
        assert (both[0]["id"], both[0]["score"]) == (one[0]["id"], 1.0)


def test_who_speaks_loudest_for_a_product_gives_its_reason_and_facts_are_filled() -> None:
    own = [{"id": "a", "score": 1.0, "reason": "mine", "source": "hybrid", "price_micros": None},
           {"id": "b", "score": 0.5, "reason": "mine", "source": "hybrid", "price_micros": 2}]  # fmt: skip
    near = [{"id": "b", "score": 1.0, "reason": "near", "source": "similar", "price_micros": 3}]
    assert [(p["id"], p["reason"], p["price_micros"]) for p in fused([(1.0, own), (1.0, near)])] == [
        ("b", "near", 2), ("a", "mine", None),
    ]  # fmt: skip
    assert [p["reason"] for p in fused([(1.0, own), (0.1, near)]) if p["id"] == "b"] == ["mine"]
    assert own[1]["reason"] == "mine"  # what is kept in memory is left alone


def test_a_visit_asks_its_last_products_and_fades() -> None:
    long = [str(n) for n in range(REACH + 5)]
    weights = asked(long)
    assert list(weights) == long[:4:-1]
    assert weights[long[-1]] == 1.0
    assert weights[long[5]] == 1 / REACH
    assert asked([]) == {}
    assert summed({}, {}) == summed({"a": 1.0}, {}) == summed({"a": 1.0}, {"a": [("b", 0.0)]}) == []
    # 1 * .5 + 1/2 * 1 = 1 for x, 1/2 * 2 = 1 for y: equal, so by id.
    assert summed(asked(["b", "a"]), {"a": [("x", 0.5)], "b": [("y", 2.0), ("x", 1.0)]}) == [("x", 1.0), ("y", 1.0)]


def test_complements_of_another_kind_come_first_where_they_are_near_enough() -> None:
    kinds = {"rye": "bread", "wheat": "bread", "butter": "dairy", "odd": None}
    scored = [("rye", 1.0), ("wheat", 0.9), ("butter", 0.6), ("odd", 0.1)]
    assert [name for name, _ in other_kinds_first(scored, kinds, {"bread", None})] == ["butter", "rye", "wheat", "odd"]
    assert dict(other_kinds_first(scored, kinds, {"bread", None}))["rye"] == SAME_KIND
    assert other_kinds_first(scored, kinds, {None}) == scored  # an unknown kind is no kind


def test_a_member_that_says_nothing_leaves_products_out() -> None:
    row = [{"id": "a", "score": 1.0}, {"id": "b", "score": 0.9}, {"id": "c", "score": 0.8}]
    assert [p["id"] for p in by_member(row, "als", [0.2, 0.2, None])] == ["a", "b"]  # ties as they were
    assert by_member(row, "item_cf", [None, 0.0, None]) == []


def test_bounds_are_included_and_a_family_is_shown_once() -> None:
    products = [{"id": name, "price_micros": price} for name, price in (("a", 1), ("b", 2), ("c", 3), ("d", None))]
    assert [p["id"] for p in Filters(price_min=2, price_max=2).passed(products)] == ["b"]
    assert [p["id"] for p in Filters(price_min=1).passed(products)] == ["a", "b", "c"]
    families = {"a": "shirt", "c": "shirt", "b": "cap", "d": "d"}
    assert list(few_variants(families.items(), ["cap"])) == ["a", "d"]
