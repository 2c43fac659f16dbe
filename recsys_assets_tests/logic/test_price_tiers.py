from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.logic.price_tiers import TIERS, price_tiers, product_tiers
from recsys_assets.tables import CATALOG, PRICE_TIERS
from recsys_assets.tuning import PriceTiers, Tuning
from recsys_assets_tests.models.builders import rows

TUNING = Tuning()


def products(*given_rows: tuple[str, str | None, int | None]) -> pl.DataFrame:
    columns = ("product_id", "category", "unit_price_micros")
    return rows(CATALOG, [dict(zip(columns, row, strict=True)) for row in given_rows])


def priced(*prices: int) -> pl.DataFrame:
    return products(*((f"{place:02}", "Bread", price) for place, price in enumerate(prices)))


def tiers_of(*prices: int, tuning: Tuning = TUNING) -> list[str]:
    found = priced(*prices)
    return product_tiers(found, price_tiers(found, tuning))["price_tier"].to_list()


def bounds(*prices: int, tuning: Tuning = TUNING) -> tuple[int, int]:
    found = price_tiers(priced(*prices), tuning).row(0, named=True)
    assert found["products"] == len(prices)
    return found["mid_from_micros"], found["premium_from_micros"]


def test_the_bounds_are_prices_of_products_by_nearest_rank() -> None:
    # Of nine, three lie below mid and six below premium: places 9 × 1/3 = 3 and 9 × 2/3 = 6, counted from 0.
    assert bounds(10, 20, 30, 40, 50, 60, 70, 80, 90) == (40, 70)
    # Of four: places floor(4/3) = 1 and floor(8/3) = 2.
    assert bounds(10, 20, 30, 40) == (20, 30)


def test_the_shares_are_knobs() -> None:
    knobs = Tuning(price_tiers=PriceTiers(mid_from=0.1, premium_from=0.5))
    assert bounds(*range(10, 110, 10), tuning=knobs) == (20, 60)  # places 1 and 5 of ten


def test_three_products_are_one_of_each() -> None:
    assert tiers_of(30, 10, 20) == ["premium", "budget", "mid"]


def test_below_the_bound_is_the_tier_below_and_the_bound_itself_is_not() -> None:
    assert tiers_of(10, 20, 30, 40) == ["budget", "mid", "premium", "premium"]


def test_one_product_is_mid() -> None:
    assert bounds(10) == (10, 10)
    assert tiers_of(10) == ["mid"]


def test_equal_prices_are_all_mid() -> None:
    assert tiers_of(10, 10, 10, 10) == ["mid"] * 4


def test_products_of_one_price_fall_in_one_tier() -> None:
    # Sorted 10 20 20 20 30 30: mid starts at place 2 (20), premium at place 4 (30).
    assert tiers_of(20, 30, 10, 20, 30, 20) == ["mid", "premium", "budget", "mid", "premium", "mid"]
    # Both bounds are 20: it is mid, and only what costs more is premium.
    assert tiers_of(20, 20, 20, 30) == ["mid", "mid", "mid", "premium"]


def test_a_tier_is_relative_to_the_top_of_the_category_path() -> None:
    found = products(
        ("a", "Bread > Rye", 1), ("b", "Bread > Wheat", 2), ("c", " Bread", 3),
        ("d", "Wine > Red", 100), ("e", "Wine", 200), ("f", "Wine", 300),
    )  # fmt: skip
    tiers = price_tiers(found, TUNING)
    assert tiers.rows() == [
        ("", 6, 3, 200),  # places 2 and 4 of 1 2 3 100 200 300
        ("Bread", 3, 2, 3),
        ("Wine", 3, 200, 300),
    ]
    assert product_tiers(found, tiers).rows() == [
        ("a", "Bread", "budget"), ("b", "Bread", "mid"), ("c", "Bread", "premium"),
        ("d", "Wine", "budget"), ("e", "Wine", "mid"), ("f", "Wine", "premium"),
    ]  # fmt: skip


def test_without_a_category_all_products_are_the_measure() -> None:
    found = products(("a", "Bread", 1), ("b", "Bread", 2), ("c", None, 2), ("d", " ", 1))
    # 1 1 2 2: places 1 and 2.
    tiers = price_tiers(found, TUNING)
    assert tiers.row(0) == ("", 4, 1, 2)
    assert product_tiers(found, tiers).rows()[2:] == [("c", None, "premium"), ("d", None, "mid")]


@pytest.mark.parametrize("price", [0, None])
def test_a_product_without_a_price_has_no_tier_and_moves_no_bound(price: int | None) -> None:
    found = products(("a", "Bread", 5), ("b", "Bread", price), ("c", "Wine", price))
    tiers = price_tiers(found, TUNING)
    assert tiers.rows() == [("", 1, 5, 5), ("Bread", 1, 5, 5)]
    assert product_tiers(found, tiers).rows() == [("a", "Bread", "mid"), ("b", "Bread", None), ("c", "Wine", None)]


def test_no_products_no_tiers() -> None:
    assert price_tiers(CATALOG.empty(), TUNING).equals(PRICE_TIERS.empty())
    assert product_tiers(CATALOG.empty(), PRICE_TIERS.empty()).is_empty()


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), max_size=20), st.randoms(use_true_random=False))
def test_dearer_is_never_in_a_lower_tier_and_the_order_of_rows_does_not_matter(
    prices: list[int], random: Random
) -> None:
    found = products(*((f"{place:02}", random.choice(["x", "y > z", None]), p) for place, p in enumerate(prices)))
    tiers = price_tiers(found, TUNING)
    shuffled = found.sample(fraction=1, shuffle=True, seed=random.randrange(1000))
    assert tiers.equals(price_tiers(shuffled, TUNING))
    made = product_tiers(found, tiers)
    assert made.equals(product_tiers(shuffled, tiers))
    assert made["product_id"].to_list() == found["product_id"].to_list()
    ranked = made.join(found.select("product_id", "unit_price_micros"), on="product_id").drop_nulls("price_tier")
    for _, part in ranked.group_by("category"):
        by_price = part.sort("unit_price_micros")["price_tier"].replace_strict(
            dict(zip(TIERS, range(3), strict=True)), return_dtype=pl.Int64
        )
        assert by_price.is_sorted()
