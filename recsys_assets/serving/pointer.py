"""Which generation is live, and the popular lists that each process keeps."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
import redis
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from redis.asyncio import Redis

from recsys_assets.stores.cache import POINTER_KEY, VERSION_KEY, popular_key, whole_key
from recsys_assets.stores.postgres import query, refuse_newer

Product = dict[str, Any]
Pool = AsyncConnectionPool[psycopg.AsyncConnection[dict[str, Any]]]
POSTGRES_DOWN = (psycopg.Error, PoolTimeout, OSError)
REDIS_DOWN = (redis.RedisError, OSError)


@dataclass(frozen=True)
class Live:
    """The pointer as last read, and the popular lists of its generation by category ('' = overall)."""

    generation: int
    day: date
    model_version: str
    created_at: datetime
    suppression_version: int
    popular: dict[str, list[Product]]


def make_pool(url: str) -> Pool:
    """Connections that give up soon."""
    kwargs = {"autocommit": True, "row_factory": dict_row, "connect_timeout": 2, "options": "-c statement_timeout=1000"}
    return AsyncConnectionPool(url, min_size=1, max_size=8, timeout=0.5, open=False, kwargs=kwargs, reconnect_timeout=5)


async def fetch(pool: Pool, name: str, values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """All rows of a named query."""
    async with pool.connection() as connection:
        return await (await connection.execute(query(name).encode(), values)).fetchall()


def _by_category(text: str | bytes | None) -> dict[str, list[Product]]:
    return {entry["category"]: entry["products"] for entry in json.loads(text or "[]")}


async def refuse_newer_schema(pool: Pool) -> None:
    """Raises HomeError where the database's schema is newer than this program."""
    try:
        found = await fetch(pool, "read/schema_version")
    except psycopg.errors.UndefinedTable:
        return
    refuse_newer(found[0]["version"])


async def from_postgres(pool: Pool, last: Live | None) -> Live | None:
    """The live generation; None before the first. Its popular lists are read where the generation is a new one."""
    try:
        found = await fetch(pool, "read/pointer")
    except psycopg.errors.UndefinedTable:
        return None
    if not found:
        return None
    row = found[0]
    if last is not None and last.generation == row["generation"] and last.popular:
        return Live(**row, popular=last.popular)
    popular = await fetch(pool, "read/cached_popular", {"generation": row["generation"]})
    return Live(**row, popular=_by_category(popular[0]["value"] if popular else None))


async def from_redis(cache: Redis) -> Live | None:
    """The copy of the pointer, for a start without Postgres; None where Redis does not hold what it points at."""
    text = await cache.get(POINTER_KEY)
    if text is None:
        return None
    row = json.loads(text)
    generation = row["generation"]
    version, whole, popular = await cache.mget([VERSION_KEY, whole_key(generation), popular_key(generation)])
    if not trusted(version, whole, row["suppression_version"]):
        return None
    row |= {"day": date.fromisoformat(row["day"]), "created_at": datetime.fromisoformat(row["created_at"])}
    return Live(**row, popular=_by_category(popular))


def trusted(version: bytes | str | None, whole: bytes | str | None, at_least: int) -> bool:
    """Whether a Redis with these values has missed no suppression and holds all of the generation."""
    return version is not None and int(version) >= at_least and whole is not None
