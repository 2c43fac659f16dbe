"""People who were erased: what the shop sends of them again does not land."""

from dataclasses import asdict
from datetime import timedelta

import polars as pl
import pytest

from recsys_assets.importers.reports import FileReport
from recsys_assets.stores.lake import Lake, Tombstones
from recsys_assets_tests.importers.shop import NOW, Desk, event, jsonl, reasons


def adds_up(report: FileReport) -> bool:
    rejected = sum(found.rows for found in report.rejected.values())
    return report.rows == report.clean + rejected + report.duplicates + report.redelivered + report.erased


def bury(desk: Desk, *keys: str) -> None:
    desk.lake.bury(Tombstones(frozenset(map(desk.home.keys.mark, keys))))


def people(desk: Desk) -> list[tuple[str | None, str | None]]:
    return desk.landed().select("user_key", "anon_key").rows()


def test_rows_of_the_erased_do_not_land_and_are_counted(desk: Desk) -> None:
    user, anon = desk.home.keys.user_key, desk.home.keys.anon_key
    bury(desk, user("ann"), anon("cookie"))
    sent = [
        event(user_id="ann"),
        event(user_id="ann", quantity=0),  # would be rejected
        event(user_id=None, anon_id="cookie"),
        event(user_id="bob", anon_id="cookie"),
        event(user_id="bob", quantity=0),
        event(user_id="bob", product_id="p-2"),
        event(user_id="bob", product_id="p-2"),
    ]
    report = desk.one("events.jsonl", jsonl(sent))
    assert (report.rows, report.erased, report.clean, reasons(report)) == (7, 3, 3, {"quantity_zero": 1})
    assert adds_up(report)
    assert people(desk) == [(user("bob"), None)] * 4
    (delivery,) = desk.lake.deliveries()
    assert (delivery.rows, delivery.erased, sum(delivery.days.values())) == (7, 3, 4)
    again = desk.one("events.jsonl", jsonl(sent))
    assert again.already_delivered


def test_late_and_full_redeliveries_bring_nobody_back(desk: Desk) -> None:
    desk.one("monday.jsonl", jsonl([event(user_id="bob"), event(user_id="cy")]))
    bury(desk, desk.home.keys.user_key("ann"))
    full = [event(user_id="ann"), event(user_id="bob"), event(user_id="cy")]
    report = desk.one("everything.jsonl", jsonl(full))
    assert (report.erased, report.redelivered, report.changed) == (1, 2, ())
    late = desk.one("late.jsonl", jsonl([event(user_id="ann", event_time="2024-01-05T00:00:00Z")]))
    assert (late.rows, late.erased, late.days, late.changed) == (1, 1, {}, ())
    assert adds_up(report)
    assert adds_up(late)
    assert desk.home.keys.user_key("ann") not in desk.landed()["user_key"]


def test_users_files_leave_the_erased_out(desk: Desk) -> None:
    bury(desk, desk.home.keys.user_key("ann"))
    sent = [{"user_id": name, "consent": True, "locale": "de-DE"} for name in ("ann", "bob")]
    report = desk.one("users.jsonl", jsonl(sent), kind="users")
    assert (report.rows, report.clean, report.erased) == (2, 1, 1)
    assert desk.landed("users")["user_key"].to_list() == [desk.home.keys.user_key("bob")]


def test_a_late_file_shows_a_device_of_the_erased_and_the_device_is_buried_too(desk: Desk) -> None:
    keys = desk.home.keys
    desk.one("first.jsonl", jsonl([event(user_id="bob", anon_id="tv")]))
    bury(desk, keys.user_key("ann"))
    sent = [
        event(user_id="ann", anon_id="phone"),
        event(user_id=None, anon_id="phone"),
        event(user_id="ann", anon_id="tv"),
        event(user_id=None, anon_id="tv"),
    ]
    assert desk.one("late.jsonl", jsonl(sent), check=True).erased == 3
    assert desk.lake.tombstones().erased == {keys.mark(keys.user_key("ann"))}
    report = desk.one("late.jsonl", jsonl(sent))
    assert report.erased == 3
    assert sorted(people(desk), key=str) == sorted(
        [(keys.user_key("bob"), keys.anon_key("tv")), (None, keys.anon_key("tv"))], key=str
    )
    assert desk.lake.tombstones() == Tombstones(
        frozenset(map(keys.mark, (keys.user_key("ann"), keys.anon_key("phone")))),
        frozenset({keys.mark(keys.anon_key("tv"))}),
    )
    later = desk.one("later.jsonl", jsonl([event(user_id=None, anon_id="phone", product_id="p-9")]))
    assert later.erased == 1


def test_an_erasure_while_a_file_lands_is_seen_before_it_counts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Lake.write_each

    def erased_meanwhile(lake: Lake, *how: object, **more: object) -> object:
        bury(desk, desk.home.keys.user_key("ann"))
        return write(lake, *how, **more)  # type: ignore[arg-type]  # whatever it was called with

    monkeypatch.setattr(Lake, "write_each", erased_meanwhile)
    sent = [event(user_id="ann", event_time="2024-05-02T00:00:00Z"), event(user_id="ann"), event(user_id="bob")]
    report = desk.one("events.jsonl", jsonl(sent))
    assert (report.erased, report.days) == (2, {"2024-05-01": 1})
    stored = [desk.lake.read_file(file.name) for file in desk.lake.files("landing_events")]
    assert [frame["user_key"].to_list() for frame in stored] == [[desk.home.keys.user_key("bob")]]
    assert adds_up(report)


def test_whole_days_of_a_database_stay_when_only_an_erasure_has_changed_them(desk: Desk) -> None:
    import sqlite3

    base = desk.folder / "shop.db"
    with sqlite3.connect(base) as connection:
        connection.execute("CREATE TABLE sales (who TEXT, what TEXT, at TEXT)")
        connection.executemany(
            "INSERT INTO sales VALUES (?, ?, ?)",
            [
                ("ann", "p", "2024-05-01 10:00:00"),
                ("bob", "p", "2024-05-01 11:00:00"),
                ("ann", "q", "2024-05-02 09:00:00"),
            ],
        )
    mapping = desk.put(
        "sales.toml",
        b'kind = "events"\n[sql]\ntable = "sales"\n[columns]\nuser_id = "who"\nproduct_id = "what"\nevent_time = "at"\n'
        b'[constants]\nevent_type = "purchase"\n',
    )
    (first,) = desk.take(f"sqlite:///{base}", "sql", map=mapping)
    assert (first.rows, first.erased) == (3, 0)
    bury(desk, desk.home.keys.user_key("ann"))
    (second,) = desk.take(f"sqlite:///{base}", "sql", map=mapping, now=NOW + timedelta(1))
    assert (second.already_delivered, second.redelivered, second.changed) == (True, 3, ())
    with sqlite3.connect(base) as connection:
        connection.execute("INSERT INTO sales VALUES ('cy', 'p', '2024-05-01 12:00:00')")
    (third,) = desk.take(f"sqlite:///{base}", "sql", map=mapping, now=NOW + timedelta(2))
    assert (third.rows, third.erased, third.redelivered) == (4, 1, 1)
    assert adds_up(third)
    assert desk.home.keys.user_key("cy") in desk.landed()["user_key"]
    days = {tuple(delivery.days.items()): delivery.erased for delivery in desk.lake.deliveries()}
    assert days == {(("2024-05-01", 2),): 1, (("2024-05-02", 1),): 0}


def test_reports_say_so(desk: Desk) -> None:
    from recsys_assets.commands.ingest import describe

    bury(desk, desk.home.keys.user_key("ann"))
    report = desk.one("events.jsonl", jsonl([event(user_id="ann"), event(user_id="bob")]))
    assert "0 redelivered, 1 of people who were erased." in describe(report)
    assert asdict(report)["erased"] == 1
    assert pl.DataFrame(asdict(report)["days"]).height == 1
