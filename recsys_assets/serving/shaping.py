"""Products and profiles of the internal list → `/api/v1`'s words."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from recsys_assets.logic.blending import Product
from recsys_assets.serving.pointer import Live
from recsys_assets.serving.recommendations import Answer, Wanted
from recsys_assets.serving.schemas import ListRequest

_MICROS = 1_000_000
_SCORE_PLACES = 6
_STANDING_IN = {"session": "session", "popular_in_category": "popularity", "popular": "popularity"}


def money(micros: int | None) -> float | None:
    """A decimal number of units. The nearest float to it is written as itself up to 15 digits: a billion units.

    >>> money(2_490_000), money(10_000_000), money(None)
    (2.49, 10.0, None)
    """
    return None if micros is None else micros / _MICROS


def score(value: float | None) -> float | None:
    """A score or confidence, as it is told."""
    return None if value is None else round(value, _SCORE_PLACES)


def bounds(low: float | None, high: float | None) -> tuple[int | None, int | None]:
    """Prices of a range in micros, rounded inwards.

    >>> bounds(1.4999991, 2.4900005)
    (1500000, 2490000)
    """
    least = None if low is None else int((Decimal(repr(low)) * _MICROS).to_integral_value(ROUND_CEILING))
    most = None if high is None else int((Decimal(repr(high)) * _MICROS).to_integral_value(ROUND_FLOOR))
    return least, most


def wanted(asked: ListRequest, *people: str) -> Wanted:
    """The internal list that a body asks for; ``people`` are keys."""
    low, high = bounds(asked.price_range_min, asked.price_range_max)
    return Wanted(
        people,
        asked.num_recommendations,
        exclude=tuple(asked.exclude),
        exclude_purchased=asked.exclude_purchased,
        price_min=low,
        price_max=high,
        model=asked.model_type,
    )


def item(product: Product) -> dict[str, Any]:
    """Schema Item."""
    return {
        "item_id": product["id"],
        "relevance_score": score(product["score"]),
        "confidence_score": score(product.get("confidence")),
        "item_price": money(product.get("price_micros")),
    }


def recommendation(product: Product) -> dict[str, Any]:
    """Schemas Recommendation and SimilarItem."""
    return item(product) | {
        "recommendation_reason": product["reason"],
        "model_source": product["source"],
    }


def personal_list(user_id: str, live: Live, asked: Wanted, answer: Answer) -> dict[str, Any]:
    """Schema PersonalList."""
    return {
        "user_id": user_id,
        "recommendations": [recommendation(product) for product in answer.products],
        "primary_model": _STANDING_IN.get(answer.fallback or "", asked.model),
        "fallback_used": answer.fallback is not None,
        "fallback": answer.fallback,
        "recommendation_id": answer.recommendation_id,
        "generation": live.generation,
        "generated_at": live.created_at.isoformat(),
    }


def user_info(user_id: str, profile: Mapping[str, Any] | None, *, known: bool) -> dict[str, Any]:
    """Schema UserInfo. ``known``: the asker may know, and the record has been asked; nobody there is a new person."""
    found = profile or {}
    return {
        "user_id": user_id,
        "user_type": found.get("user_type") or ("new" if known else None),
        "spending_segment": found.get("spending_segment"),
        "total_purchases": found.get("purchases"),
        "unique_items": found.get("unique_items"),
        "avg_item_price": money(found.get("average_item_price_micros")),
        "last_purchase_date": found.get("last_purchase_date"),
    }


def profile(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of the table user_profiles with money as decimals."""
    return {
        name.removesuffix("_micros"): money(value) if name.endswith("_micros") else value
        for name, value in columns.items()
    }
