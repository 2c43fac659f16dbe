"""Sweeps over a lake in a folder and in a bucket: nothing of the erased is left in any file; receipts are closed."""

import io
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from recsys_assets.columns import DTypes
from recsys_assets.stores import receipts
from recsys_assets.stores.erasure import Sweep, Swept
from recsys_assets.stores.files import Found
from recsys_assets.stores.lake import Delivery, Lake, Tombstones
from recsys_assets.stores.late_days import stale_days
from recsys_assets.stores.postgres import Postgres
from recsys_assets.tables import (
    CLEAN_EVENTS,
    DELIVERY_AUDIT,
    IDENTITIES,
    INTERACTIONS,
    LANDING_EVENTS,
    LANDING_USERS,
    LISTS,
    REJECTED_EVENTS,
    TABLES,
)
from recsys_assets_tests.models.builders import rows
from recsys_assets_tests.published import Stores
from recsys_assets_tests.stores.test_lake import at_s3, s3, url

__all__ = ["at_s3", "s3", "url"]
MONDAY, TUESDAY = date(2024, 1, 1), date(2024, 1, 2)


@dataclass
class Shop:
    """A lake and the stores of a home."""

    stores: Stores
    lake: Lake
    url: str

    def user(self, name: str) -> str:
        return self.stores.home.keys.user_key(name)

    def anon(self, name: str) -> str:
        return self.stores.home.keys.anon_key(name)

    def mark(self, key: str) -> str:
        return self.stores.home.keys.mark(key)

    def sweep(self) -> Swept:
        exports = self.stores.home.exports
        return Sweep(
            self.lake, Postgres(self.stores.postgres_url), self.stores.suppressions, self.stores.home.keys, exports
        ).run()

    def forget(self, key: str) -> str:
        return self.stores.suppressions.forget(key).receipt

    def receipt(self, number: str) -> receipts.Receipt:
        found = receipts.find(Postgres(self.stores.postgres_url), number)
        assert found is not None
        return found

    def land(self, file: str, day: date, *seen: tuple[str | None, str | None], record: bool = True) -> None:
        """A delivery whose rows are clean on the same day; ``seen`` are users and anonymous ids."""
        events: list[dict[str, object]] = [
            {
                "event_id": f"{file} {n}", "event_date": day, "source_file": file, "source_line": n,
                "user_key": user and self.user(user), "anon_key": anon and self.anon(anon),
            }
            for n, (user, anon) in enumerate(seen, 1)
        ]  # fmt: skip
        self.lake.write(LANDING_EVENTS, day, rows(LANDING_EVENTS, events), part=file)
        if record:
            days = {str(day): len(seen)}
            self.lake.record(
                Delivery(file, LANDING_EVENTS.name, "contract", f"{file}.csv", None, len(seen), days, 1, 1, "now")
            )
            there = self.lake.scan(CLEAN_EVENTS, [day]).collect()
            new = rows(CLEAN_EVENTS, [{k: v for k, v in e.items() if k in CLEAN_EVENTS.columns} for e in events])
            self.lake.write(CLEAN_EVENTS, day, pl.concat([there, new]))
            audit = [{"event_date": day, "source_file": file, "rows": len(seen), "clean": len(seen)}]
            told = self.lake.scan(DELIVERY_AUDIT, [day]).collect()
            self.lake.write(DELIVERY_AUDIT, day, pl.concat([told, rows(DELIVERY_AUDIT, audit)]))

    def held(self) -> set[str]:
        """Every key in the lake, of deliveries that were not recorded too."""
        found = set[str]()
        for name, table in TABLES.items():
            for file in self.lake.files(name):
                frame = self.lake.read_file(file.name)
                for column in {"user_key", "anon_key", "person_key"} & set(table.columns):
                    found |= set(frame[column].drop_nulls())
        return found


def parquet(frame: pl.DataFrame) -> bytes:
    made = io.BytesIO()
    frame.write_parquet(made)
    return made.getvalue()


@pytest.fixture
def shop(stores: Stores, url: str) -> Shop:
    return Shop(stores, Lake(url), url)


def test_a_person_goes_from_every_table_and_the_device_with_them(shop: Shop) -> None:
    shop.land("a", MONDAY, ("ann", None), ("ann", "cookie"), (None, "cookie"), ("bob", None))
    shop.land("b", TUESDAY, ("ann", None))
    shop.land("killed", TUESDAY, (None, "cookie"), record=False)
    people: list[dict[str, object]] = [{"person_key": shop.user(name)} for name in ("ann", "bob")]
    for table in (INTERACTIONS, LISTS):
        shop.lake.write(table, MONDAY, rows(table, [{**person, "product_id": "p"} for person in people]))
    shop.lake.write(LANDING_USERS, MONDAY, rows(LANDING_USERS, [{"user_key": shop.user("ann")}]), part="users")
    shop.lake.write(REJECTED_EVENTS, MONDAY, rows(REJECTED_EVENTS, [{"anon_key": shop.anon("cookie")}]))
    old = LISTS.empty().drop("confidence").with_columns(pl.lit(1).alias("of another version"))
    shop.lake._files.write({"lists/2023-01-01/part.parquet": lambda file: file.write(parquet(old))})

    number = shop.forget(shop.user("ann"))
    assert shop.receipt(number).status == "pending"
    swept = shop.sweep()
    assert shop.held() == {shop.user("bob")}
    assert shop.lake.tombstones() == Tombstones(
        frozenset({shop.mark(shop.user("ann")), shop.mark(shop.anon("cookie"))})
    )
    receipt = shop.receipt(number)
    assert receipt.status == "done"
    counts = {removed.store: removed.count for removed in receipt.stores if removed.store.startswith("lake")}
    assert counts == swept.removed == {
        "lake: landing_events": 5, "lake: clean_events": 4, "lake: rejected_events": 1, "lake: landing_users": 1,
        "lake: interactions": 1, "lake: lists": 1,
    }  # fmt: skip
    assert (swept.keys, swept.receipts) == (2, 2)
    assert shop.stores.suppressions.erased() == shop.lake.tombstones().erased

    told = [(one.file_id, one.rows, one.days, one.erased) for one in shop.lake.deliveries()]
    assert told == [("a", 4, {"2024-01-01": 1}, 3), ("b", 1, {}, 1)]
    assert stale_days(shop.lake, shop.stores.home.config, TUESDAY) == []
    assert shop.sweep() == Swept(2, 0, {})


def test_a_shared_device_stays_and_is_nobodys(shop: Shop) -> None:
    shop.land("a", MONDAY, ("ann", "tv"), ("bob", "tv"), (None, "tv"))
    known: list[dict[str, object]] = [
        {"anon_key": shop.anon("tv"), "user_key": shop.user(name)} for name in ("ann", "bob")
    ]
    shop.lake.write(IDENTITIES, MONDAY, rows(IDENTITIES, known))
    shop.forget(shop.user("ann"))
    shop.sweep()
    assert shop.held() == {shop.user("bob"), shop.anon("tv")}
    assert shop.lake.tombstones().shared == {shop.mark(shop.anon("tv"))}
    assert shop.lake.read(IDENTITIES, MONDAY)["user_key"].to_list() == [None, shop.user("bob")]
    shop.forget(shop.user("bob"))
    shop.sweep()
    assert shop.held() == set()


def test_an_erased_anonymous_id_goes_and_its_user_stays(shop: Shop) -> None:
    shop.land("a", MONDAY, ("bob", "cookie"), (None, "cookie"))
    shop.lake.write(INTERACTIONS, MONDAY, rows(INTERACTIONS, [{"person_key": shop.user("bob"), "product_id": "p"}]))
    number = shop.forget(shop.anon("cookie"))
    shop.sweep()
    assert shop.lake.read(CLEAN_EVENTS, MONDAY).select("user_key", "anon_key").rows() == [(shop.user("bob"), None)]
    counts = {removed.store: removed.count for removed in shop.receipt(number).stores}
    assert (counts["lake: clean_events"], counts["lake: interactions"]) == (2, 1)


def test_an_anonymous_list_goes_when_its_user_is_erased(shop: Shop) -> None:
    """The list was published before the login."""
    shop.land("a", MONDAY, ("ann", "cookie"))
    shop.stores.publish(["bob"])
    with Postgres(shop.stores.postgres_url).connect() as connection:
        mark, key = shop.mark(shop.anon("cookie")), shop.anon("cookie")
        connection.execute("UPDATE lists SET person_key = %s, mark = %s", [key, mark])
    shop.stores.cache.put([(f"recsys:{shop.stores.live()}:list:{mark}", "[]")])
    shop.forget(shop.user("ann"))
    shop.sweep()
    assert not any(key.endswith(f":list:{mark}") for key in shop.stores.redis())
    assert f"recsys:out:{mark}" in shop.stores.redis()
    assert not any(mark[:8] in row for row in shop.stores.rows()["lists"])


def test_who_asks_while_a_sweep_runs_waits_for_the_next(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land("a", MONDAY, ("ann", None), ("bob", None))
    first = shop.forget(shop.user("ann"))
    second: list[str] = []
    columns = shop.lake.columns

    def ask(files: list[Found], names: DTypes) -> pl.LazyFrame:
        if not second:
            second.append(shop.forget(shop.user("bob")))
        return columns(files, names)

    monkeypatch.setattr(shop.lake, "columns", ask)
    shop.sweep()
    assert (shop.receipt(first).status, shop.receipt(second[0]).status) == ("done", "pending")
    shop.sweep()
    assert shop.receipt(second[0]).status == "done"
    assert shop.held() == set()


def test_a_sweep_that_is_killed_anywhere_is_ended_by_the_next(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land("a", MONDAY, ("ann", "cookie"), (None, "cookie"), ("bob", None))
    shop.land("b", TUESDAY, (None, "cookie"))
    number = shop.forget(shop.user("ann"))
    rewrite, left = shop.lake.rewrite, [0]

    def killed(file: Found, frame: pl.DataFrame) -> bool:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return rewrite(file, frame)

    with monkeypatch.context() as patch:
        patch.setattr(shop.lake, "rewrite", killed)
        for alive in (0, 1, 1):
            left[0] = alive
            with pytest.raises(KeyboardInterrupt):
                shop.sweep()
            assert shop.receipt(number).status == "pending"
    shop.sweep()
    assert shop.receipt(number).status == "done"
    assert shop.held() == {shop.user("bob")}
    told = [r.count for r in shop.receipt(number).stores if r.store == "lake: landing_events"]
    assert sum(told) == 3
    assert [(d.days, d.erased) for d in shop.lake.deliveries(LANDING_EVENTS)] == [({"2024-01-01": 1}, 2), ({}, 1)]


def test_a_file_that_lands_meanwhile_is_looked_at_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land("a", MONDAY, ("ann", None), ("bob", None))
    rewrite, landed = shop.lake.rewrite, list[Found]()

    def meanwhile(file: Found, frame: pl.DataFrame) -> bool:
        if not landed and file.name.startswith("landing_events"):
            landed.append(file)
            shop.land("late", TUESDAY, ("ann", None), ("bob", None), record=False)
            shop.land("a", MONDAY, ("ann", None), ("bob", None), ("cy", None), record=False)  # another file by now
        return rewrite(file, frame)

    monkeypatch.setattr(shop.lake, "rewrite", meanwhile)
    shop.forget(shop.user("ann"))
    shop.sweep()
    assert shop.held() == {shop.user("bob"), shop.user("cy")}


def test_a_sweep_reads_old_files_again_only_when_somebody_is_new(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land("a", MONDAY, ("ann", None), ("bob", None))
    for file in shop.lake.files("landing_events") + shop.lake.files("clean_events"):
        if (path := Path(shop.url) / file.name).exists():
            os.utime(path, (1, 1))  # as of another day; in the bucket, whole seconds make them look new
    shop.forget(shop.user("cy"))
    shop.sweep()
    read, columns = list[str](), shop.lake.columns

    def told(files: list[Found], names: DTypes) -> pl.LazyFrame:
        read.extend(file.name for file in files)
        return columns(files, names)

    monkeypatch.setattr(shop.lake, "columns", told)
    shop.land("new", TUESDAY, ("cy", None), record=False)
    shop.sweep()
    assert shop.user("cy") not in shop.held()
    if Path(shop.url).exists():
        assert set(read) == {f"landing_events/{TUESDAY}/new.parquet"}
    shop.forget(shop.user("ann"))
    shop.sweep()
    assert shop.held() == {shop.user("bob")}


def test_a_database_that_has_forgotten_learns_from_the_lake(shop: Shop) -> None:
    """As after a restore of an older backup."""
    shop.land("a", MONDAY, ("ann", None))
    shop.lake.bury(Tombstones(frozenset({shop.mark(shop.user("ann"))})))
    sweep = Sweep(
        shop.lake, Postgres(shop.stores.postgres_url), shop.stores.suppressions, shop.stores.home.keys, Path("nowhere")
    )
    assert sweep.waiting() == {shop.mark(shop.user("ann"))}
    assert sweep.run().receipts == 1
    assert shop.stores.suppressions.erased() == {shop.mark(shop.user("ann"))}
    assert sweep.waiting() == set()
    assert shop.held() == set()


def test_nobody_is_erased(shop: Shop) -> None:
    shop.land("a", MONDAY, ("ann", "cookie"), (None, "cookie"))
    before = shop.lake.files(LANDING_EVENTS.name)
    assert shop.sweep() == Swept(0, 0, {})
    assert shop.lake.files(LANDING_EVENTS.name) == before
    assert shop.lake.tombstones() == Tombstones()


def test_tombstones_of_many_writers_become_one_file(shop: Shop) -> None:
    for mark in ("a", "b", "a"):
        shop.lake.bury(Tombstones(frozenset({mark}), frozenset({f"of {mark}"})))
    assert len(shop.lake._files.find("tombstones")) == 2
    shop.lake.gather_tombstones()
    assert len(shop.lake._files.find("tombstones")) == 1
    assert Lake(shop.url).tombstones() == Tombstones(frozenset("ab"), frozenset({"of a", "of b"}))


KILLED = """
import os, signal, sys
from pathlib import Path
from recsys_assets.scratch import beside, create, scratch
from recsys_assets.stores.files import Folder

def half(file):
    file.write(sys.argv[3].encode())
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "lake":
    Folder(Path(sys.argv[2])).write({"clean_events/2024-01-01/part.parquet": half})
where = scratch if sys.argv[1] == "home" else lambda folder: beside(folder / "lists.csv")
with where(Path(sys.argv[2])) as folder:
    half(create(folder / "made").open("wb"))
"""


@pytest.mark.parametrize("where", ["lake", "home", "exports"])
def test_a_writer_that_was_killed_leaves_nobody_behind(stores: Stores, where: str) -> None:
    shop, home = Shop(stores, Lake(stores.home.lake), str(stores.home.lake)), stores.home
    shop.land("a", MONDAY, ("ann", None), ("bob", None))
    key, folder = shop.user("ann"), {"lake": home.lake, "home": home.path}.get(where, home.exports / "nightly")
    process = subprocess.run([sys.executable, "-c", KILLED, where, str(folder), key], check=False)
    assert process.returncode == -signal.SIGKILL

    def holding() -> list[Path]:
        files = (path for folder in {home.path, home.lake} for path in folder.rglob("*") if path.is_file())
        return [path for path in files if key.encode() in path.read_bytes()]

    assert holding() != []
    number = shop.forget(key)
    shop.sweep()
    assert shop.receipt(number).status == "done"
    assert holding() == []
    assert shop.held() == {shop.user("bob")}
