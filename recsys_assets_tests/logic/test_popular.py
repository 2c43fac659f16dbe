import numpy as np
import pytest

from recsys_assets.logic.popular import of_category, popular_items
from recsys_assets.tables import ITEM_STATS
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import catalog, rows

PATHS = {
    "a": "Food > Bread > Rye",
    "b": "Food > Bread > White",
    "c": "Food > Fish",
    "d": "Food > Bread > Rye",
    "e": None,
    "f": "Toys",
}
SOLD = np.array([6.0, 2.0, 1.0, 0.0, 9.0, 0.0])  # d and f are new


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (1, [3.0, 3.0, 3.0, 3.0, 0.0, 0.0]),  # (6 + 2 + 1) / 3
        (2, [4.0, 4.0, 1.0, 4.0, 0.0, 0.0]),  # (6 + 2) / 2
        (9, [6.0, 2.0, 1.0, 6.0, 0.0, 0.0]),
    ],
)
def test_a_new_product_sells_as_those_of_its_category(depth: int, expected: list[float]) -> None:
    assert of_category(SOLD, list(PATHS), catalog(PATHS), depth).tolist() == expected


def test_products_that_the_catalogue_lacks_have_no_category() -> None:
    assert of_category(np.array([1.0, 2.0]), ["a", "z"], catalog({"a": "Food"}), 1).tolist() == [1.0, 0.0]


def popular(counts: dict[str, dict[str, int]], **knobs: object) -> list[tuple[str, int | None, str]]:
    """Product, people and reason of the overall list; ``counts`` are those of ITEM_STATS, 0 where left out."""
    zero: dict[str, object] = {name: 0 for name, kind in ITEM_STATS.columns.items() if kind.is_integer()}
    stats = rows(ITEM_STATS, [zero | {"product_id": product} | own for product, own in counts.items()])
    made = popular_items(stats, catalog(dict.fromkeys(counts)), Tuning.model_validate(knobs))
    return list(made.filter(category="").select("product_id", "buyers", "reason").iter_rows())


def test_looks_count_and_the_window_widens_where_nothing_has_enough_buyers() -> None:
    stats = {
        "a": {"recent_buyers": 5, "buyers": 5, "recent_lookers": 9, "lookers": 9},
        "b": {"recent_buyers": 4, "buyers": 8, "recent_lookers": 6, "lookers": 20},
        "c": {"recent_buyers": 0, "buyers": 2, "recent_lookers": 0, "lookers": 7},
    }
    assert popular(stats) == [("a", 5, "Bought by 5 customers in the last 30 days")]
    assert popular(stats, k_anonymity=6) == [
        ("a", 9, "Looked at by 9 customers in the last 30 days"),
        ("b", 6, "Looked at by 6 customers in the last 30 days"),
    ]
    few = {name: own | {"recent_buyers": 0, "recent_lookers": 1} for name, own in stats.items()}
    assert popular(few) == [
        ("b", 8, "Bought by 8 customers in the last 365 days"),
        ("a", 5, "Bought by 5 customers in the last 365 days"),
    ]
    assert popular(few, k_anonymity=9, window_days=90) == [
        ("b", 20, "Looked at by 20 customers in the last 90 days"),
        ("a", 9, "Looked at by 9 customers in the last 90 days"),
    ]
    assert popular(stats, k_anonymity=21) == []
    assert popular(stats, k_anonymity=21, pins=("c",)) == [("c", None, "Chosen by the shop")]


def test_the_shop_says_whether_people_purchases_or_units_make_a_product_popular() -> None:
    stats = {
        "a": {"recent_buyers": 7, "recent_purchases": 8, "recent_units": 8},
        "b": {"recent_buyers": 6, "recent_purchases": 9, "recent_units": 9},
        "c": {"recent_buyers": 5, "recent_purchases": 5, "recent_units": 50},
        "d": {"recent_buyers": 4, "recent_purchases": 60, "recent_units": 60},  # too few people, however much they buy
    }
    for counts, order in (("people", "abc"), ("purchases", "bac"), ("units", "cba")):
        assert "".join(name for name, *_ in popular(stats, popularity={"counts": counts})) == order
