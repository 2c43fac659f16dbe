"""Tiny shops for tests of plans: who bought and looked at what, on which day."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from recsys_assets.logic.baskets import Shopping, planned_products, shopping
from recsys_assets.logic.price_tiers import price_tiers
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, MICROS, REPURCHASE_CYCLES
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import rows

FIRST = date(2026, 3, 1)
Row = dict[str, object]


def day(number: int) -> date:
    """The day after so many days."""
    return FIRST + timedelta(days=number)


def did(
    person: str,
    product: str,
    number: int,
    kind: str = "purchase",
    *,
    at: int = 12 * 60,
    price: float | None = None,
    quantity: int | None = 1,
    order: str | None = None,
) -> Row:
    """One event; ``at`` is the minute of the day, a purchase costs 1 unless told."""
    paid = 1.0 if price is None and kind == "purchase" else price
    return {
        "event_id": f"{person} {product} {number} {kind} {at} {order}",
        "event_type": kind,
        "event_time": datetime.combine(day(number), datetime.min.time(), tzinfo=UTC) + timedelta(minutes=at),
        "event_date": day(number),
        "user_key": person,
        "product_id": product,
        "quantity": quantity,
        "unit_price_micros": None if paid is None else round(paid * MICROS),
        "order_id": order,
    }


def goods(products: dict[str, tuple[str | None, float | None]], **tags: list[str]) -> pl.DataFrame:
    """Table CATALOG of product → category path and price; keywords give a product's tags."""
    return rows(
        CATALOG,
        [
            {
                "product_id": product,
                "category": category,
                "unit_price_micros": None if price is None else round(price * MICROS),
                "tags": tags.get(product),
            }
            for product, (category, price) in products.items()
        ],
    )


def known(catalog: pl.DataFrame, tuning: Tuning | None = None) -> pl.DataFrame:
    """`planned_products` of a catalogue."""
    tuning = tuning or Tuning()
    knobs = tuning.planner
    return planned_products(catalog, price_tiers(catalog, tuning), knobs.category_depth, knobs.gift_words)


def shop(given: list[Row], catalog: pl.DataFrame, tuning: Tuning | None = None) -> Shopping:
    """`shopping` of events and a catalogue."""
    return shopping(rows(CLEAN_EVENTS, given), known(catalog, tuning))


def cycles(of: dict[str, float]) -> pl.DataFrame:
    """Table REPURCHASE_CYCLES."""
    return rows(REPURCHASE_CYCLES, [{"product_id": product, "cycle_days": days} for product, days in of.items()])
