"""Redis: what the API answers from. Every key can be made again from Postgres.

``recsys:<generation>:list:<mark>`` a person's served list, ``recsys:<generation>:plan:<mark>`` their plan,
``recsys:<generation>:product:<id>`` a product's category, price and parent, ``recsys:<generation>:near:<id>`` what is
similar to it and what is taken after it, ``recsys:<generation>:popular`` the popular lists (all JSON),
``recsys:<generation>:whole`` says that all of these are there; ``recsys:generations`` the generations that have keys;
``recsys:out:<mark>`` a suppressed person; ``recsys:suppressions`` the version of the suppressions that are applied
here, ``recsys:start`` the start of the server that was told; ``recsys:pointer`` a copy of the live pointer,
``recsys:changes`` one of the products that have changed since its catalogue. Persons stand under their marks, so that a
suppression finds their keys without knowing who they are.

A reader trusts a generation here only when it is whole and the suppressions are not behind.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from recsys_assets.errors import RefusedError, StoreError

VERSION_KEY = "recsys:suppressions"
POINTER_KEY = "recsys:pointer"
CHANGES_KEY = "recsys:changes"
START_KEY = "recsys:start"
GENERATIONS_KEY = "recsys:generations"
# In one step on the server: a client reconnects without a word, and would tell a server that was restarted from an
# older file that it has been told what only the one before was told.
_CONFIRM = """
if string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], '"' .. ARGV[2] .. '"')
return 1
"""
_OUT = "recsys:out:"
_SCAN = 2_000
_BATCH = 500  # a few MB of lists per round trip
# A connection that idled while the server restarted is dead without knowing: one more try, at once. The library's own
# default waits for seconds, which the read path and an opt-out do not have.
RETRIES = 1


def list_key(generation: int, mark: str) -> str:
    """Key of a person's served list."""
    return f"recsys:{generation}:list:{mark}"


def plan_key(generation: int, mark: str) -> str:
    """Key of a person's plan."""
    return f"recsys:{generation}:plan:{mark}"


def product_key(generation: int, product_id: str) -> str:
    """Key of a product's category, price and parent."""
    return f"recsys:{generation}:product:{product_id}"


def near_key(generation: int, product_id: str) -> str:
    """Key of a product's similar and next items; a product without any has none."""
    return f"recsys:{generation}:near:{product_id}"


def popular_key(generation: int) -> str:
    """Key of the popular lists."""
    return f"recsys:{generation}:popular"


def whole_key(generation: int) -> str:
    """Key that says that every key of the generation was written."""
    return f"recsys:{generation}:whole"


def marker_key(mark: str) -> str:
    """Key that says that the person is suppressed."""
    return _OUT + mark


def batches(items: Iterable[Any], size: int = _BATCH) -> Iterator[list[Any]]:
    """Consecutive pieces of at most ``size``."""
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece


@dataclass(frozen=True)
class Deleted:
    """How many lists and plans of people were deleted."""

    lists: int = 0
    plans: int = 0

    def __add__(self, other: "Deleted") -> "Deleted":
        return Deleted(self.lists + other.lists, self.plans + other.plans)


class Cache:
    """One Redis, by URL. Every method raises StoreError where it does not answer or is full."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url, socket_connect_timeout=2, socket_timeout=10, retry=Retry(NoBackoff(), RETRIES)
        )

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise StoreError(f"Redis (RECSYS_REDIS_URL) does not take it: {error}") from error

    def put(self, pairs: Iterable[tuple[str, str | bytes]]) -> int:
        """SETs pairs of key and value, pipelined; how many."""
        count = 0
        with self._answering():
            for piece in batches(pairs):
                with self._client.pipeline(transaction=False) as pipe:
                    for key, value in piece:
                        pipe.set(key, value)
                    pipe.execute()
                count += len(piece)
        return count

    def values(self, names: Iterable[str]) -> Iterator[bytes | None]:
        """The value of each key, in order; None where there is none."""
        for piece in batches(names):
            with self._answering():
                found = cast(list[bytes | None], self._client.mget(piece))
            yield from found

    def names(self, pattern: str) -> Iterator[str]:
        """Keys that match, in any order; one that comes or goes meanwhile may be missed."""
        with self._answering():
            for name in self._client.scan_iter(match=pattern, count=_SCAN):
                yield name.decode(errors="surrogateescape")

    # Generations.

    def begin(self, generation: int) -> None:
        """Before a generation's keys are written: clears what another of its number has left.

        Raises:
            RefusedError: this Redis evicts keys: it would lose lists, and markers of the suppressed, without a word.
        """
        with self._answering():
            memory = self._client.info("memory")
            if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
                raise RefusedError(
                    f"Redis (RECSYS_REDIS_URL) evicts keys when it is full ({memory['maxmemory_policy']}), and would "
                    "lose lists and opt-outs without a word: set its maxmemory-policy to noeviction."
                )
            if self._client.sismember(GENERATIONS_KEY, str(generation)):
                self.drop([generation])
            self._client.sadd(GENERATIONS_KEY, str(generation))
            self._client.set(f"recsys:{generation}:filling", "1")

    def finish(self, generation: int) -> None:
        """After all keys of a generation are written: readers may trust it.

        A rename, because it fails where a Redis that was emptied meanwhile has forgotten that it was being filled.
        """
        with self._answering():
            self._client.rename(f"recsys:{generation}:filling", whole_key(generation))

    def whole(self, generation: int) -> bool:
        """Whether every key of a generation is here."""
        with self._answering():
            return bool(self._client.exists(whole_key(generation)))

    def drop(self, generations: Iterable[int]) -> int:
        """Deletes all keys of generations; how many. First goes what says that a generation is whole."""
        count = 0
        with self._answering():
            for generation in generations:
                self._client.delete(whole_key(generation))
                for piece in batches(self._client.scan_iter(match=f"recsys:{generation}:*", count=_SCAN)):
                    count += int(self._client.unlink(*piece))
                self._client.srem(GENERATIONS_KEY, str(generation))
        return count

    def generations(self) -> set[int]:
        """Generations that have keys here."""
        with self._answering():
            return {int(member) for member in self._client.smembers(GENERATIONS_KEY)}

    def drop_except(self, kept: Iterable[int]) -> int:
        """Deletes all keys of the generations that Postgres no longer keeps; how many."""
        return self.drop(sorted(self.generations() - set(kept)))

    def set_pointer(self, pointer: dict[str, Any]) -> None:
        """Copies the live pointer, for an API that starts without Postgres."""
        self.put([(POINTER_KEY, json.dumps(pointer, default=lambda value: value.isoformat()))])

    def set_changes(self, changes: dict[str, Any]) -> None:
        """Copies which products have changed since the live catalogue, for an API that starts without Postgres."""
        self.put([(CHANGES_KEY, json.dumps(changes))])

    # Suppressions.

    def version(self) -> int | None:
        """Version of the suppressions applied here; None where there are none (an emptied Redis)."""
        with self._answering():
            found = self._client.get(VERSION_KEY)
        return None if found is None else int(found)

    def start(self) -> str:
        """Which start of the server answers: each has another id."""
        with self._answering():
            return str(self._client.info("server")["run_id"])

    def told_start(self) -> str | None:
        """Which start of the server was last told of suppressions; None: none."""
        with self._answering():
            found = self._client.get(START_KEY)
        return found.decode().strip('"') if isinstance(found, bytes) else None  # JSON, as every value

    def set_version(self, version: int, start: str) -> None:
        """From here on, this Redis may be trusted by whoever has seen at most ``version``.

        Raises:
            StoreError: it is another ``start`` than the one that was told, and may have come from an older file.
        """
        with self._answering():
            same = self._client.eval(_CONFIRM, 2, VERSION_KEY, START_KEY, str(version), start)
        if not same:
            raise StoreError("Redis (RECSYS_REDIS_URL) was restarted while it was told of suppressions")

    def remove_people(self, marks: Iterable[str], generations: Sequence[int]) -> Deleted:
        """Deletes the lists and plans of ``marks`` in all ``generations``. It works when memory is full."""
        deleted = Deleted()
        with self._answering():
            for piece in batches((g, mark) for mark in marks for g in generations):
                with self._client.pipeline(transaction=False) as pipe:
                    for key in (list_key, plan_key):
                        pipe.delete(*(key(g, mark) for g, mark in piece))
                    deleted += Deleted(*map(int, pipe.execute()))
        return deleted

    def set_markers(self, marks: Iterable[str]) -> None:
        """Says that persons are suppressed."""
        self.put((marker_key(mark), "1") for mark in marks)

    def markers(self) -> list[str]:
        """Marks of everybody whom this Redis knows to be suppressed."""
        with self._answering():
            return sorted(key.decode().removeprefix(_OUT) for key in self._client.scan_iter(_OUT + "*", count=_SCAN))

    def unsuppress(self, mark: str) -> None:
        """Removes a marker."""
        with self._answering():
            self._client.delete(marker_key(mark))

    def resync(self, marks: Collection[str], generations: Sequence[int]) -> Deleted:
        """Makes the markers exactly ``marks``, whatever was missed while Redis was away; what of theirs went."""
        deleted = self.remove_people(marks, generations)
        self.set_markers(marks)
        wanted = {marker_key(mark).encode() for mark in marks}
        with self._answering():
            for piece in batches(self._client.scan_iter(match=_OUT + "*", count=_SCAN)):
                if stale := [key for key in piece if key not in wanted]:
                    self._client.delete(*stale)
        return deleted
