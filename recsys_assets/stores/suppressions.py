"""Who must not be served: opt-outs, erasures and the users file's noes, effective at once in every store (promise 3).

Order: the commit in Postgres, then Redis. A Redis that cannot be told falls behind in its version, and every API
process leaves it alone as soon as it has reread the pointer; an opt-out ends only when one of the two has happened.
A Redis that is restarted from an older file lags too: `serving.starts` says how the API notices in time.

A person is suppressed while either says so: the person (lifted by an opt-in, an erasure by nothing), or the users file
(lifted by a later yes in it). Both stand in one row, so that readers ask one table and one marker.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from recsys_assets.errors import RefusedError, StoreError
from recsys_assets.identity import KeyRing
from recsys_assets.logic.wishes import Wishes
from recsys_assets.stores import receipts
from recsys_assets.stores.cache import Cache, Deleted
from recsys_assets.stores.postgres import (
    PERSON_TABLES,
    PUBLISH_LOCK,
    SUPPRESSION_LOCK,
    Connection,
    Postgres,
    rows,
    run,
)

POINTER_SECONDS = 1.0  # how often an API process rereads the pointer, and the suppressions' version with it
# Twice that: one period may just have begun before the commit, and the reading itself takes its time.
SETTLE_SECONDS = 2 * POINTER_SECONDS
_RETRY_SECONDS = 0.2
WISH_SECONDS = 28.0  # one takes some milliseconds, and some twenty seconds where Redis hangs


@dataclass(frozen=True)
class Suppressed:
    """What an opt-out or an erasure removed: rows in Postgres, values in Redis, and why Redis could not follow.

    ``receipt`` is that of the wish that holds, which may be an earlier one. ``since`` is when the person was first
    suppressed, UTC. ``erased``: for good.
    """

    receipt: str
    lists: int
    profiles: int
    plans: int
    cached: int
    cached_plans: int
    since: datetime
    erased: bool
    cache_problem: str | None


@dataclass(frozen=True)
class OptedIn:
    """Whether there was an opt-out to undo, and why Redis could not follow.

    ``receipt``: of this opt-in, or of the last one where there was nothing to undo. ``by_file``: the users file says
    no, so that the person stays suppressed.
    """

    receipt: str
    was_out: bool
    cache_problem: str | None
    by_file: bool = False


@dataclass(frozen=True)
class Followed:
    """What users files changed: people withheld and released; lists removed in both stores, and why Redis could not."""

    withheld: int = 0
    released: int = 0
    lists: int = 0
    cached: int = 0
    cache_problem: str | None = None


class Suppressions:
    """Opt-outs, opt-ins and erasures on one Postgres and one Redis. All take the person's key."""

    def __init__(self, postgres: Postgres, cache: Cache, keys: KeyRing) -> None:
        self._postgres, self._cache, self._keys = postgres, cache, keys

    def optout(self, key: str) -> Suppressed:
        """No list of this person is served once this returns, by any store; an opt-in undoes it.

        Where Redis cannot be told, it returns after `SETTLE_SECONDS`, when every API process that reaches Postgres has
        stopped trusting that Redis. One that reaches the same Redis but not Postgres cannot know: that is the limit.

        Raises:
            StoreError: Postgres does not answer; nothing is promised then.
        """
        return self._suppress(key, "optout")

    def forget(self, key: str) -> Suppressed:
        """As an opt-out, for good: of what is published, only the mark stays.

        Raises:
            StoreError: Postgres does not answer; nothing is promised then.
        """
        return self._suppress(key, "erased")

    def optin(self, key: str) -> OptedIn:
        """Undoes an opt-out; the list comes back with the next publish.

        Raises:
            RefusedError: the person was erased.
            StoreError: Postgres does not answer.
        """
        mark = self._keys.mark(key)
        self._postgres.migrate()
        with self._postgres.connect() as connection, suppressing(connection):
            with connection.transaction():
                held, by_file = _held(connection, mark)
                if held == "erased":
                    raise RefusedError("this person was erased: an opt-in cannot bring back what is gone")
                was_out = held == "optout"
                receipt, new = receipts.opened(connection, self._keys, mark, "optin", again=not was_out)
                if held is None or by_file:
                    if by_file:
                        connection.execute("UPDATE suppressions SET kind = 'consent' WHERE mark = %s", [mark])
                    if new:
                        receipts.note(connection, receipt, [], done=True)
                    return OptedIn(str(receipt), was_out, None, by_file=by_file)
                connection.execute("DELETE FROM suppressions WHERE mark = %s", [mark])
                version = _next_version(connection)

            def apply() -> dict[str, Deleted]:
                self._cache.unsuppress(mark)
                return {}

            # Redis may lag here: it errs on the side of not serving.
            problem = _problem(lambda: self._follow(connection, version, apply))
            return OptedIn(str(receipt), True, problem)

    def marks(self) -> set[str]:
        """Marks (32 hex digits) of everybody who is suppressed."""
        self._postgres.migrate()
        with self._postgres.connect() as connection:
            return set(marks_of(connection))

    def asked(self) -> set[str]:
        """Marks of those who asked for it themselves, under the key that they asked with; not of users files' noes."""
        self._postgres.migrate()
        with self._postgres.connect() as connection:
            return {row["mark"].hex for row in rows(connection, "read/asked")}

    def erased(self) -> set[str]:
        """Marks of everybody who was erased."""
        return receipts.erased_marks(self._postgres)

    def follow(self, wishes: Wishes) -> Followed:
        """Makes what users files say hold in both stores; a no as an opt-out, and nothing where nothing changed.

        Only a yes lifts a no: somebody whom no file names any more stays withheld.

        Raises:
            StoreError: Postgres does not answer; nothing is promised then.
        """
        self._postgres.migrate()
        with self._postgres.connect() as connection:
            with suppressing(connection):
                there = {row["mark"].hex for row in rows(connection, "read/withheld")}
                refused = self._marked(wishes.refused)
                new = sorted(refused - there)
                gone = sorted((there - refused) & self._marked(wishes.granted)) if there - refused else []
                with connection.transaction():
                    self._note_mail(connection, wishes)
                    if not new and not gone:
                        return Followed()
                    version, generations = _next_version(connection), kept(connection)
                    of = {"marks": new, "generations": generations, "version": version}
                    run(connection, "publish/withhold", of)
                    deleted = _delete(connection, "of_marks", of)
                    lifted = {"marks": gone, "version": version}
                    released = [row["mark"].hex for row in rows(connection, "publish/release", lifted)]
                settled = time.monotonic() + SETTLE_SECONDS
                cached, problem = self._tell(connection, version, new, generations, released)
            more, problem = self._settle(connection, problem, settled)
            return Followed(len(new), len(gone), deleted["lists"], (cached + more).lists, problem)

    def sweep(self, marks: Sequence[str]) -> list[tuple[str, int]]:
        """Removes what a store that readers see still holds of ``marks`` (of suppressed people); how much, by store.

        Nothing, where all went well; more, for people whom a list of `recsys suppressions export` brought. It waits
        for a publish to end: one that began before the wish and was killed before its flip leaves lists behind.

        Raises:
            StoreError: a store does not answer.
        """
        self._postgres.migrate()
        with self._postgres.connect() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [PUBLISH_LOCK])  # it goes with the connection
            with suppressing(connection):
                generations = kept(connection)
                of = {"marks": marks, "generations": generations}
                with connection.transaction():
                    deleted = _delete(connection, "of_marks", of)
                cached = self._cache.remove_people(marks, generations)
                catch_up(connection, self._cache)
        return receipts.of_postgres(deleted) + receipts.of_redis(cached)

    def _marked(self, keys: Iterable[str]) -> set[str]:
        return {self._keys.mark(key) for key in keys}

    def _note_mail(self, connection: Connection, wishes: Wishes) -> None:
        run(connection, "publish/transactional_only", {"marks": sorted(self._marked(wishes.transactional_only))})
        if connection.execute("SELECT EXISTS (SELECT FROM transactional_only)").fetchone() != {"exists": False}:
            run(connection, "publish/marketing_too", {"marks": sorted(self._marked(wishes.marketing_too))})

    def _suppress(self, key: str, kind: str) -> Suppressed:
        mark = self._keys.mark(key)
        self._postgres.migrate()
        with self._postgres.connect() as connection:
            with suppressing(connection):
                with connection.transaction():
                    held, _ = _held(connection, mark)
                    version, generations = _next_version(connection), kept(connection)
                    row = rows(connection, "publish/suppress", {"mark": mark, "kind": kind, "version": version})[0]
                    of = {"key": key, "generations": generations}
                    deleted = _delete(connection, "of", of)
                    erased = row["kind"] == "erased"
                    receipt, new = receipts.opened(
                        connection, self._keys, mark, "erasure" if erased else "optout", again=held == row["kind"]
                    )
                    removed = receipts.of_postgres(deleted)
                    receipts.note(connection, receipt, [one for one in removed if new or one[1]], done=False)
                settled = time.monotonic() + SETTLE_SECONDS
                cached, problem = self._tell(connection, version, [mark], generations)
                if (problem or not new) and (lines := receipts.of_redis_too(cached)):  # else Redis's lines count them
                    receipts.note(connection, receipt, lines, done=False)
            more, problem = self._settle(connection, problem, settled)
            cached += more
            return Suppressed(
                str(receipt), deleted["lists"], deleted["profiles"], deleted["plans"], cached.lists, cached.plans,
                row["at"], erased, problem,
            )  # fmt: skip

    def _tell(
        self,
        connection: Connection,
        version: int,
        marks: Sequence[str],
        generations: Sequence[int],
        released: Sequence[str] = (),
    ) -> tuple[Deleted, str | None]:
        """What of ``marks`` left Redis, and why it could not follow. The suppression lock must be held."""
        deleted = Deleted()

        def apply() -> dict[str, Deleted]:
            nonlocal deleted
            deleted = self._cache.remove_people(marks, generations)
            self._cache.set_markers(marks)
            for mark in released:
                self._cache.unsuppress(mark)
            return {marks[0]: deleted} if len(marks) == 1 else {}

        problem = _problem(lambda: self._follow(connection, version, apply))
        return deleted, problem

    def _settle(self, connection: Connection, problem: str | None, until: float) -> tuple[Deleted, str | None]:
        """Tries again until Redis has followed, or every API process has stopped trusting it; what went."""
        deleted = Deleted()

        def again() -> None:
            nonlocal deleted
            deleted += catch_up(connection, self._cache)

        while problem is not None and time.monotonic() < until:
            time.sleep(_RETRY_SECONDS)
            with suppressing(connection):
                problem = _problem(again)
        return deleted, problem

    def _follow(self, connection: Connection, version: int, apply: Callable[[], Mapping[str, Deleted]]) -> None:
        """Applies one change to Redis; all of them where it has missed any. The suppression lock must be held."""
        start, before = self._cache.start(), self._cache.version()
        removed = apply()
        if before == version - 1:
            self._cache.set_version(version, start)
        catch_up(connection, self._cache, removed)


@contextmanager
def suppressing(connection: Connection) -> Iterator[None]:
    """The lock that changes to suppressions, and the flip that reapplies them, share."""
    with connection.transaction():  # for its limits; the lock is the session's
        connection.execute("SELECT pg_advisory_lock(%s)", [SUPPRESSION_LOCK])
    try:
        yield
    finally:
        if not connection.broken and not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", [SUPPRESSION_LOCK])


def catch_up(connection: Connection, cache: Cache, removed: Mapping[str, Deleted] | None = None) -> Deleted:
    """Every suppression → Redis, where it has missed any; what went. The lock must be held.

    Receipts that wait for Redis are told. ``removed``: what has just gone, by mark.
    """
    version = int(rows(connection, "read/suppression_version")[0]["suppression_version"])
    counts, deleted = dict(removed or {}), Deleted()
    start = cache.start()
    if cache.version() != version:
        generations = kept(connection)
        for row in rows(connection, "read/receipts_for_redis"):
            gone = cache.remove_people([row["mark"].hex], generations)
            counts[row["mark"].hex] = counts.get(row["mark"].hex, Deleted()) + gone
            deleted += gone
        deleted += cache.resync(marks_of(connection), generations)
    cache.set_version(version, start)
    receipts.redis_followed(connection, counts)
    return deleted


def marks_of(connection: Connection) -> list[str]:
    """Marks of everybody who is suppressed, in the order of their wishes."""
    return [row["mark"].hex for row in rows(connection, "read/suppressions")]


def kept(connection: Connection) -> list[int]:
    """Generations whose rows Postgres holds, newest first."""
    return [row["generation"] for row in rows(connection, "read/kept")]


def _held(connection: Connection, mark: str) -> tuple[str | None, bool]:
    """What holds about a person, None: nothing; and whether the users file says no."""
    found = rows(connection, "read/suppression", {"mark": mark})
    return (found[0]["kind"], found[0]["by_file"]) if found else (None, False)


def _delete(connection: Connection, whose: str, values: Mapping[str, object]) -> dict[str, int]:
    """Deletes rows of people from every table that has any; how many, by table. ``whose``: of (a key), of_marks."""
    return {table: run(connection, f"publish/delete_{table}_{whose}", values) for table in PERSON_TABLES}


def _next_version(connection: Connection) -> int:
    return int(rows(connection, "publish/next_version")[0]["suppression_version"])


def _problem(act: Callable[[], object]) -> str | None:
    try:
        act()
    except StoreError as error:
        return str(error)
    return None
