import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recsys_assets.errors import SourceError, StoreError
from recsys_assets.local.processes import free_port
from recsys_assets.logic.erasure import PERSON_COLUMNS, person_columns
from recsys_assets.stores import person
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.export import Wanted, export_lists
from recsys_assets.stores.exported import note_mail
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.person import BY_KEY, BY_MARK, asked_for, document, parts
from recsys_assets.stores.postgres import Postgres
from recsys_assets.tables import CLEAN_EVENTS, IDENTITIES, TABLES, USER_PROFILES, Table
from recsys_assets_tests.published import DAY, Stores, frame

NOW = datetime(2024, 3, 2, 12, tzinfo=UTC)
Held = dict[str, list[dict[str, Any]]]


def told(stores: Stores, key: str) -> dict[str, Any]:
    """The whole document."""
    lake = Lake(stores.home.lake)
    asked = asked_for(lake, key)
    found = parts(lake, Postgres(stores.postgres_url), stores.cache, stores.home.keys, stores.home.exports, asked)
    made: dict[str, Any] = json.loads("".join(document(asked, "EUR", NOW, found)))
    return made


def held(stores: Stores, key: str) -> Held:
    """Rows by table or store; the empty ones are left out."""
    return {part["name"]: part["rows"] for part in told(stores, key)["parts"] if part["rows"]}


def person_row(table: Table, key: str, other: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row about the person, and one about somebody else."""
    columns = person_columns(table)
    whose = "person_key" if "person_key" in columns else columns[0]  # a session names the device beside the person
    return {whose: key}, {whose: other}


def test_every_table_with_a_person_column_is_in_it_with_that_persons_rows_alone(stores: Stores) -> None:
    key, other, lake = stores.key("1"), stores.key("2"), Lake(stores.home.lake)
    wanted = [table for table in TABLES.values() if any(c.endswith("_key") for c in table.columns)]
    assert wanted == [table for table in TABLES.values() if set(table.columns) & set(PERSON_COLUMNS)]
    for table in wanted:
        for n in (0, 1):
            lake.write(table, DAY + timedelta(n), frame(table, list(person_row(table, key, other))))
    found = told(stores, key)
    rows = {part["name"]: part["rows"] for part in found["parts"] if part["store"] == "lake"}
    assert set(rows) == {table.name for table in wanted}
    for table in wanted:
        assert [row["day"] for row in rows[table.name]] == [str(DAY), str(DAY + timedelta(1))], table.name
    assert other not in json.dumps(found)
    assert all(part["what"] for part in found["parts"])


def test_tables_of_postgres_that_know_people_are_all_in_it(stores: Stores) -> None:
    stores.publish(["1"])
    people = """
        SELECT DISTINCT c.table_name, c.column_name FROM information_schema.columns c
        JOIN pg_class t ON t.relname = c.table_name AND t.relkind IN ('r', 'p') AND NOT t.relispartition
        WHERE c.column_name IN ('person_key', 'mark', 'user_key', 'anon_key')
    """
    with psycopg.connect(stores.postgres_url) as connection:
        known = {row[0] for row in connection.execute(people)}
    assert known == {*BY_KEY, *BY_MARK}


def event(n: int, product: str, user: str | None, anon: str | None = None, day: date = DAY) -> dict[str, Any]:
    at = datetime(day.year, day.month, day.day, n, tzinfo=UTC)
    return {"event_id": str(n), "event_type": "view", "event_time": at, "event_date": day, "user_key": user,
            "anon_key": anon, "product_id": product, "currency": "EUR", "unit_price_micros": 2_490_000}  # fmt: skip


def test_what_was_done_on_ones_own_device_is_ones_own_and_on_a_shared_one_nobodys(stores: Stores) -> None:
    keys, lake = stores.home.keys, Lake(stores.home.lake)
    ann, bob = keys.user_key("ann"), keys.user_key("bob")
    own, both = keys.anon_key("phone"), keys.anon_key("the family's")
    lake.write(
        CLEAN_EVENTS, DAY,
        frame(CLEAN_EVENTS, [
            event(1, "logged in", ann, own), event(2, "her phone", None, own),
            event(3, "on both", ann, both), event(4, "who", None, both), event(5, "his", bob, both),
        ]),
    )  # fmt: skip
    pairs = [(own, ann), (both, ann), (both, bob)]
    seen = {"first_seen_date": DAY, "last_seen_date": DAY}
    lake.write(IDENTITIES, DAY, frame(IDENTITIES, [{"anon_key": a, "user_key": u} | seen for a, u in pairs]))

    def products(key: str) -> list[str]:
        return [row["product_id"] for row in held(stores, key).get("clean_events", [])]

    assert products(ann) == ["logged in", "her phone", "on both"]
    assert products(bob) == ["his"]
    assert products(both) == ["who"]
    found = told(stores, ann)
    assert found["linked_anonymous_keys"] == [f"key:{own}"]
    for stranger in (bob, both):
        assert stranger not in json.dumps(found)
    assert (found["belongs_to_a_known_user"], told(stores, own)["belongs_to_a_known_user"]) == (False, True)
    assert ann not in json.dumps(told(stores, own))
    row = held(stores, ann)["clean_events"][0]
    assert (row["event_time"], row["unit_price"], row["currency"]) == ("2024-03-01T01:00:00+00:00", 2.49, "EUR")
    assert "quantity" not in row  # nothing was told


def test_every_store_tells_what_it_holds(stores: Stores, tmp_path: Path) -> None:
    first, second = stores.publish(["1", "2"]), stores.publish(["1", "2"], "b", "a")
    key = stores.key("1")
    lists = stores.home.exports / "lists.csv"
    export_lists(Postgres(stores.postgres_url), stores.home.keys, lists, "csv", Wanted(), "EUR")
    mail = stores.home.exports / "mail" / "order.html"
    mail.parent.mkdir()
    mail.write_text("hello")
    note_mail([mail], stores.home.keys.mark(key))
    found = held(stores, key)
    generations = [first.generation, second.generation]
    assert [row["generation"] for row in found["lists"]] == generations
    assert [one["product_ids"] for one in found["lists"][1]["products"]] == ["b", "a"]
    assert found["lists"][1]["products"][0]["prices"] == 0.00001
    assert [row["profile"]["orders"] for row in found["profiles"]] == [1, 1]
    assert [row["generation"] for row in found["plans"]] == generations
    assert found["plans"][1]["plan"]["product_ids"] == ["b", "a"]
    assert found["plans"][1]["plan"]["price_low"] == 0.000005
    mark = stores.home.keys.mark(key)
    assert [row["key"] for row in found["values"]] == [
        f"recsys:{g}:{kind}:{mark}" for kind in ("list", "plan") for g in generations
    ]
    assert all('"b"' in json.dumps(found["values"][n]["value"]) for n in (1, 3))
    assert found["files"] == [
        {"file": str(lists), "what": "lists", "rows": 2}, {"file": str(mail), "what": "e-mail"},
    ]  # fmt: skip
    stores.suppressions.optout(key)
    found = held(stores, key)
    assert not {"lists", "plans"} & found.keys()
    assert [row["kind"] for row in found["suppressions"]] == ["optout"]
    assert [row["kind"] for row in found["receipts"]] == ["optout"]
    assert [row["key"] for row in found["values"]] == [f"recsys:out:{mark}"]
    assert told(stores, stores.key("nobody"))["key"] == "key:" + stores.key("nobody")
    assert held(stores, stores.key("nobody")) == {}


def test_an_export_that_cannot_be_read_is_named(stores: Stores) -> None:
    stores.publish(["1"])
    stores.home.exports.mkdir()
    (stores.home.exports / "lists.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match=r"lists\.parquet cannot be read"):
        told(stores, stores.key("1"))


def test_many_files_are_read_in_pieces(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person, "FILES_AT_ONCE", 2)
    lake, key = Lake(stores.home.lake), stores.key("1")
    days = [DAY + timedelta(n) for n in range(5)]
    for day in days:
        lake.write(USER_PROFILES, day, frame(USER_PROFILES, [{"person_key": key, "lifetime_value_micros": 5}]))
    assert [(row["day"], row["lifetime_value"]) for row in held(stores, key)["user_profiles"]] == [
        (str(day), 0.000005) for day in days
    ]


def test_a_store_that_is_away_makes_no_document_that_looks_whole(stores: Stores) -> None:
    stores.publish(["1"])
    away = Cache(f"redis://127.0.0.1:{free_port()}/0")
    lake = Lake(stores.home.lake)
    asked = asked_for(lake, stores.key("1"))
    found = parts(lake, Postgres(stores.postgres_url), away, stores.home.keys, stores.home.exports, asked)
    with pytest.raises(StoreError):
        "".join(document(asked, "EUR", NOW, found))
