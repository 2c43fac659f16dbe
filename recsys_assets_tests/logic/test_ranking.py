import json
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.choices import Choices
from recsys_assets.logic.popular import popular_items
from recsys_assets.logic.ranking import Ranking, emptied
from recsys_assets.logic.reasons import REASONS
from recsys_assets.tables import CANDIDATES, LISTS, POPULAR_ITEMS, REPURCHASE_CYCLES, USER_PROFILES
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import bought, catalog, rows, stats

DAY = date(2024, 12, 31)
CHOICES = Choices(True, 1.0, 1.0, ((0.0, 1.0), (0.0, 0.1)), ((0.0, 2.0), (0.2, 0.6)))
TUNING = Tuning(served_list_size=20, served_new_at_least=5)


def candidate(person: str, product: str, score: float, *, purchased: bool = False, near: int = 0) -> dict[str, object]:
    return {
        "person_key": person, "product_id": product, "score": score, "als": 0.0, "item_cf": 0.0, "popularity": 0.0,
        "personal": 0.0, "purchased": purchased, "similar_owned": near,
    }  # fmt: skip


def ranked(
    given_rows: list[dict[str, object]],
    products: dict[str, str | None],
    *,
    history: list[tuple[str, str, int]] | None = None,
    buyers: dict[str, int] | None = None,
    out: tuple[str, ...] = (),
    tuning: Tuning = TUNING,
) -> pl.DataFrame:
    made = (
        Ranking(
            catalog(products, out), stats(buyers or {}), bought(history or []), USER_PROFILES.empty(),
            REPURCHASE_CYCLES.empty(), as_of=DAY, choices=CHOICES, tuning=tuning,
        )
        .rank(rows(CANDIDATES, given_rows))
        .lists
    )  # fmt: skip
    assert made.equals(LISTS.conform(made))
    return made


def test_order_is_score_then_id_and_facts_come_from_the_catalogue() -> None:
    made = ranked(
        [candidate("p", "b", 0.5), candidate("p", "a", 0.5), candidate("p", "c", 0.9)],
        {"a": "Food > Bread", "b": None, "c": "Food"},
    )
    assert made.select("rank", "product_id", "position").rows() == [(1, "c", 1), (2, "a", 2), (3, "b", 3)]
    assert made["price_micros"].to_list() == [2_000_000] * 3
    assert made["category"].to_list() == ["Food", "Food > Bread", None]


def test_whom_rules_leave_nothing_is_told_from_who_is_missing() -> None:
    facts = (catalog({"a": "Food", "b": "Food"}, ("a",)), stats({}), bought([]), USER_PROFILES.empty())
    ranking = Ranking(*facts, REPURCHASE_CYCLES.empty(), as_of=DAY, choices=CHOICES, tuning=TUNING)
    pool = rows(CANDIDATES, [candidate("p", "a", 0.5), candidate("q", "a", 0.5), candidate("q", "b", 0.4)])
    made = ranking.rank(pool)
    assert made.lists["person_key"].to_list() == ["q"]
    assert emptied(pool, made.lists, made.effects) == ["p"]
    assert emptied(pool, made.lists.clear(), made.effects) == ["p"]  # of q no rule took b: q is missing


def test_unknown_and_not_recommendable_products_are_out() -> None:
    made = ranked(
        [candidate("p", "a", 0.5), candidate("p", "gone", 0.9), candidate("p", "free", 0.8)],
        {"a": None, "free": None},
        out=("free",),
    )
    assert made["product_id"].to_list() == ["a"]


def test_what_the_shop_pinned_is_there_by_its_rule_and_the_rest_by_level_1() -> None:
    tuning = TUNING.model_copy(update={"pins": ("new", "b")})
    given = [candidate("p", name, 0.5) | {"model_source": source} for name, source in (("a", "als"), ("b", "item_cf"))]
    made = ranked(given, {"a": None, "b": None, "new": None}, tuning=tuning)
    assert made.select("product_id", "model_source").rows() == [("new", "pinned"), ("b", "pinned"), ("a", "als")]


def test_confidence_is_read_off_the_curve_of_its_kind() -> None:
    made = ranked([candidate("p", "a", 1.0, purchased=True), candidate("p", "b", 0.5)], {"a": None, "b": None})
    assert made["confidence"].to_list() == pytest.approx([0.4, 0.05])


def test_without_a_calibration_confidence_is_unknown() -> None:
    unknown = Choices.unchosen(TUNING)
    made = Ranking(
        catalog({"a": None}), stats({}), bought([]), USER_PROFILES.empty(), REPURCHASE_CYCLES.empty(),
        as_of=DAY, choices=unknown, tuning=TUNING,
    ).rank(rows(CANDIDATES, [candidate("p", "a", 1.0)])).lists  # fmt: skip
    assert made["confidence"].to_list() == [None]


@given(st.lists(st.booleans(), max_size=40))
def test_the_served_list_keeps_room_for_new_products(purchased: list[bool]) -> None:
    products: dict[str, str | None] = {f"i{place:02}": None for place in range(len(purchased))}
    made = ranked(
        [
            candidate("p", product, 1 - place / 100, purchased=bought_before)
            for place, (product, bought_before) in enumerate(zip(products, purchased, strict=True))
        ],
        products,
    )
    served = made.filter(pl.col("position").is_not_null())
    new = purchased.count(False)
    wanted_new = min(TUNING.served_new_at_least, new)
    assert served["position"].to_list() == list(range(1, served.height + 1))
    assert served["rank"].is_sorted()
    assert served.filter(pl.col("purchased").not_()).height >= wanted_new
    assert served.height == min(20, new + min(len(purchased) - new, 20 - wanted_new))


def test_the_last_repeats_give_way_to_new_products() -> None:
    """18 repeats, then 7 new ones: 20 are served, 5 of them new, so the repeats of rank 16 to 18 are not."""
    purchased = [True] * 18 + [False] * 7
    products: dict[str, str | None] = {f"i{place:02}": None for place in range(len(purchased))}
    made = ranked(
        [
            candidate("p", product, 1 - place / 100, purchased=before)
            for place, (product, before) in enumerate(zip(products, purchased, strict=True))
        ],
        products,
    )
    assert made["position"].to_list() == [*range(1, 16), None, None, None, *range(16, 21), None, None]


HISTORY = [("p", "owned", 6), ("p", "once", 1), ("p", "rye", 2), ("p", "wheat", 1), ("q", "owned", 2)]
PRODUCTS: dict[str, str | None] = {
    "owned": "Food > Milk", "once": "Food > Oil", "rye": "Food > Bread", "wheat": "Food > Bread", "oat": "Food > Bread",
    "near": "Food > Tea", "near1": "Food > Tea", "hot": "Food > Jam", "rare": "Food > Jam", "plain": None,
}  # fmt: skip


def test_reasons_and_their_texts() -> None:
    made = ranked(
        [
            candidate("p", product, 1 - place / 100, purchased=product in {"owned", "once"}, near=near)
            for place, (product, near) in enumerate(
                [
                    ("owned", 3),
                    ("once", 0),
                    ("near", 5),
                    ("near1", 1),
                    ("oat", 0),
                    ("hot", 0),
                    ("rare", 0),
                    ("plain", 0),
                ]
            )
        ],
        PRODUCTS,
        history=HISTORY,
        buyers={"owned": 50, "hot": 123, "rare": 4},
    )
    assert made.select("reason_code", "reason_count", "reason").rows() == [
        ("bought_before", 6, "You bought this 6 times, last in December"),
        ("bought_before", 1, "You bought this once, in December"),
        ("similar_owned", 5, "Similar to 5 items in your purchase history"),
        ("similar_owned", 1, "Similar to 1 item in your purchase history"),
        ("category_owned", 2, "You bought 2 products of Bread"),
        ("popular", 123, "Bought by 123 customers in the last 30 days"),
        ("taste", None, "Picked from what people with your taste buy"),
        ("taste", None, "Picked from what people with your taste buy"),
    ]


@given(
    st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from(sorted(PRODUCTS)), st.integers(1, 3)),
             unique_by=lambda row: row[:2], max_size=12),
    st.dictionaries(st.sampled_from(sorted(PRODUCTS)), st.integers(0, 9)),
    st.dictionaries(
        st.tuples(st.sampled_from("pq"), st.sampled_from(sorted(PRODUCTS))), st.integers(0, 2), max_size=12
    ),
)  # fmt: skip
def test_reasons_are_true_when_counted_again(
    history: list[tuple[str, str, int]], buyers: dict[str, int], listed: dict[tuple[str, str], int]
) -> None:
    days = {(person, product): count for person, product, count in history}
    made = ranked(
        [
            candidate(person, product, 0.5, purchased=(person, product) in days, near=near)
            for (person, product), near in listed.items()
        ],
        PRODUCTS,
        history=history,
        buyers=buyers,
    )
    assert made.height == len(listed)
    for row in made.iter_rows(named=True):
        person, product = row["person_key"], row["product_id"]
        category = PRODUCTS[product]
        counted = {
            "bought_before": days.get((person, product), 0),
            "similar_owned": listed[person, product],
            "category_owned": len(
                [1 for who, what in days if who == person and category and PRODUCTS[what] == category]
            ),
            "popular": buyers.get(product, 0) if buyers.get(product, 0) >= TUNING.k_anonymity else 0,
        }
        expected = next((code for code, count in counted.items() if count), "taste")
        assert row["reason_code"] == expected
        assert row["reason_count"] == counted.get(expected)
        assert expected in REASONS
        if expected != "taste" and counted[expected] > 1:
            assert str(counted[expected]) in row["reason"]


def test_shuffled_rows_give_the_same_lists() -> None:
    given_rows = [candidate(person, product, 0.5) for person in "pq" for product in PRODUCTS]
    assert ranked(given_rows, PRODUCTS).equals(ranked(given_rows[::-1], PRODUCTS))


def test_choices_survive_json() -> None:
    assert Choices.from_json(json.loads(json.dumps(CHOICES.to_json()))) == CHOICES


def test_popular_items_overall_and_per_category() -> None:
    made = popular_items(
        stats({"owned": 10, "once": 20, "near": 20, "rare": 4, "free": 30, "plain": 5}),
        catalog(PRODUCTS | {"free": "Food"}, ("free",)),
        Tuning(recent_days=7),
    )
    assert made.equals(POPULAR_ITEMS.conform(made))
    assert made.select("category", "rank", "product_id", "buyers").rows() == [
        ("", 1, "near", 20), ("", 2, "once", 20), ("", 3, "owned", 10), ("", 4, "plain", 5),
        ("Food", 1, "near", 20), ("Food", 2, "once", 20), ("Food", 3, "owned", 10),
    ]  # fmt: skip
    assert made["reason"][0] == "Bought by 20 customers in the last 7 days"
    assert made["score"].to_list() == pytest.approx([1, 1, 0.5, 0.25, 1, 1, 0.5])


def test_pins_lead_popular_lists_overall_and_in_their_own_category() -> None:
    made = popular_items(
        stats({"owned": 10, "once": 20, "near": 20, "rare": 4}),
        catalog(PRODUCTS | {"free": "Food", "new": "Food"}, ("free",)),
        Tuning(pins=("rare", "free", "new", "gone", "owned")),
    )
    food = ["rare", "new", "owned", "near", "once"]
    assert made.select("category", "product_id").rows() == [(of, product) for of in ("", "Food") for product in food]
    first = made.filter(category="").head(3)
    assert first.select("buyers", "score", "reason").rows() == [
        (None, 1, "Chosen by the shop"), (None, 1, "Chosen by the shop"),
        (10, 1, "Bought by 10 customers in the last 30 days"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at_most", "expected"), [(0, ["S", "M", "L", "cap"]), (1, ["S", "cap"]), (2, ["S", "M", "cap"])]
)
def test_sizes_of_one_shirt_do_not_crowd_a_popular_list(at_most: int, expected: list[str]) -> None:
    parent = pl.when(pl.col("product_id") != "cap").then(pl.lit("shirt"))
    facts = catalog(dict.fromkeys(["S", "M", "L", "cap"])).with_columns(parent_id=parent)
    made = popular_items(stats({"S": 9, "M": 8, "L": 7, "cap": 6}), facts, Tuning(variants_at_most=at_most))
    assert made["product_id"].to_list() == expected
    assert made["rank"].to_list() == list(range(1, len(expected) + 1))
