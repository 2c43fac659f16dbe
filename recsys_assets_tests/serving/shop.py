"""A small shop for the tests of `/api/v1`: prices, profiles, tokens, a second and a third day."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import polars as pl
import psycopg

from recsys_assets.serving import schemas
from recsys_assets.settings import Settings
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.publishing import Frames
from recsys_assets.stores.tokens import Tokens
from recsys_assets.tables import USER_PROFILES
from recsys_assets_tests.door import Door, door
from recsys_assets_tests.published import DAY, ODD, Stores, frame, frames

PRODUCTS, PRICES = ("a", "b", ODD, "d"), (2_490_000, 10_000_000, 1_000_001, 100)
LIST = "/api/v1/recommendations"
PROFILE: dict[str, Any] = {
    "user_type": "loyal", "spending_segment": "high", "orders": 21, "purchases": 40, "unique_items": 7,
    "average_item_price_micros": 2_490_000, "lifetime_value_micros": 99_600_001,
    "last_purchase_date": date(2024, 2, 28), "favourite_categories": ["x"],
}  # fmt: skip
# Legal ids that something between a client and a query might trip over.
ODD_IDS = (
    "007", "a/b", "/", "a//b/", "a/profile", "similar", "bulk", "popular", "..%2F", "a b+c&d=e?f#g;h", "'\"\\`",
    "'; DROP TABLE lists; --", "line\nfeed\r\ttab", "\n", " ", "🥖", "é", "e\u0301", "\ufffd", "%00", "%", "+",
    "9007199254740993", "null", "{user_id}", "key:beef", "x" * 128, "é" * 64,
)  # fmt: skip
TOO_LONG = ("x" * 129, "é" * 65)


def day(number: int) -> date:
    """Days of the shop, from 0."""
    return DAY + timedelta(days=number)


def priced(keys: list[str], products: Sequence[str], prices: Sequence[int], bought: Sequence[str] = ()) -> Frames:
    """As `frames`, with a price for each product, scores with many digits, a member, and a full profile."""
    made = frames(keys, tuple(products))
    price = pl.col("product_id").replace_strict(dict(zip(products, prices, strict=True)), return_dtype=pl.Int64)
    als = (1 / (pl.len().over("person_key") - pl.col("rank") + 1)).cast(pl.Float32)  # the other way round
    lists = made.lists.with_columns(
        price_micros=price, als=als, purchased=pl.col("product_id").is_in(list(bought))
    )  # fmt: skip
    return replace(
        made,
        lists=lists,
        popular=made.popular.with_columns(price_micros=price),
        products=made.products.with_columns(unit_price_micros=price),
        profiles=frame(USER_PROFILES, [{"person_key": key} | PROFILE for key in keys]),
    )


def publish(stores: Stores, made: Frames, number: int = 0, version: str = "1") -> int:
    """Its generation."""
    return stores.publisher.publish(day(number), made, model_version=version, keep=9).generation


def token(stores: Stores, *scopes: str) -> dict[str, str]:
    """Headers of somebody who may; make it before the API starts, or wait a second."""
    made = Tokens(Postgres(stores.postgres_url)).make("-".join(scopes), scopes, timedelta(days=1))
    return {"Authorization": f"Bearer {made.token}"}


@contextmanager
def guarded(stores: Stores) -> Iterator[tuple[Door, Door, Settings]]:
    """Doors before Postgres and Redis, and settings of an API that reaches them only through these."""
    with door(stores.postgres_url) as (postgres, pg_url), door(stores.redis_url) as (cache, redis_url):
        yield postgres, cache, Stores(stores.home, pg_url, redis_url).settings


def refused(answer: httpx.Response, status: int, **more: str) -> dict[str, Any]:
    """The problem of an answer that has to be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found | more == found, found
    return found


def path(user: str) -> str:
    return f"{LIST}/{quote(user, safe='')}"


def listed(answer: httpx.Response) -> schemas.RecommendationsAnswer:
    assert answer.status_code == 200, answer.text
    return schemas.RecommendationsAnswer.model_validate_json(answer.content)


def ids(found: schemas.RecommendationsAnswer) -> list[str]:
    return [one.item_id for one in found.recommendations]


def only_marked(stores: Stores, user: str) -> None:
    """The moment of an opt-out at which the person's rows are still there."""
    mark = stores.home.keys.mark(stores.key(user))
    with psycopg.connect(stores.postgres_url) as connection:
        connection.execute("INSERT INTO suppressions (mark, kind, version) VALUES (%s, 'optout', 1)", [mark])
