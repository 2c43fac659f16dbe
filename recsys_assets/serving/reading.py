"""What the stores know of people and products: Redis, then Postgres, then nothing. Nothing here writes."""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

from redis.asyncio import Redis

from recsys_assets.identity import KeyRing
from recsys_assets.logic.blending import Product, listed
from recsys_assets.logic.reason_texts import SIMILAR_BY
from recsys_assets.serving.asking import Breaker, ask, ask_either
from recsys_assets.serving.pointer import Live, Pool, fetch, trusted
from recsys_assets.sources import SIMILAR_SOURCES, SOURCES
from recsys_assets.stores.cache import (
    VERSION_KEY,
    list_key,
    marker_key,
    near_key,
    plan_key,
    product_key,
    whole_key,
)

Store = Literal["redis", "postgres", "memory"]
Read = TypeVar("Read")
Values = list[bytes | None]


@dataclass(frozen=True)
class Person:
    """A person's list, the served products first; ``deep``: with all candidates, and no more to be had.

    ``members`` are scores of the products by member, which only the record knows. ``withheld`` are products that they
    bought and are not to be shown now, ``owned`` all that they bought; None: only the record knows. New products are of
    ``tiers``; None: of any.
    """

    suppressed: bool = False
    recommendation_id: str | None = None
    products: Sequence[Product] = ()
    deep: bool = False
    members: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    withheld: Collection[str] = frozenset()
    owned: Collection[str] | None = frozenset()
    tiers: Collection[str] | None = None


@dataclass(frozen=True)
class Near:
    """What stands beside a product: similar ones, and those taken after it."""

    similar: Sequence[Product] = ()
    following: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class Facts:
    """What the catalogue says of a product."""

    category: str | None
    parent_id: str | None
    price_micros: int | None
    price_tier: str | None = None  # a value of before it was kept has none


@dataclass(frozen=True)
class Found:
    """One per person asked about, in their order, and per product that has any neighbours; which store said so."""

    people: Sequence[Person]
    near: dict[str, Near]
    store: Store


@dataclass(frozen=True)
class PlanFound:
    """A person's plan and which store said so; ``row``: columns of table PLANS, None: the person has none."""

    suppressed: bool
    row: dict[str, Any] | None
    store: Store


class Sources:
    """The stores as one process reads them."""

    def __init__(self, pool: Pool, cache: Redis, keys: KeyRing) -> None:
        self._pool, self._cache, self._keys = pool, cache, keys
        self.redis, self.postgres = Breaker("redis"), Breaker("postgres")

    async def find(self, live: Live, people: Sequence[str], products: Sequence[str]) -> Found:
        """Lists of ``people``, who are keys, and what is near ``products``."""

        async def postgres() -> Found:
            lists = await self._rows(live, people, deep=False)
            return Found(lists, await self._near(live, products), "postgres")

        found = None
        if people or products:
            found = await self._either(*self._in_redis(live, people, products), postgres)
        return found or Found([Person()] * len(people), {}, "memory")

    async def candidates(self, live: Live, people: Sequence[str]) -> list[Person] | None:
        """All that Postgres holds of the lists of ``people``; None where it does not answer."""
        return await ask(self.postgres, lambda: self._rows(live, people, deep=True))

    async def plan(self, live: Live, key: str) -> PlanFound:
        """The plan of the person with ``key``; of somebody who is suppressed only that they are."""
        mark, number = self._keys.mark(key), live.generation
        names = [VERSION_KEY, whole_key(number), marker_key(mark), plan_key(number, mark)]

        def redis(values: Values) -> PlanFound | None:
            version, whole, marker, value = values
            if not trusted(version, whole, live.suppression_version):
                return None
            suppressed = marker is not None
            return PlanFound(suppressed, None if suppressed or value is None else json.loads(value), "redis")

        async def postgres() -> PlanFound | None:
            rows = await fetch(self._pool, "read/plan", {"generation": number, "key": key, "mark": mark}, older=[])
            return PlanFound(rows[0]["suppressed"], rows[0]["plan"], "postgres") if rows else None

        return await self._either(names, redis, postgres) or PlanFound(suppressed=False, row=None, store="memory")

    async def facts(self, live: Live, products: Sequence[str]) -> dict[str, Facts]:
        """What the catalogue says of ``products``; those that it does not know are left out."""
        return await self.known_facts(live, products) or {}

    async def known_facts(self, live: Live, products: Sequence[str]) -> dict[str, Facts] | None:
        """As `facts`; None where no store answers."""
        if not products:
            return {}
        names = [whole_key(live.generation), *(product_key(live.generation, product) for product in products)]

        def redis(values: Values) -> dict[str, Facts] | None:
            whole, *known = values
            if whole is None:
                return None
            return {
                product: Facts(**json.loads(value))
                for product, value in zip(products, known, strict=True)
                if value is not None
            }

        async def postgres() -> dict[str, Facts]:
            values = {"generation": live.generation, "products": list(products)}
            rows = await fetch(self._pool, "read/products", values)
            return {row.pop("product_id"): Facts(**row) for row in rows}

        return await self._either(names, redis, postgres)

    async def _either(
        self,
        names: Sequence[str],
        redis: Callable[[Values], Read | None],
        postgres: Callable[[], Awaitable[Read | None]],
    ) -> Read | None:
        """What ``redis`` makes of the values of keys, else, where it is away, late or not to be trusted, Postgres.

        None where neither answers.
        """

        async def talk() -> Values:
            return cast(Values, await self._cache.mget(names))

        return await ask_either(self.redis, talk, redis, self.postgres, postgres)

    def _in_redis(
        self, live: Live, people: Sequence[str], products: Sequence[str]
    ) -> tuple[list[str], Callable[[Values], Found | None]]:
        """Keys of lists and of what is near products, and what to make of their values.

        None: this Redis has missed suppressions or does not hold the generation, and is not to be trusted.
        """
        marks = [self._keys.mark(key) for key in people]
        size = len(marks)
        names = [
            VERSION_KEY,
            whole_key(live.generation),
            *(marker_key(mark) for mark in marks),
            *(list_key(live.generation, mark) for mark in marks),
            *(near_key(live.generation, product) for product in products),
        ]

        def found(told: Values) -> Found | None:
            version, whole, *values = told
            if not trusted(version, whole, live.suppression_version):
                return None
            lists = [
                Person(suppressed=marker is not None)
                if marker is not None or value is None
                else _person(json.loads(value))
                for marker, value in zip(values[:size], values[size : 2 * size], strict=True)
            ]
            near = {
                product: _near(json.loads(value))
                for product, value in zip(products, values[2 * size :], strict=True)
                if value is not None
            }
            return Found(lists, near, "redis")

        return names, found

    async def _rows(self, live: Live, people: Sequence[str], *, deep: bool) -> list[Person]:
        if not people:
            return []
        marks = [self._keys.mark(key) for key in people]
        values = {"generation": live.generation, "keys": list(people), "marks": marks, "deep": deep}
        rows = {row["key"].hex: row for row in await fetch(self._pool, "read/lists", values)}
        return [Person(suppressed=True) if rows[key]["suppressed"] else _person(rows[key]) for key in people]

    async def _near(self, live: Live, products: Sequence[str]) -> dict[str, Near]:
        if not products:
            return {}
        values = {"generation": live.generation, "products": list(products)}
        return {row["product_id"]: _near(row) for row in await fetch(self._pool, "read/near", values)}


def _person(value: dict[str, Any]) -> Person:
    products = _with_sources(value["products"])
    deep = len(products) == value["candidates"]
    # A generation of before it was kept says nothing of what people own.
    withheld = value.get("withheld") or ()
    owned = value.get("bought") or (withheld if len(withheld) == (value.get("owned") or 0) else None)
    return Person(
        False, value["recommendation_id"], products, deep, value.get("members") or {}, withheld, owned,
        value.get("tiers"),
    )  # fmt: skip


def _with_sources(columns: dict[str, Any] | None) -> Sequence[Product]:
    """Products, each with the word for its source. Of a list that an older program published, the night knows none."""
    if not columns or not columns.get("source"):
        return listed(columns, source="hybrid")
    names = ["hybrid" if place is None else SOURCES[place] for place in columns["source"]]
    return listed(columns | {"source": names})


def _similar(columns: dict[str, Any] | None) -> Sequence[Product]:
    """Products beside another, each with its reason; ``like`` is by what. An older program knew purchases alone."""
    if not columns:
        return []
    like = [SIMILAR_SOURCES[place or 0] for place in columns.get("source") or [0] * len(columns["id"])]
    sources = ["content" if one == "content" else "similar" for one in like]
    return listed(columns | {"like": like, "source": sources, "reason": [SIMILAR_BY[one] for one in like]})


def _near(value: dict[str, Any]) -> Near:
    following = value["next"] or {"id": (), "score": ()}
    return Near(_similar(value["similar"]), list(zip(following["id"], following["score"], strict=True)))
