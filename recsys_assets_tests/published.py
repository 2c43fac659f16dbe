"""Tiny frames of a day, and the stores to publish them to."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
import psycopg
import redis
from psycopg import sql

from recsys_assets.logic.plans import PlanningTerms
from recsys_assets.settings import Home, Settings, load_settings
from recsys_assets.sources import SOURCES
from recsys_assets.stores import staging
from recsys_assets.stores.cache import Cache, near_key
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.publishing import Frames, Published, Publisher
from recsys_assets.stores.suppressions import Suppressions
from recsys_assets.tables import (
    CATALOG,
    COPY,
    LISTS,
    NEXT_ITEMS,
    PLANS,
    POPULAR_ITEMS,
    SIMILAR_ITEMS,
    USER_PROFILES,
    Table,
)

DAY = date(2024, 3, 1)
ODD = 'o"d\\d\t{1},\n🥖'
# A plan without its offer, and what plans for a visit.
PLAN: dict[str, Any] = {
    "intent": "replenish", "intent_probability": 0.5, "categories": ["x > y", ODD],
    "category_probabilities": [0.75, 0.25], "price_low_micros": 5, "price_middle_micros": 10, "price_high_micros": 20,
    "trigger": "on-page", "purchase_probability": 0.1, "language": "en", "scored_categories": ["x > y", ODD],
    "category_scores": [1.5, -0.1], "intent_scores": [-2.5, -3.0, -3.5, -0.7, -1.5],
    "trigger_scores": [-0.1, -3.0, -3.0],
}  # fmt: skip
PLANNING: dict[str, Any] = {
    "day": DAY.isoformat(),
    "terms": PlanningTerms(depth=2, gift_words=("gift",), made_by={"intent": "habits"}).to_json(),
    "new": {name: value for name, value in PLAN.items() if name != "language"},
}


def frame(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    nothing = dict.fromkeys(table.columns)
    return pl.DataFrame([nothing | row for row in rows], schema=table.columns)


def frames(keys: list[str], products: tuple[str, ...] = ("a", "b", ODD)) -> Frames:
    ranked = list(enumerate(products, 1))
    lists = [
        {"person_key": key, "rank": n, "product_id": p, "score": 1 / n, "price_micros": 10, "category": "x > y",
         "reason_code": "code", "reason_count": n, "reason": f"why {p}", "purchased": False, "position": n,
         "model_source": SOURCES[(n - 1) % len(SOURCES)],
         "confidence": 0.5}
        for key in keys for n, p in ranked
    ]  # fmt: skip
    popular = [
        {"category": c, "rank": n, "product_id": p, "score": 1.0, "buyers": 9, "price_micros": 10, "reason": "Popular"}
        for c in ("", "x") for n, p in ranked
    ]  # fmt: skip
    similar = [{"product_id": "a", "rank": 1, "similar_product_id": "b", "score": 0.5, "source": "content"}]
    following = [{"product_id": "b", "rank": 1, "next_product_id": "a", "score": 0.25}]
    catalog = [{"product_id": p, "category": "x > y", "unit_price_micros": 10, "in_stock": True} for p in products]
    return Frames(
        frame(LISTS, lists),
        frame(SIMILAR_ITEMS, similar),
        frame(NEXT_ITEMS, following),
        frame(POPULAR_ITEMS, popular),
        frame(CATALOG, catalog),
        frame(USER_PROFILES, [{"person_key": key, "orders": 1} for key in keys]),
        plans=frame(PLANS, [plan(key, products) for key in keys]),
        copy=frame(COPY, [words(products[0])]),
        planning=PLANNING,
    )


def plan(key: str, products: Sequence[str], **more: Any) -> dict[str, Any]:
    """A row of PLANS that offers ``products`` again; ``more``: other values."""
    size = len(products)
    offer = {"product_ids": list(products), "reason_codes": ["code"] * size, "offer_intents": ["replenish"] * size}
    return {"person_key": key, **PLAN, **offer, **more}


def words(product: str, **more: Any) -> dict[str, Any]:
    """A row of COPY for an offer of `plan`; ``more``: other values."""
    return {
        "product_id": product, "intent": "replenish", "trigger": "on-page", "reason_kind": "code", "language": "en",
        "headline": "Time for {name}", "sentence": "Yours for {price}.", "call_to_action": f"Take {ODD}",
        "source": "model", "facts_hash": "f" * 32, "tone": "plain", "prompt_version": "1", "model": "m", **more,
    }  # fmt: skip


def rules_of(following: pl.DataFrame) -> dict[str, list[tuple[str, float]]]:
    """Table NEXT_ITEMS as the API reads it back from Redis: what is taken after each product, and how strongly."""
    return {
        key.removeprefix(near_key(1, "")): list(zip(found["id"], found["score"], strict=True))
        for key, value in staging.cached_near(SIMILAR_ITEMS.empty(), following, 1)
        if (found := json.loads(value)["next"])
    }


@dataclass(frozen=True)
class Stores:
    """One home on one Postgres database and one Redis."""

    home: Home
    postgres_url: str
    redis_url: str

    @property
    def environment(self) -> dict[str, str]:
        urls = ("RECSYS_POSTGRES_URL", "RECSYS_DAGSTER_POSTGRES_URL", "RECSYS_MLFLOW_POSTGRES_URL")
        return {
            "RECSYS_HOME": str(self.home.path),
            "RECSYS_REDIS_URL": self.redis_url,
            **dict.fromkeys(urls, self.postgres_url),
        }

    @property
    def settings(self) -> Settings:
        return load_settings(self.environment)

    @property
    def cache(self) -> Cache:
        return Cache(self.redis_url)

    @property
    def publisher(self) -> Publisher:
        return Publisher(Postgres(self.postgres_url), self.cache, self.home.keys)

    @property
    def suppressions(self) -> Suppressions:
        return Suppressions(Postgres(self.postgres_url), self.cache, self.home.keys)

    def key(self, user: str) -> str:
        return self.home.keys.user_key(user)

    def publish(
        self, users: list[str], *products: str, progress: Callable[[str], object] = str, keep: int = 5
    ) -> Published:
        """A generation in which every user has the same products."""
        made = frames([self.key(user) for user in users], products or ("a", "b", ODD))
        return self.publisher.publish(DAY, made, model_version="1", keep=keep, progress=progress)

    def live(self) -> int | None:
        return next((g.generation for g in self.publisher.generations() if g.live), None)

    def redis(self) -> dict[str, str]:
        """Every key and value in Redis, those of lists and sets as text."""
        with redis.Redis.from_url(self.redis_url, decode_responses=True) as client:
            keys = sorted(client.scan_iter())
            strings = {key: client.get(key) for key in keys if client.type(key) == "string"}
            return {key: str(strings.get(key, "")) for key in keys}

    def rows(self) -> dict[str, list[str]]:
        """Every row of every table in Postgres, as text."""
        with psycopg.connect(self.postgres_url) as connection:
            names = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            return {
                name: [
                    row[0]
                    for row in connection.execute(sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(name)))
                ]
                for (name,) in connection.execute(names).fetchall()
            }
