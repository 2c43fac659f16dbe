"""A day with plans and words, to publish: people 7 and 8 have plans, and everybody else the shop's."""

from dataclasses import replace
from typing import Any

import polars as pl

from recsys_assets.logic.plans import Plan, PlanningTerms, row_of
from recsys_assets.stores.publishing import Frames
from recsys_assets.tables import COPY, MICROS, PLANS
from recsys_assets_tests.published import frame
from recsys_assets_tests.serving.shop import priced

PRODUCTS, PRICES = ("a", "b", "c", "d", "e", "f"), tuple(price * MICROS for price in (2, 4, 6, 8, 10, 40))
# A look weighs 2 for its category, a cart 4; dearer looks move the bracket all the way; carts speak of accessories.
TERMS = PlanningTerms(
    2, ("gift",), (2.0, 4.0),
    ((0.0, 0.0, 9.0, 0.0, 0.0), (0.0,) * 5, (0.0, 5.0, 0.0, 0.0, 0.0), (0.0,) * 5, (0.0,) * 5),
    1.0, (0.1, 0.1, 0.1, 0.3, 0.4), 0.0, {"category": "trees", "intent": "usual"},
)  # fmt: skip
PLAN = Plan(
    (("x > y", 1.0), ("Toys > Blocks", -1.0)),
    (-4.0, -3.0, -3.0, -0.2, -2.0),
    (-0.2, -3.0, -2.0),
    (2 * MICROS, 4 * MICROS, 8 * MICROS),
    0.75,
)
NEW = Plan(
    (("Toys > Blocks", 0.0),), (-3.0, -3.0, -3.0, -3.0, -0.2), (-0.1, -3.0, -3.0), (MICROS, 5 * MICROS, 9 * MICROS)
)  # fmt: skip
PLANNING: dict[str, Any] = {"day": "2024-03-01", "terms": TERMS.to_json(), "new": row_of(NEW, TERMS)}
WRITTEN = {"headline": "{name}, again", "sentence": "Once more {name} at {shop}.", "call_to_action": "Have it again"}
SALE = {"headline": "On sale", "sentence": "{name} is {discount}.", "call_to_action": "Look"}


def with_plans(keys: list[str], *, language: str = "en", bought: tuple[str, ...] = ("a",)) -> Frames:
    """As `priced`, with names, a list price for b, plans for everybody, and words for a (again) and b (sale)."""
    made = priced(keys, PRODUCTS, PRICES, bought=bought)
    plans = [
        {
            "person_key": key, **row_of(PLAN, TERMS), "language": language, "product_ids": ["a", "b", "c"],
            "reason_codes": ["bought_before", "popular", "taste"],
            "offer_intents": ["replenish", "explore", "explore"],
        }
        for key in keys
    ]  # fmt: skip
    texts = [
        {"product_id": product, "intent": intent, "trigger": trigger, "reason_kind": reason, "language": "en",
         **words, "source": "model", "facts_hash": "0", "tone": "friendly", "prompt_version": "1", "model": "m"}
        for product, intent, reason, words in (
            ("a", "replenish", "bought_before", WRITTEN), ("b", "explore", "popular", SALE),
        )
        for trigger in ("on-page", "in-cart", "post-purchase")
    ]  # fmt: skip
    name = pl.format("Product {}", "product_id")
    before = pl.when(pl.col("product_id") == "b").then(pl.lit(5 * MICROS, pl.Int64))
    return replace(
        made,
        products=made.products.with_columns(name=name, list_price_micros=before, brand=pl.lit("Brand")),
        plans=frame(PLANS, plans),
        copy=frame(COPY, texts),
        planning=PLANNING,
    )
