"""Which generation is live, what has changed since, and the popular lists that each process keeps."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

from recsys_assets.logic import blending
from recsys_assets.serving.asking import RECORD_SECONDS, asking, understanding
from recsys_assets.stores.cache import CHANGES_KEY, POINTER_KEY, START_KEY, VERSION_KEY, popular_key, whole_key
from recsys_assets.stores.postgres import query, refuse_newer

Product = blending.Product
Pool = AsyncConnectionPool[psycopg.AsyncConnection[dict[str, Any]]]
Rows = list[dict[str, Any]]
NEVER = 2**63  # no version of the suppressions is as high
LOOK_SECONDS = 0.8  # after a second of rest: within two a store that hangs is known to be away


@dataclass(frozen=True)
class Change:
    """What was told of a product since the catalogue was read; None: as the catalogue says."""

    in_stock: bool | None
    price_micros: int | None


@dataclass(frozen=True)
class Token:
    """A token of the API: SHA-256 of it, what it may do, and until when."""

    hash: bytes
    scopes: frozenset[str]
    expires_at: datetime


@dataclass(frozen=True)
class Versions:
    """Counts of changes to products and to tokens."""

    changes: int
    tokens: int


@dataclass(frozen=True)
class Live:
    """The pointer as last read, the popular lists of its generation by category ('' = overall), changed products.

    ``planning``: what plans for a visit; None: the generation has no plans.
    """

    generation: int
    day: date
    model_version: str
    created_at: datetime
    suppression_version: int
    popular: dict[str, list[Product]]
    planning: dict[str, Any] | None = None
    change_version: int = 0
    changes: Mapping[str, Change] = field(default_factory=dict)


class _Connection(psycopg.AsyncConnection[dict[str, Any]]):
    """One that is ended where a query is given up: a server that hangs would not hear either that it is cancelled."""

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:  # noqa: ARG002 - psycopg's signature
        self.pgconn.finish()


def make_pool(url: str) -> Pool:
    """Connections that give up soon."""
    kwargs = {"autocommit": True, "row_factory": dict_row, "connect_timeout": 2, "options": "-c statement_timeout=1000"}
    return AsyncConnectionPool(
        url, connection_class=_Connection, min_size=1, max_size=8, timeout=0.5, open=False, kwargs=kwargs,
        reconnect_timeout=5,
    )  # fmt: skip


async def fetch(
    pool: Pool,
    name: str,
    values: dict[str, Any] | None = None,
    *,
    older: Rows | None = None,
    seconds: float = RECORD_SECONDS,
) -> Rows:
    """All rows of a named query; ``older`` where the schema is of before its tables or columns.

    Raises:
        StoreFailedError: Postgres has not answered within ``seconds``, or of those that are shared.
    """
    text = query(name).encode()
    async with asking(seconds) as waiting:
        until = waiting.when()
        assert until is not None
        task = asyncio.create_task(_rows(pool, text, values, until))
        _talks.add(task)
        task.add_done_callback(_talked)
        try:
            return await asyncio.shield(task)
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
            if older is None:
                raise
            return older


_talks: set[asyncio.Task[Rows]] = set()  # nothing else may hold those that nobody waits for any more


def _talked(task: asyncio.Task[Rows]) -> None:
    _talks.discard(task)
    if not task.cancelled():
        task.exception()  # asyncio would log one that nobody has looked at


async def _rows(pool: Pool, text: bytes, values: dict[str, Any] | None, until: float) -> Rows:
    """All rows of a query, or an error by ``until`` (the loop's time).

    To be run as a task that nobody cancels: a pool that is left in the middle of handing a connection out or taking it
    back loses it for good, and after eight of them every query waits in vain.
    """
    rest = max(0.0, until - asyncio.get_running_loop().time())
    async with pool.connection(timeout=rest) as connection, asyncio.timeout_at(until):
        return await (await connection.execute(text, values)).fetchall()


def by_category(text: str | bytes | None) -> dict[str, list[Product]]:
    """Popular lists by category, of the JSON that Redis holds."""
    same = {"confidence": None, "purchased": None, "source": "popularity"}
    return {entry["category"]: list(blending.listed(entry["products"], **same)) for entry in json.loads(text or "[]")}


async def refuse_newer_schema(pool: Pool) -> None:
    """Raises HomeError where the database's schema is newer than this program."""
    found = await fetch(pool, "read/schema_version", older=[], seconds=LOOK_SECONDS)
    if found:
        refuse_newer(found[0]["version"])


async def versions(pool: Pool) -> Versions:
    """What to read again; zeros before the schema has them."""
    nothing = {"change_version": 0, "token_version": 0}
    found = await fetch(pool, "read/versions", older=[nothing], seconds=LOOK_SECONDS)
    return Versions(found[0]["change_version"], found[0]["token_version"])


async def tokens(pool: Pool) -> tuple[Token, ...]:
    """Every token."""
    found = await fetch(pool, "read/api_tokens", older=[])
    return tuple(Token(bytes(row["hash"]), frozenset(row["scopes"]), row["expires_at"]) for row in found)


async def from_postgres(pool: Pool, last: Live | None, changes: int) -> Live | None:
    """The live generation; None before the first.

    Its popular lists are read where the generation is a new one, its changed products where it is, or where
    ``changes``, their version, is.
    """
    found = await fetch(pool, "read/pointer", older=[], seconds=LOOK_SECONDS)
    if not found:
        return None
    row = found[0]
    same = last is not None and last.generation == row["generation"]
    if last is not None and same and last.popular:
        popular = last.popular
    else:
        lists = await fetch(pool, "read/cached_popular", {"generation": row["generation"]})
        popular = by_category(lists[0]["value"] if lists else None)
    if last is not None and same and last.change_version == changes:
        changed = last.changes
    else:
        changed = await _changes(pool)
    return Live(**row, popular=popular, change_version=changes, changes=changed)


async def _changes(pool: Pool) -> Mapping[str, Change]:
    found = await fetch(pool, "read/product_changes", older=[])
    return {row["product_id"]: Change(row["in_stock"], row["price_micros"]) for row in found}


async def from_redis(cache: Redis) -> Live | None:
    """The copy of the pointer, for a start without Postgres; None where Redis does not hold what it points at.

    A Redis that was restarted since it was last told of suppressions may have come from an older file: nobody who has
    seen no version can know, so that its lists of people are left alone, and popular ones answer.

    Raises:
        StoreFailedError: Redis does not answer, or holds something else.
    """
    async with asking(LOOK_SECONDS):
        text = await cache.get(POINTER_KEY)
    if text is None:
        return None
    with understanding():
        row = json.loads(text)
        generation = row["generation"]
    names = [VERSION_KEY, whole_key(generation), popular_key(generation), CHANGES_KEY, START_KEY]
    async with asking(RECORD_SECONDS):
        version, whole, popular, told, start = await cache.mget(names)
        now = None if start is None else (await cache.info("server"))["run_id"]
    with understanding():
        if not trusted(version, whole, row["suppression_version"]):
            return None
        if start is None or json.loads(start) != now:
            row["suppression_version"] = NEVER
        row |= {"day": date.fromisoformat(row["day"]), "created_at": datetime.fromisoformat(row["created_at"])}
        changes = json.loads(told or '{"version": 0, "products": {}}')
        changed = {product: Change(*change) for product, change in changes["products"].items()}
        return Live(**row, popular=by_category(popular), change_version=changes["version"], changes=changed)


def trusted(version: bytes | str | None, whole: bytes | str | None, at_least: int) -> bool:
    """Whether a Redis with these values has missed no suppression and holds all of the generation."""
    return version is not None and int(version) >= at_least and whole is not None
