"""Whether Postgres, Redis and the lake agree on a generation, row by row; else what differs.

The lake's frames go through what a publish sends (`stores.staging`), into tables of this session beside the ones that
a publish has filled; Redis is held against what a warm would write (`stores.cached`). Nothing is changed anywhere.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from recsys_assets.errors import NotFoundError
from recsys_assets.identity import KEY_PREFIX, KeyRing
from recsys_assets.logic.hashing import list_hash
from recsys_assets.stores import staging
from recsys_assets.stores.cache import CHANGES_KEY, POINTER_KEY, Cache, batches, list_key, plan_key
from recsys_assets.stores.cached import cached_values
from recsys_assets.stores.day_frames import frames_of
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.loading import TABLES, texts
from recsys_assets.stores.postgres import PERSON_TABLES, Connection, Postgres, rows
from recsys_assets.stores.product_changes import changes_to_copy
from recsys_assets.stores.publishing import Generation, generations
from recsys_assets.stores.rows_beside import Differing, beside
from recsys_assets.stores.suppressions import kept, marks_of
from recsys_assets.tables import LISTS

NAMED = 3  # examples of a difference
TRIES = 3  # while the stores change under the comparison


@dataclass(frozen=True)
class Difference:
    """Something on which two stores do not agree: how often, and the first examples."""

    what: str
    count: int
    first: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verified:
    """What was compared (rows and values, by store and table), what differs, and what is only worth knowing."""

    generation: int
    day: date
    live: bool
    compared: dict[str, int]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass
class _Found:
    """What a comparison gathers."""

    compared: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def differ(self, what: str, examples: Iterable[str], count: int | None = None) -> None:
        named = list(examples)
        if named or count:
            total = len(named) if count is None else count
            self.differences.append(Difference(what, total, tuple(named[:NAMED])))


class Verifier:
    """Compares one home's stores."""

    def __init__(
        self,
        postgres: Postgres,
        postgres_url: str,
        cache: Cache,
        lake: Lake,
        keys: KeyRing,
        *,
        redis_is_new: bool = False,
    ) -> None:
        self._postgres, self._url, self._cache, self._lake, self._keys = postgres, postgres_url, cache, lake, keys
        self._redis_is_new = redis_is_new  # started for this comparison alone: nobody has told it anything since

    def verify(self, number: int | None = None) -> Verified:
        """Compares a kept generation (None: the live one). What changed meanwhile is compared once more.

        Raises:
            NotFoundError: the generation is not kept, or none is live.
            StoreError: a store does not answer.
        """
        if not self._postgres.refresh():
            raise NotFoundError("nothing has been published yet")
        for _ in range(TRIES):
            before = self._versions()
            verified = self._once(number)
            if verified.agree or self._versions() == before:
                return verified
        return verified

    def _versions(self) -> dict[str, Any]:
        with self._postgres.connect() as connection:
            (versions,), pointer = rows(connection, "read/versions"), rows(connection, "read/pointer")
        return versions | {"pointer": pointer}

    def _once(self, number: int | None) -> Verified:
        of = _chosen(generations(self._url), number)
        found = _Found()
        with self._postgres.connect() as connection, _one_moment(connection):
            if of.generation not in kept(connection):
                raise NotFoundError(f"generation {of.generation} is not kept; see `recsys generations`")
            self._suppressions(connection, of, found)
            self._lake_and_postgres(connection, of, found)
            there = self._keys_in_redis()
            if of.live:
                self._copies(connection, found)
            if self._cache.whole(of.generation):
                self._postgres_and_redis(connection, of, found, there)
            elif of.live:
                found.differ("Redis does not hold the generation whole: `recsys warm`", [f"generation {of.generation}"])
            else:
                found.notes.append("Redis does not hold this generation: after a rollback to it, `recsys warm`")
            self._leftovers(connection, found, there)
        return Verified(of.generation, of.day, of.live, found.compared, tuple(found.differences), tuple(found.notes))

    # The lake and Postgres.

    def _lake_and_postgres(self, connection: Connection, of: Generation, found: _Found) -> None:
        if of.day not in self._lake.days(LISTS):
            found.notes.append(f"the lake no longer has lists of {of.day}: not compared with it")
            return
        try:
            frames = frames_of(self._lake, of.day)
        except NotFoundError as error:  # retention has dropped some of it, or an older program made the day
            found.notes.append(f"not compared with the lake: {error}")
            return
        same = list_hash(frames.lists) == of.list_hash
        out = set(marks_of(connection))
        swept = {row["mark"].hex for row in rows(connection, "read/erased_and_swept")}
        if swept:
            found.differ(
                "the lake's lists, profiles or plans hold people whose erasure is done: `recsys run erase`",
                [f"{KEY_PREFIX}{key}" for key in frames.people() if self._keys.mark(key) in swept],
            )
        came_back = {row["mark"].hex for row in rows(connection, "read/opted_in_since", {"since": of.created_at})}
        differing = list[Differing]()
        for table, text in texts(staging.marked(frames, self._keys, of.generation, out), of.generation).items():
            each = beside(connection, table, of.generation, text, came_back, NAMED)
            found.compared[f"lake and Postgres: {table}"] = each.rows
            differing.append(each)
        if not same and any(each.count for each in differing if each.table == "lists"):
            counts = ", ".join(f"{each.count:,} of {each.rows:,} {each.table}" for each in differing if each.count)
            found.notes.append(
                f"the lake's lists of {of.day} are not the ones that were published: made anew since. "
                f"Rows that differ: {counts}"
            )
            return
        (there,) = rows(connection, "read/planning", {"generation": of.generation})
        if there["planning"] != frames.planning:
            found.differ("lake and Postgres: what plans for visits is not the same in both", ["planning"])
        for each in differing:
            for what, count, first in each.told:
                found.differ(f"lake and Postgres: {each.table} {what}", first, count)
            if each.returned:
                found.notes.append(
                    f"{each.returned:,} {each.table} of people who have opted in again come with the next publish"
                )

    # Postgres and Redis.

    def _keys_in_redis(self) -> Counter[tuple[int, str]]:
        """How many keys there are, by generation and kind."""
        parts = (name.split(":", 3) for name in self._cache.names("recsys:[0-9]*"))
        return Counter((int(part[1]), part[2]) for part in parts)

    def _postgres_and_redis(
        self, connection: Connection, of: Generation, found: _Found, there: Counter[tuple[int, str]]
    ) -> None:
        seen, missing, other = Counter[str](), Counter[str](), Counter[str]()
        examples: dict[tuple[str, str], list[str]] = {}

        def note(what: Counter[str], word: str, kind: str, name: str) -> None:
            what[kind] += 1
            if what[kind] <= NAMED:
                examples.setdefault((word, kind), []).append(_shown(name))

        for pairs in batches(cached_values(connection, of.generation)):
            for (name, value), held in zip(pairs, self._cache.values(name for name, _ in pairs), strict=True):
                kind = name.split(":", 3)[2]
                if held is None:
                    note(missing, "missing", kind, name)
                    continue
                seen[kind] += 1
                if held != value.encode() and json.loads(held) != json.loads(value):
                    note(other, "other", kind, name)
        for kind in sorted({*seen, *missing}):
            found.compared[f"Postgres and Redis: {kind}"] = seen[kind] + missing[kind]
            found.differ(f"Redis lacks {kind} values", examples.get(("missing", kind), ()), missing[kind])
            found.differ(f"Redis has other {kind} values than Postgres", examples.get(("other", kind), ()), other[kind])
        surplus = {
            kind: count - seen[kind]
            for (generation, kind), count in there.items()
            if generation == of.generation and kind not in ("whole", "filling") and count > seen[kind]
        }
        if surplus:
            known = {name for name, _ in cached_values(connection, of.generation)}
            for kind, count in surplus.items():
                names = self._cache.names(f"recsys:{of.generation}:{kind}*")
                found.differ(
                    f"Redis has {kind} values that Postgres has not",
                    sorted(_shown(name) for name in names if name not in known)[:NAMED],
                    count,
                )

    def _copies(self, connection: Connection, found: _Found) -> None:
        """The pointer, and what has changed since: what an API starts from without Postgres."""
        pointer, changes = rows(connection, "read/pointer")[0], changes_to_copy(connection)
        held = dict(zip(("pointer", "changes"), self._cache.values([POINTER_KEY, CHANGES_KEY]), strict=True))
        # The pointer's copy is of the flip: the suppressions that have come since are a version of their own.
        wanted = {"pointer": pointer | {"suppression_version": None}, "changes": changes}
        for name, want in wanted.items():
            there = json.loads(held[name] or b"{}")
            if "suppression_version" in there:
                there["suppression_version"] = None
            if there != json.loads(json.dumps(want, default=lambda value: value.isoformat())):
                found.differ(f"Redis has another copy of the {name}: `recsys warm`", [f"recsys:{name}"])

    # People who must not be served.

    def _suppressions(self, connection: Connection, of: Generation, found: _Found) -> None:
        marks = set(marks_of(connection))
        found.compared["suppressed people"] = len(marks)
        there = rows(connection, "read/suppressed_rows")
        for table in PERSON_TABLES:
            names = [f"mark {row['mark'].hex}, generation {row['generation']}" for row in there if row["of"] == table]
            found.differ(f"Postgres has {table} of suppressed people", names)
        (row,) = rows(connection, "read/suppression_version")
        version = self._cache.version()
        if version != row["suppression_version"]:
            found.differ(
                "Redis has another version of the suppressions: `recsys warm`",
                [f"Redis {version}, Postgres {row['suppression_version']}"],
            )
        if self._redis_is_new:
            found.notes.append("Redis runs for this command alone: with `recsys up`, it is told of suppressions first")
        elif self._cache.told_start() != self._cache.start():
            found.differ("Redis was restarted since it was told of suppressions: `recsys warm`", ["recsys:start"])
        numbers = sorted({*self._cache.generations(), *kept(connection), of.generation})
        for what, key in (("lists", list_key), ("plans", plan_key)):
            names = [key(number, mark) for mark in sorted(marks) for number in numbers]
            held = [name for name, value in zip(names, self._cache.values(names), strict=True) if value is not None]
            found.differ(f"Redis has {what} of suppressed people", held)
        told = set(self._cache.markers())
        found.differ("Redis does not know that people are suppressed", sorted(f"mark {mark}" for mark in marks - told))
        found.differ("Redis takes people for suppressed who are not", sorted(f"mark {mark}" for mark in told - marks))

    # What no generation needs.

    def _leftovers(self, connection: Connection, found: _Found, there: Counter[tuple[int, str]]) -> None:
        stay = set(kept(connection))
        tables = [row["name"] for row in rows(connection, "read/partitions", {"tables": list(TABLES)})]
        unneeded = [name for name in tables if int(name.rpartition("_")[2]) not in stay]
        unfinished = [row["generation"] for row in rows(connection, "publish/leftovers")]
        numbers = sorted({number for number, _ in there} - stay)
        mended = "the next publish drops it"
        if unneeded:
            found.notes.append(f"left over in Postgres: tables {', '.join(unneeded)}; {mended}")
        if unfinished:
            found.notes.append(f"left over: generations {unfinished} that never went live; {mended}, unless one runs")
        if numbers:
            count = sum(keys for (number, _), keys in there.items() if number in numbers)
            found.notes.append(f"left over in Redis: {count:,} keys of generations {numbers}; {mended}")


def _chosen(known: list[Generation], number: int | None) -> Generation:
    found = [one for one in known if (one.live if number is None else one.generation == number)]
    if not found:
        what = "nothing has been published yet" if number is None else f"there is no generation {number}"
        raise NotFoundError(f"{what}; see `recsys generations`")
    return found[0]


@contextmanager
def _one_moment(connection: Connection) -> Iterator[None]:
    """All reads of the block see Postgres as it was at the first."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else " " for c in name)
