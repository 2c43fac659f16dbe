"""An example of every request and answer of `/api/v1`; a test holds them against the models."""

from typing import Any

from recsys_assets.logic import reason_texts

PRODUCT, PERSON, KEY = "1082185", "2375", "key:0f8d3c5e9a7b4d6c8e1f2a3b4c5d6e7f"
_MADE, _LIST_ID = "2017-12-31T03:00:00+00:00", "6a1c9e0d2b3f4a5c8d7e6f5a4b3c2d1e"
_ITEM = {"item_id": PRODUCT, "relevance_score": 0.912344, "confidence_score": 0.31, "item_price": 2.49}
_LIST: dict[str, Any] = {
    "user_id": PERSON,
    "recommendations": [
        _ITEM | {"recommendation_reason": reason_texts.BOUGHT_AGAIN.format(5, "December"), "model_source": "personal"},
    ],
    "primary_model": "hybrid",
    "fallback_used": False,
    "fallback": None,
    "recommendation_id": _LIST_ID,
    "generation": 4,
    "generated_at": _MADE,
}
BULK_LINE = _LIST
RECOMMENDATIONS = _LIST | {
    "user_info": {
        "user_id": PERSON, "user_type": "regular", "spending_segment": "average", "total_purchases": 112,
        "unique_items": 64, "avg_item_price": 3.12, "last_purchase_date": "2017-12-29",
    },
    "processing_time_ms": 2.104,
}  # fmt: skip
SIMILAR_ITEMS = {
    "item_id": "995242",
    "similar_items": [
        _ITEM | {"recommendation_reason": reason_texts.SIMILAR_BY["purchases"], "model_source": "similar"},
    ],
    "processing_time_ms": 0.973,
}
POPULAR_ITEMS = {
    "category": "Grocery",
    "popular_items": [
        _ITEM
        | {
            "confidence_score": None,
            "recommendation_reason": reason_texts.POPULAR.format(680, "customers", "30 days"),
        },
    ],
    "processing_time_ms": 0.214,
}
USERS = {"user_ids": [KEY], "next_after": KEY, "generation": 4}
PROFILE = {
    "user_id": PERSON, "generation": 4, "day": "2017-12-30", "locale": None, "market": None, "user_type": "regular",
    "spending_segment": "average", "price_tier": "mid", "orders": 14, "purchases": 112, "unique_items": 64,
    "units": 131, "lifetime_value": 349.44, "average_item_price": 3.12, "first_purchase_date": "2017-01-09",
    "last_purchase_date": "2017-12-29", "last_visit_date": "2017-12-29", "days_since_last_visit": 1,
    "favourite_categories": ["Grocery", "Meat", "Produce"], "favourite_hour": 17, "favourite_weekday": 6,
    "favourite_season": "winter", "orders_per_30_days": 1.18, "return_rate": 0.01, "click_rate": None,
    "conversion_rate": 0.9, "average_session_seconds": 0.0,
}  # fmt: skip
MODELS = {
    "model_version": "recsys/12",
    "model_types": ["hybrid", "als", "item_cf"],
    "members": [{"name": "als", "kind": "matrix factorisation"}],
    "generations": [
        {"generation": 4, "day": "2017-12-30", "state": "live", "model_version": "recsys/12", "people": 2469,
         "created_at": _MADE, "flipped_at": "2017-12-31T03:01:10+00:00"},
    ],
}  # fmt: skip
STATS = {
    "generation": 4, "day": "2017-12-30", "model_version": "recsys/12", "generated_at": _MADE, "age_seconds": 3600,
    "people": 2469, "products": 68509, "categories": [{"category": "Grocery", "popular_items": 100}],
}  # fmt: skip
CONFIG = {
    "currency": "USD", "time_zone": "America/New_York", "first_day": "2017-01-01",
    "tuning": {"candidate_pool_size": 200, "upsell": {"enabled": True, "factor": 0.1, "price_boost_weight": 0.2}},
}  # fmt: skip
RECOMMENDATIONS_REQUEST = {
    "user_id": PERSON, "num_recommendations": 10, "model_type": "als", "exclude_purchased": True,
    "price_range_min": 1.5, "price_range_max": 20, "timestamp": "2017-12-31", "exclude": ["995242"],
}  # fmt: skip
BULK_REQUEST = {"user_ids": [PERSON, "1130"], "num_recommendations": 5, "exclude_purchased": True}
