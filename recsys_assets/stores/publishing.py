"""A day's frames → the live generation.

Stage in Postgres, check, warm Redis, flip: the commit of one row is the moment. Whatever a dead publish has left is
dropped by the next. The flip reapplies the suppressions under the lock that they take.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import Any

import psycopg
from psycopg import sql

from recsys_assets.errors import NotFoundError, RefusedError, StoreError
from recsys_assets.identity import KeyRing
from recsys_assets.logic.hashing import list_hash
from recsys_assets.stores import staging
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.cached import cached_values
from recsys_assets.stores.loading import TABLES, ahead, load, problems_of
from recsys_assets.stores.postgres import (
    PERSON_TABLES,
    PUBLISH_LOCK,
    Connection,
    Postgres,
    rows,
    run,
    schema_version,
)
from recsys_assets.stores.product_changes import copy_changes
from recsys_assets.stores.staging import Frames, Marked
from recsys_assets.stores.suppressions import catch_up, kept, marks_of, suppressing

__all__ = ["Frames", "Generation", "Published", "Publisher", "RolledBack", "Staged", "generations"]

LOCK_SECONDS = 3  # Postgres takes a moment to notice that a publish was killed
DROP_SECONDS = 2  # dropping waits for whoever reads the old rows, and new readers wait behind it


@dataclass(frozen=True)
class Generation:
    """One publish of one day."""

    generation: int
    day: date
    state: str
    created_at: datetime
    live: bool
    model_version: str
    list_hash: str
    people: int
    flipped_at: datetime | None


@dataclass(frozen=True)
class Staged:
    """A generation that is loaded and not yet live: ``rows`` per table as counted in Postgres."""

    generation: int
    day: date
    frames: Frames
    rows: dict[str, int]


@dataclass(frozen=True)
class Published:
    """A generation that went live: ``rows`` per table, ``seconds`` per step.

    ``problems`` are what failed beside it or after the flip; the next publish, or a warm, mends it.
    """

    generation: int
    list_hash: str
    rows: dict[str, int]
    seconds: dict[str, float]
    problems: list[str]

    @property
    def people(self) -> int:
        """Persons with a list, as staged."""
        return self.rows["lists"]


@dataclass(frozen=True)
class RolledBack:
    """The generation that is live again; ``problems`` are what failed after the flip.

    ``whole``: Redis holds it. Where not, readers take it from Postgres until a warm.
    """

    generation: Generation
    whole: bool
    problems: list[str]


def generations(postgres_url: str) -> list[Generation]:
    """Every generation, newest first; none where nothing was ever published.

    Raises:
        StoreError: Postgres does not answer.
    """
    with Postgres(postgres_url).connect() as connection:
        if not schema_version(connection):
            return []
        return _known(connection)


def _nothing(_step: str) -> None:
    return


class Publisher:
    """Publishes, rolls back and warms, on one Postgres and one Redis."""

    def __init__(self, postgres: Postgres, cache: Cache, keys: KeyRing) -> None:
        self._postgres, self._cache, self._keys = postgres, cache, keys

    def publish(
        self,
        day: date,
        frames: Frames,
        *,
        model_version: str,
        learnt_at: datetime | None = None,
        check: Callable[[Staged], list[str]] | None = None,
        keep: int,
        force: bool = False,
        progress: Callable[[str], object] = _nothing,
    ) -> Published:
        """Makes a day live, whole or not at all. ``progress`` is told each step before it begins.

        ``learnt_at``: the models read nothing older than this; receipts of erasures want to know.

        Raises:
            RefusedError: the live day is later (and not ``force``), a check failed, or another publish runs.
            StoreError: Postgres or Redis does not answer; what was live stays live.
            TableError: a frame is not its table.
        """
        frames = frames.conform()
        self._postgres.migrate()
        clock = _Clock(progress)
        with self._postgres.connect() as connection, _publishing(connection):
            clock("leftovers")
            dead = [row["generation"] for row in rows(connection, "publish/leftovers")]
            untidy = _problems(lambda: self._drop(connection, dead, "retired"))
            self._refuse_older(connection, day, force)
            clock("hash")
            digest = list_hash(frames.lists)
            clock("stage")
            values = {
                "day": day,
                "model_version": model_version,
                "learnt_at": learnt_at,
                "list_hash": digest,
                "people": frames.lists["person_key"].n_unique(),
                "planning": None if frames.planning is None else json.dumps(frames.planning),
            }
            generation = int(rows(connection, "publish/new_generation", values)[0]["generation"])
            # Leaving the suppressed out here keeps what is known of them from being written at all; those who opt out
            # from now on are dropped by the flip.
            marked = staging.marked(frames, self._keys, generation, set(marks_of(connection)))
            taken = load(connection, generation, marked)
            clock("check")
            counts = rows(connection, "publish/counts", {"generation": generation})[0]
            problems = problems_of(marked, taken, counts)
            problems += check(Staged(generation, day, frames, counts)) if check else []
            if problems:
                _problems(
                    lambda: self._drop(connection, [generation], "refused", problems)
                )  # else the next publish does
                raise RefusedError(
                    f"the lists of {day} are refused, what was live stays live:\n  " + "\n  ".join(problems)
                )
            clock("ready")
            run(connection, "publish/set_state", {"generation": generation, "state": "ready", "reasons": None})
            clock("warm")
            self._fill(marked, generation)
            clock("flip")
            with suppressing(connection):
                with connection.transaction():
                    self._refuse_older(connection, day, force)
                    pointer = self._flip(connection, generation)
                    catch_up(connection, self._cache)
                    self._cache.remove_people(marks_of(connection), [generation])
                    clock("commit")
                clock("pointer")
                # From here on the generation is live: what fails is told, and mended by the next publish or a warm.
                untidy += _problems(lambda: self._copy_pointer(connection, pointer))
            clock("retire")
            untidy += _problems(lambda: self._retire(connection, keep))
            return Published(generation, digest, counts, clock.end(), untidy)

    def rollback(self, to: int | None = None) -> RolledBack:
        """Makes a generation that was live before live again: ``to``, else the one before the live one.

        Raises:
            NotFoundError: there is none such.
            RefusedError: a publish runs.
            StoreError: Postgres does not answer.
        """
        self._postgres.migrate()
        with self._postgres.connect() as connection, _publishing(connection):
            known = _known(connection)
            live = next((g.generation for g in known if g.live), None)
            there = [g for g in known if g.state == "ready" and g.flipped_at is not None]
            if to is None:
                there = [g for g in there if live is not None and g.generation < live]
            else:
                there = [g for g in there if g.generation == to]
            if not there:
                raise NotFoundError(
                    "there is no earlier generation that is kept; see `recsys generations`"
                    if to is None
                    else f"generation {to} is not kept, never was live, or is live already; see `recsys generations`"
                )
            generation = there[0].generation
            whole = False
            with suppressing(connection):
                with connection.transaction():
                    pointer = self._flip(connection, generation)

                def follow() -> None:
                    nonlocal whole
                    catch_up(connection, self._cache)
                    self._cache.remove_people(marks_of(connection), [generation])
                    whole = self._cache.whole(generation)
                    self._copy_pointer(connection, pointer)

                problems = _problems(follow)
            return RolledBack(next(g for g in _known(connection) if g.live), whole, problems)

    def generations(self) -> list[Generation]:
        """Every generation, newest first."""
        with self._postgres.connect() as connection:
            return _known(connection)

    def warm(self, generation: int | None = None) -> int:
        """Brings Redis up to date from Postgres: suppressions, a kept generation (the live one), the pointer.

        How many values were written; 0 where Redis held the generation whole.

        Raises:
            NotFoundError: the generation is not kept, or none is live.
            RefusedError: a publish or rollback runs.
            StoreError: a store does not answer.
        """
        self._postgres.migrate()
        with self._postgres.connect() as connection, _publishing(connection):
            if generation is None:
                live = rows(connection, "read/pointer")
                if not live:
                    raise NotFoundError("nothing has been published yet")
                generation = int(live[0]["generation"])
            if generation not in kept(connection):
                raise NotFoundError(f"generation {generation} is not kept; see `recsys generations`")
            with suppressing(connection):
                catch_up(connection, self._cache)
            count, whole = 0, self._cache.whole(generation)
            if not whole:
                self._cache.begin(generation)
                count = self._cache.put(cached_values(connection, generation))
            with suppressing(connection):
                if not whole:
                    self._cache.remove_people(marks_of(connection), [generation])
                    self._cache.finish(generation)
                if pointer := rows(connection, "read/pointer"):
                    self._copy_pointer(connection, pointer[0])
            self._cache.drop_except(kept(connection))
            return count

    def _flip(self, connection: Connection, generation: int) -> dict[str, Any]:
        """Makes a generation live without the suppressed; the new pointer. Lock and transaction must be held."""
        for name in (*(f"suppress_{table}" for table in PERSON_TABLES), "unlive", "make_live", "flip"):
            run(connection, f"publish/{name}", {"generation": generation})
        return rows(connection, "read/pointer")[0]

    def _copy_pointer(self, connection: Connection, pointer: dict[str, Any]) -> None:
        """The pointer and what has changed since its catalogue → Redis. The suppression lock must be held."""
        self._cache.set_pointer(pointer)
        copy_changes(connection, self._cache)

    def _fill(self, marked: Marked, generation: int) -> None:
        self._cache.begin(generation)
        self._cache.put(staging.cached_popular(marked.popular, marked.products, generation))
        self._cache.put(staging.cached_products(marked.products, generation))
        self._cache.put(staging.cached_near(marked.similar, marked.following, generation))
        with ahead(staging.cached_lists(marked, generation)) as pieces:
            self._cache.put(chain.from_iterable(pieces))
        with ahead(staging.cached_plans(marked, generation)) as plans:
            self._cache.put(chain.from_iterable(plans))
        self._cache.finish(generation)

    def _refuse_older(self, connection: Connection, day: date, force: bool) -> None:
        live = rows(connection, "read/pointer")
        if live and day < live[0]["day"] and not force:
            raise RefusedError(
                f"generation {live[0]['generation']} for {live[0]['day']} is live: {day} before it is published only "
                f"by `recsys run daily --day {day} --publish`; `recsys rollback` goes back to a kept one."
            )

    def _retire(self, connection: Connection, keep: int) -> None:
        old = [row["generation"] for row in rows(connection, "publish/beyond_keep", {"keep": keep - 1})]
        self._drop(connection, old, "retired")

    def _drop(self, connection: Connection, dropped: list[int], state: str, reasons: list[str] | None = None) -> None:
        """Drops generations' rows, then every key in Redis of generations that are not kept, of earlier drops too."""
        for generation in dropped:
            with connection.transaction():  # a generation whose state says that it is kept has its rows
                connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{DROP_SECONDS}s")))
                for table in TABLES:
                    name = sql.Identifier(f"{table}_{generation}")
                    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
                values = {"generation": generation, "state": state, "reasons": reasons}
                run(connection, "publish/set_state", values)
        self._cache.drop_except(kept(connection))


class _Clock:
    """Seconds per step; a step ends where the next begins."""

    def __init__(self, progress: Callable[[str], object]) -> None:
        self._progress, self._seconds = progress, dict[str, float]()
        self._step, self._since = "", time.perf_counter()

    def __call__(self, step: str) -> None:
        now = time.perf_counter()
        if self._step:
            self._seconds[self._step] = now - self._since
        self._step, self._since = step, now
        self._progress(step)

    def end(self) -> dict[str, float]:
        self("end")
        return self._seconds


@contextmanager
def _publishing(connection: Connection) -> Iterator[None]:
    try:
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{LOCK_SECONDS}s")))
            connection.execute("SELECT pg_advisory_lock(%s)", [PUBLISH_LOCK])  # of the session: it outlives this
    except psycopg.errors.LockNotAvailable as error:
        raise RefusedError("another publish or rollback runs: wait for it to end") from error
    yield  # the lock goes with the connection, on a kill too


def _known(connection: Connection) -> list[Generation]:
    return [Generation(**row) for row in rows(connection, "read/generations")]


def _problems(act: Callable[[], object]) -> list[str]:
    try:
        act()
    except (StoreError, psycopg.OperationalError) as error:
        return [str(error).strip().splitlines()[0]]
    return []
