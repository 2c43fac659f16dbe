"""Tiny shops whose answers are known."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from itertools import pairwise

import numpy as np
import polars as pl
import scipy.sparse as sp

from recsys_assets.models.base import Interactions, Steps
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, INTERACTIONS, ITEM_STATS, MICROS, Table


def always(products: Sequence[str]) -> Callable[[date], Sequence[str]]:
    """The same products may be listed on every day."""
    return lambda _: products


def rows(table: Table, given: list[dict[str, object]]) -> pl.DataFrame:
    """A frame of ``table``; columns that a row does not give are null."""
    return pl.DataFrame(given, schema=table.columns)


def event(
    person: str | None,
    product: str | None,
    day: date,
    kind: str = "purchase",
    *,
    hour: int = 12,
    quantity: int | None = 1,
    price: int = MICROS,
    order: str | None = None,
    anon: str | None = None,
) -> dict[str, object]:
    return {
        "event_id": f"{person} {product} {day} {kind} {hour} {order}",
        "event_type": kind,
        "event_time": datetime.combine(day, time(hour), tzinfo=UTC),
        "event_date": day,
        "user_key": person,
        "anon_key": anon,
        "product_id": product,
        "quantity": quantity,
        "unit_price_micros": price,
        "order_id": order,
    }


def events(*given: dict[str, object]) -> pl.DataFrame:
    return rows(CLEAN_EVENTS, list(given))


def bought(pairs: list[tuple[str, str, int]]) -> pl.DataFrame:
    """Table INTERACTIONS of (person, product, purchase days)."""
    return rows(
        INTERACTIONS,
        [
            {
                "person_key": person,
                "product_id": product,
                "weight_micros": 5 * MICROS * days,
                "frequency_micros": MICROS * days,
                "purchases": days,
                "units": days,
                "spend_micros": MICROS * days,
                "priced_units": days,
                "last_event_date": date(2024, 12, 3),
                "last_purchase_date": date(2024, 12, 3),
                "spending_ratio": 1.0,
                "quantity_ratio": 1.0,
            }
            for person, product, days in pairs
        ],
    )


def catalog(products: dict[str, str | None], not_recommendable: tuple[str, ...] = ()) -> pl.DataFrame:
    """Table CATALOG of product → category path; every price is 2."""
    return rows(
        CATALOG,
        [
            {
                "product_id": product,
                "category": category,
                "unit_price_micros": 2 * MICROS,
                "not_recommendable": "no price" if product in not_recommendable else None,
            }
            for product, category in products.items()
        ],
    )


def stats(recent_buyers: dict[str, int]) -> pl.DataFrame:
    return rows(
        ITEM_STATS,
        [
            {"product_id": product, "recent_buyers": buyers, "buyers": buyers}
            for product, buyers in recent_buyers.items()
        ],
    )


def checkerboard(people: int = 24, products: int = 12) -> pl.DataFrame:
    """People buy the products of their own parity, each but one: the missing one is the answer.

    Person p misses the product of its parity at place ``answer(p)``.
    """
    return bought(
        [
            (f"p{person:02}", f"i{product:02}", 1)
            for person in range(people)
            for product in range(products)
            if product % 2 == person % 2 and product != answer(person, products)
        ]
    )


def answer(person: int, products: int = 12) -> int:
    return (person % 2) + 2 * ((person // 2) % (products // 2))


def random_shop(people: int = 40, products: int = 30, seed: int = 1) -> Interactions:
    random = np.random.default_rng(seed)
    pairs = [
        (f"p{person:03}", f"i{product:03}", int(random.integers(1, 5)))
        for person in range(people)
        for product in range(products)
        if random.random() < 0.25
    ]
    return described(in_order(Interactions.from_frame(bought(pairs)), random), random)


def in_order(shop: Interactions, random: np.random.Generator, size: int = 3) -> Interactions:
    """``shop`` with steps: each person took their products in some order, ``size`` at a time, a visit per basket."""
    indptr, columns = shop.purchases.indptr.astype(np.int64), shop.purchases.indices.astype(np.int32)
    baskets = np.concatenate([np.arange(length) // size for length in np.diff(indptr)]).astype(np.int32)
    shuffled = np.concatenate([random.permutation(columns[a:b]) for a, b in pairwise(indptr)])
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    last = np.array([baskets[stop - 1] for stop in indptr[1:]])
    columns = shuffled[np.lexsort((shuffled, baskets, rows))]
    ages = (last[rows] - baskets + 1).astype(np.float32)
    return replace(shop, steps=Steps(indptr, columns, baskets, baskets, ages))


def described(shop: Interactions, random: np.random.Generator, facts: int = 7) -> Interactions:
    """``shop`` with features: three of so many facts are true of each product."""
    said = np.zeros((len(shop.product_ids), facts), dtype=np.float32)
    for row in said:
        row[random.permutation(facts)[:3]] = np.float32(1 / np.sqrt(3))
    return replace(shop, features=sp.csr_matrix(said))
