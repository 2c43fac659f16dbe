from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recsys_assets.models.base import Interactions, Steps
from recsys_assets.models.popularity import Popularity
from recsys_assets_tests.models.builders import bought

TAKEN = {  # person → product → days ago; each once
    "p1": {"a": 100, "b": 5},
    "p2": {"a": 100, "b": 6},
    "p3": {"a": 5, "c": 45},
    "p4": {"a": 130, "c": 40},
    "p5": {"c": 3, "b": 45},
    "p6": {"c": 2},
}


def shop(in_order: bool = True) -> Interactions:
    made = Interactions.from_frame(bought([(p, i, 1) for p, own in TAKEN.items() for i in own]))
    if not in_order:
        return made
    entries = [sorted(own.items(), key=lambda one: -one[1]) for own in TAKEN.values()]
    return replace(
        made,
        steps=Steps(
            np.cumsum([0, *map(len, entries)]).astype(np.int64),
            np.array(["abc".index(product) for own in entries for product, _ in own], dtype=np.int32),
            np.array([place for own in entries for place in range(len(own))], dtype=np.int32),
            np.array([place for own in entries for place in range(len(own))], dtype=np.int32),
            np.array([age for own in entries for _, age in own], dtype=np.float32),
        ),
    )


def scores(train: Interactions, **options: object) -> list[float]:
    model = Popularity(**options)  # type: ignore[arg-type]  # each call below gives what it takes
    model.fit(train)
    found: list[float] = model.scores(train)[0].tolist()
    return found


def test_without_a_window_it_is_the_plain_count_of_ones() -> None:
    assert scores(shop()) == [4, 3, 4]


def test_a_window_counts_only_who_took_it_within() -> None:
    assert scores(shop(), window_days=30) == [1, 2, 2]
    assert scores(shop(), window_days=46) == [1, 3, 4]


def test_a_rise_over_the_window_before_lifts() -> None:
    # Within 30 days a, b and c sold to 1, 2 and 2; in the 30 before to 0, 1 and 2.
    risen = [1 * (2 / 1) ** 0.5, 2 * (3 / 2) ** 0.5, 2 * (3 / 3) ** 0.5]
    assert scores(shop(), window_days=30, trend_exponent=0.5) == pytest.approx(risen)


def test_where_no_order_is_known_everything_counts() -> None:
    assert scores(shop(in_order=False), window_days=30) == [4, 3, 4]


def test_people_purchases_or_units_are_counted() -> None:
    # a: two people, three purchases, three units. b: one person, one purchase, ten units.
    frame = bought([("p1", "a", 2), ("p2", "a", 1), ("p3", "b", 1)]).with_columns(
        pl.when(pl.col.product_id == "b").then(10).otherwise("units").alias("units")
    )
    train = Interactions.from_frame(frame)
    assert scores(train) == scores(train, counts="people") == [2, 1]
    assert scores(train, counts="purchases") == [3, 1]
    assert scores(train, counts="units") == [3, 10]


def test_a_look_is_a_share_of_a_purchase_whatever_is_counted() -> None:
    frame = bought([("p1", "a", 1), ("p2", "b", 1)]).with_columns(
        pl.when(pl.col.product_id == "b").then(0).otherwise(name).alias(name)
        for name in ("purchases", "units", "frequency_micros")
    )
    train = Interactions.from_frame(frame.with_columns(weight_micros=pl.lit(1_000_000, pl.Int64)))
    for counts in ("people", "purchases", "units"):
        assert scores(train, counts=counts) == pytest.approx([1, 1 / 5])


def test_a_source_without_units_counts_purchases() -> None:
    assert scores(replace(shop(), units=None), counts="units") == scores(shop(), counts="purchases") == [4, 3, 4]
