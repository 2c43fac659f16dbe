"""The internal list that every route answers from, and what stands in for it."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.asyncio import Redis

from recsys_assets.identity import KeyRing
from recsys_assets.logic.recommendation_ids import recommendation_id
from recsys_assets.serving.pointer import POSTGRES_DOWN, REDIS_DOWN, Live, Pool, Product, fetch, trusted
from recsys_assets.stores.cache import VERSION_KEY, list_key, marker_key, product_key, whole_key

_log = structlog.stdlib.get_logger(__name__)

REST_SECONDS = 1.0
SIMILAR_REASON = "Bought by the same people"


@dataclass
class Breaker:
    """After a failure a store is left alone for a second."""

    store: str
    until: float = field(default=0.0)
    _failing: bool = field(default=False)

    def closed(self) -> bool:
        """Whether the store may be asked."""
        return time.monotonic() >= self.until

    def trip(self) -> None:
        """The store has failed. Only the first of several failures is logged."""
        self.until = time.monotonic() + REST_SECONDS
        if not self._failing:
            self._failing = True
            _log.warning("read failed, answering without it", store=self.store)

    def mend(self) -> None:
        """The store has answered."""
        if self._failing:
            self._failing = False
            _log.info("reads work again", store=self.store)


@dataclass(frozen=True)
class Wanted:
    """One list that is asked for, whatever the route.

    ``people`` are keys, the user's before the anonymous one; ``recent`` is newest last. Prices are micros, bounds
    included.
    """

    people: tuple[str, ...] = ()
    limit: int = 10
    context: str | None = None
    product_id: str | None = None
    recent: tuple[str, ...] = ()
    cart: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exclude_purchased: bool = False
    price_min: int | None = None
    price_max: int | None = None
    model: str = "hybrid"


@dataclass(frozen=True)
class Found:
    """What the stores know about a request; all empty where the person is suppressed or nothing answers."""

    products: list[Product]
    recommendation_id: str | None
    category: str | None
    similar: list[Product]


@dataclass(frozen=True)
class Answer:
    """Products in order, the id of the list, and what stood in for it."""

    products: list[Product]
    recommendation_id: str
    fallback: str | None


_NOTHING = Found([], None, None, [])


class Reader:
    """Reads one request's list: Redis, then Postgres, then memory. It never writes."""

    def __init__(self, pool: Pool, cache: Redis, keys: KeyRing) -> None:
        self._pool, self._cache, self._keys = pool, cache, keys
        self.redis, self.postgres = Breaker("redis"), Breaker("postgres")

    async def answer(self, live: Live, asked: Wanted) -> Answer:
        """Up to ``asked.limit`` products, each once, without the product asked about."""
        found = await self._find(live, list(asked.people), asked.product_id)
        categories = [asked.context or "", _top(found.category or "")]
        category = next((c for c in categories if c and c in live.popular), None)
        fallback = None
        parts = [found.similar, found.products]
        if not found.products:
            fallback = "popular_in_category" if category else "popular"
            parts += [live.popular.get(category, []) if category else [], live.popular.get("", [])]
        seen: set[str | None] = {asked.product_id}
        products: list[Product] = []
        for product in (product for part in parts for product in part):
            if product["id"] not in seen and len(products) < asked.limit:
                seen.add(product["id"])
                products.append({"reason": SIMILAR_REASON, **product})
        list_id = found.recommendation_id or recommendation_id(self._keys, live.generation, "", category or "popular")
        return Answer(products, list_id, fallback)

    async def _find(self, live: Live, people: list[str], product: str | None) -> Found:
        if not people and product is None:
            return _NOTHING
        if self.redis.closed():
            try:
                found = await self._from_redis(live, people, product)
            except REDIS_DOWN:
                self.redis.trip()
            else:
                self.redis.mend()
                if found is not None:
                    return found
        if self.postgres.closed():
            try:
                found = await self._from_postgres(live, people, product)
            except POSTGRES_DOWN:
                self.postgres.trip()
            else:
                self.postgres.mend()
                return found
        return _NOTHING

    async def _from_redis(self, live: Live, people: list[str], product: str | None) -> Found | None:
        """None: this Redis has missed suppressions or does not hold the generation, and is not to be trusted."""
        marks = [self._keys.mark(key) for key in people]
        names = [VERSION_KEY, whole_key(live.generation), *map(marker_key, marks)]
        names += [list_key(live.generation, mark) for mark in marks]
        if product is not None:
            names.append(product_key(live.generation, product))
        version, whole, *values = await self._cache.mget(names)
        if not trusted(version, whole, live.suppression_version):
            return None
        size = len(marks)
        facts = json.loads(values[-1]) if product is not None and values[-1] else {}
        first: dict[str, Any] = next((json.loads(value) for value in values[size : 2 * size] if value), {})
        if any(values[:size]):
            first = {}
        return _found(first, facts)

    async def _from_postgres(self, live: Live, people: list[str], product: str | None) -> Found:
        first: dict[str, Any] = {}
        marks = [self._keys.mark(key) for key in people]
        if marks and not (await fetch(self._pool, "read/suppressed", {"marks": marks}))[0]["exists"]:
            for key, mark in zip(people, marks, strict=True):
                values = {"generation": live.generation, "key": key, "mark": mark}
                if rows := await fetch(self._pool, "read/list", values):
                    first = rows[0] | {"recommendation_id": rows[0]["recommendation_id"].hex}
                    break
        facts = {}
        if product is not None:
            found = await fetch(self._pool, "read/product", {"generation": live.generation, "product": product})
            facts = found[0] if found else {}
        return _found(first, facts)


def _found(person: dict[str, Any], product: dict[str, Any]) -> Found:
    return Found(
        person.get("products") or [],
        person.get("recommendation_id"),
        product.get("category"),
        product.get("similar") or [],
    )


def _top(category: str) -> str:
    return category.partition(" > ")[0]
