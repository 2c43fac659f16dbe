"""The erasure of people from all that readers are not served from: the lake, exports and rendered e-mails.

Nobody's key is stored for it. A sweep knows the erased by their marks, reads every key that the lake holds, and finds
whose mark is among them. Whoever asks while it runs waits for the next one, which begins after they asked.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import polars as pl

from recsys_assets.columns import KEY, DTypes
from recsys_assets.identity import KeyRing
from recsys_assets.logic.erasure import PAIRED, PERSONAL, Gone, gone, keys_of, marked, person_columns, touched, without
from recsys_assets.scratch import clear, clear_below
from recsys_assets.stores import exported, receipts
from recsys_assets.stores.files import FILE, Found, trouble
from recsys_assets.stores.lake import SUFFIX, Delivery, Lake, Tombstones
from recsys_assets.stores.postgres import Postgres, rows, run
from recsys_assets.stores.suppressions import Suppressions, suppressing
from recsys_assets.tables import DELIVERY_AUDIT, Table

_LANDING = "landing_"


@dataclass(frozen=True)
class Swept:
    """How many keys are known to be erased, how many receipts this sweep closed, and what it removed, by store."""

    keys: int
    receipts: int
    removed: dict[str, int]


@dataclass
class _Removed:
    """Rows, files and values by store; and by person (mark) and store, where one row may go for several."""

    of_stores: Counter[str] = field(default_factory=Counter)
    of_people: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, store: str, count: int, marks: Iterable[str]) -> None:
        """Counts what was removed at once."""
        if count:
            self.of_stores[store] += count
            self.of_people.update(dict.fromkeys(((mark, store) for mark in marks), count))


def _silent(_: str) -> None:
    return None


class Sweep:
    """Removes the erased from one lake and one folder of exports. It may be killed at any time and run again."""

    def __init__(
        self, lake: Lake, postgres: Postgres, suppressions: Suppressions, keys: KeyRing, exports_folder: Path
    ) -> None:
        self._lake, self._postgres, self._suppressions = lake, postgres, suppressions
        self._keys, self._exports = keys, exports_folder

    def waiting(self) -> set[str]:
        """Marks of people who were not swept yet: who asked, and whom a late file has shown to go with them.

        Raises:
            StoreError: Postgres, or the lake's server, does not answer.
        """
        asked = {one.mark for one in receipts.pending(self._postgres)}
        return asked | (self._lake.tombstones().erased - self._suppressions.erased())

    def run(self, progress: Callable[[str], object] = _silent) -> Swept:
        """One sweep over everything.

        Raises:
            StoreError: a store does not answer; receipts that are open stay open.
        """
        waiting = {one.receipt for one in receipts.pending(self._postgres)}
        known = self._suppressions.erased()
        # First of all, so that nobody lands again meanwhile.
        stones, begun = self._lake.bury(Tombstones(frozenset(known))), self._lake.begin_sweep()
        # Where nobody is new, only files that are: a night would otherwise read every key of years for nothing.
        since = self._lake.swept_before(stones)
        who, with_them = self._who(stones, since)
        if since and stones | with_them != stones:
            since = 0
            who, with_them = self._who(stones, since)
        stones = self._lake.bury(with_them)
        self._lake.gather_tombstones()
        self._suppress(stones.erased - known)
        progress(f"{len(stones.erased):,} keys are erased; the lake holds {len(who.keys):,} of them")
        closing = [
            one
            for one in receipts.pending(self._postgres)
            if one.receipt in waiting or one.mark in stones.erased - known
        ]
        removed, done = _Removed(), False
        try:
            self._lake.clear()
            clear(self._exports.parent)
            clear_below(self._exports)
            self._exported(stones.erased, removed)
            for table in PERSONAL if who.keys else ():
                self._table(table, who, since, removed)
            for one in closing:
                for store, count in self._suppressions.sweep([one.mark]):
                    removed.add(store, count, [one.mark])
            self._lake.end_sweep(stones, begun)
            done = True
        finally:
            for one in closing:
                told = [(store, count) for (of, store), count in sorted(removed.of_people.items()) if of == one.mark]
                if done or told:
                    receipts.record(self._postgres, one.receipt, told, done=done)
        return Swept(len(stones.erased), len(closing), dict(removed.of_stores))

    def _who(self, stones: Tombstones, since: int) -> tuple[Gone, Tombstones]:
        """Who has to go from files that are not older than ``since``, and the tombstones of keys that go with them."""
        who, mark = gone(*self._people(stones.erased, since)) if stones.erased else Gone(), self._keys.mark
        return who, Tombstones(frozenset(map(mark, who.with_users)), frozenset(map(mark, who.shared)))

    def _people(self, marks: frozenset[str], since: int) -> tuple[pl.DataFrame, set[str]]:
        """Every pair of a user's and an anonymous key in the lake, and the keys that have one of ``marks``."""
        pairs, seen, found = [], set[str](), set[str]()
        for table in PERSONAL:
            names = person_columns(table)
            files = [file for file in self._lake.files(table.name) if file.modified_ns >= since]
            there = self._read(table, files, lambda rows: rows.unique())
            if table in PAIRED:
                pairs.append(there.select("user_key", "anon_key").drop_nulls())
            new = keys_of(there, names) - seen
            seen |= new
            found |= marked(new, marks, self._keys.mark)
        return pl.concat(pairs).unique(), found

    def _read(
        self,
        table: Table,
        files: Iterable[Found],
        ask: Callable[[pl.LazyFrame], pl.LazyFrame],
        *,
        named: bool = False,
    ) -> pl.DataFrame:
        """What ``ask`` makes of the person columns of some files, with the files' names where wanted."""
        columns: DTypes = dict.fromkeys(person_columns(table), KEY)
        there = list(files)
        if not there:
            return pl.DataFrame(schema=columns | ({FILE: pl.String()} if named else {}))
        try:
            lazy = self._lake.columns(there, columns)
            return ask(lazy if named else lazy.select(list(columns))).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise trouble(error) or error from None

    def _suppress(self, marks: Iterable[str]) -> None:
        """Makes Postgres and Redis know what only the lake knows: who goes with others, and who a restore forgot."""
        wanted = sorted(marks)
        if not wanted:
            return
        with self._postgres.connect() as connection, suppressing(connection), connection.transaction():
            version = rows(connection, "publish/next_version")[0]["suppression_version"]
            for mark in wanted:
                run(connection, "publish/suppress", {"mark": mark, "kind": "erased", "version": version})
                receipts.opened(connection, self._keys, mark, "erasure", again=False)
        self._suppressions.sweep(wanted)

    def _exported(self, marks: frozenset[str], removed: _Removed) -> None:
        def out(keys: set[str]) -> dict[str, str]:
            return {key: self._keys.mark(key) for key in marked(keys, marks, self._keys.mark)}

        for (mark, store), count in exported.without(self._exports, marks, out).items():
            removed.add(store, count, [mark])

    def _table(self, table: Table, who: Gone, since: int, removed: _Removed) -> None:
        """Rewrites the files of one table that hold somebody, until none does: others may write meanwhile."""
        seen = {file for file in self._lake.files(table.name) if file.modified_ns < since}
        while new := [file for file in self._lake.files(table.name) if file not in seen]:
            hit = self._read(
                table, new, lambda rows: rows.filter(touched(table, who)).select(FILE).unique(), named=True
            )
            names = set(hit[FILE].to_list())
            for file in new:
                if file.name in names:
                    for key, count in self._file(table, file, who).items():
                        removed.add(f"lake: {table.name}", count, map(self._keys.mark, who.behind(key)))
            seen |= set(new)

    def _file(self, table: Table, file: Found, who: Gone) -> Mapping[str, int]:
        """Rows that went from one file, by key; none where the file is another one by now."""
        before = self._lake.read_file(file.name)
        rest, told = without(before, table, who)
        if not told:
            return {}
        landed = table.name.startswith(_LANDING)
        if landed and rest.height < before.height:
            self._told(table, file, rest.height)
        if landed and rest.is_empty():
            self._lake.remove(file)
            return told
        return told if self._lake.rewrite(file, rest) else {}

    def _told(self, table: Table, file: Found, left: int) -> None:
        """What the delivery's record and the audit say of a part, before it is rewritten."""
        _, day, part = file.name.split("/")
        file_id = part.removesuffix(SUFFIX)
        for delivery in self._lake.deliveries(table):
            if delivery.file_id == file_id:
                self._lake.record(_with_rows(delivery, day, left))
        if not left:  # else the day would count as one that is not what has landed
            parts = self._lake.scan(DELIVERY_AUDIT, [date.fromisoformat(day)]).collect()
            if parts["source_file"].is_in([file_id]).any():
                self._lake.write(
                    DELIVERY_AUDIT, date.fromisoformat(day), parts.filter(pl.col("source_file") != file_id)
                )


def _with_rows(delivery: Delivery, day: str, rows: int) -> Delivery:
    days = {name: count for name, count in (delivery.days | {day: rows}).items() if count}
    return replace(delivery, days=days, erased=delivery.rows - sum(days.values()))
