"""Files of exchange rates and of users, and catalogues of a day each."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_assets.logic.catalog import catalog
from recsys_assets.logic.events import clean
from recsys_assets.tables import CLEAN_EVENTS, LANDING_CATALOG, LANDING_EVENTS, LANDING_RATES, MICROS
from recsys_assets_tests.importers.shop import NOW, Desk, csv_bytes, event, jsonl, reasons

RATES = [
    {"date": "2023-12-29", "currency": "USD", "rate": "0.9050"},
    {"date": "2024-05-02", "currency": "usd", "rate": "0.9321401938851603"},
]
USERS = [
    {"user_id": "u-1", "locale": "de-DE", "consent": "no"},
    {"user_id": "u-2", "market": "FR", "consent": "yes", "transactional_only": "1"},
]


def parquet(desk: Desk, name: str, frame: pl.DataFrame) -> Path:
    path = desk.folder / name
    frame.write_parquet(path)
    return path


def test_rates_land_alike_from_every_kind_of_file(desk: Desk) -> None:
    typed = pl.DataFrame(RATES).with_columns(pl.col("date").str.to_date(), pl.col("rate").cast(pl.Float64))
    paths = [desk.put("r.csv", csv_bytes(RATES)), desk.put("r.jsonl", jsonl(RATES)), parquet(desk, "r.parquet", typed)]
    for path in paths:
        (report,) = desk.take(path)
        assert (report.table, report.rows, report.clean) == ("landing_rates", 2, 2)
        assert report.days == {"2023-12-29": 1, "2024-05-02": 1}  # before the home's first day too
    made = desk.landed("rates").select("event_date", "currency", "rate", "landed_at").unique()
    assert sorted(made.rows()) == [
        (date(2023, 12, 29), "USD", "0.905", NOW),
        (date(2024, 5, 2), "USD", "0.9321401938851603", NOW),
    ]


def test_a_bad_rate_costs_one_row(desk: Desk) -> None:
    good = {"date": "2024-05-01", "currency": "USD", "rate": "0.9"}
    changes: list[tuple[dict[str, str], str]] = [
        ({"rate": "0"}, "rate_unreadable"),
        ({"rate": "-1"}, "rate_unreadable"),
        ({"rate": ""}, "rate_unreadable"),
        ({"rate": "0,9"}, "rate_unreadable"),
        ({"date": ""}, "date_unreadable"),
        ({"date": "1.5.2024"}, "date_unreadable"),
        ({"currency": "US$"}, "currency_unknown"),
        ({"currency": ""}, "currency_unknown"),
        ({"currency": "EUR"}, "rate_of_base"),
    ]
    report = desk.one("rates.csv", csv_bytes([good, *(good | change for change, _ in changes)]))
    assert (report.rows, report.clean) == (10, 1)
    assert sorted(desk.landed("rates")["problem"].drop_nulls()) == sorted(reason for _, reason in changes)
    assert reasons(desk.one("own.csv", csv_bytes([good | {"currency": "EUR", "rate": "1"}]))) == {}


def test_an_event_waits_for_its_rate(desk: Desk) -> None:
    sent = jsonl([event(currency="USD", unit_price=2), event(user_id="u-2", currency="EUR", unit_price=2)])
    before = desk.one("early.jsonl", sent, check=True)
    assert (before.clean, reasons(before)) == (1, {"currency_without_rate": 1})
    desk.one("rates.csv", csv_bytes(RATES[:1]))
    after = desk.one("early.jsonl", sent)
    assert (after.clean, reasons(after)) == (2, {})
    rates = desk.lake.landed_until(LANDING_RATES, date(2024, 5, 1))
    cleaned = clean(desk.landed(), rates, "EUR").clean
    assert sorted(cleaned["unit_price_micros"]) == [1_810_000, 2_000_000]
    assert desk.landed()["currency"].to_list() == ["USD", "EUR"]  # as sent


def test_a_mapping_file_reads_rates_of_another_table(desk: Desk) -> None:
    mapping = desk.put(
        "rates.toml",
        b'kind = "rates"\n[columns]\ndate = "Tag"\nrate = "Kurs"\n[constants]\ncurrency = "USD"\n'
        b'[time]\nformat = "%d.%m.%Y"\nzone = "America/New_York"\n[numbers]\ndecimal_comma = true\n',
    )
    data = csv_bytes([{"Tag": "29.12.2023", "Kurs": "0,905"}, {"Tag": "2024-01-02", "Kurs": "0,9"}])
    report = desk.one("kurse.csv", data, format="mapped", map=mapping)
    assert (report.clean, reasons(report)) == (1, {"date_unreadable": 1})
    row = desk.landed("rates").row(0, named=True)
    assert (row["event_date"], row["currency"], row["rate"]) == (date(2023, 12, 29), "USD", "0.905")


def test_users_land_as_keys_without_what_names_them(desk: Desk) -> None:
    attributes = {"age_group": "25-34", "E-Mail": "a@example.org", "home": {"Street": "x", "region": "North"}}
    rows: list[dict[str, Any]] = [
        {"user_id": "u-1", "consent": False, "attributes": attributes, "email": "a@example.org", "name": "Ann"},
        {"user_id": "u-2", "updated_at": "soon"},
        {"user_id": "", "consent": True},
        {"user_id": None},
    ]
    report = desk.one("users.jsonl", jsonl(rows))
    assert (report.table, report.clean, report.ignored) == ("landing_users", 1, ("email", "name"))
    assert reasons(report) == {"person_id_invalid": 1, "person_missing": 1, "updated_at_unreadable": 1}
    row = desk.landed("users").row(0, named=True)
    assert row["user_key"] == desk.home.keys.user_key("u-1")
    assert json.loads(row["attributes"]) == {"age_group": "25-34", "home": {"region": "North"}}
    kept = str(desk.landed("users").to_dicts())
    assert not [word for word in ("example.org", "Ann", "u-1", "Street") if word in kept]


def test_a_users_file_holds_from_its_day(desk: Desk) -> None:
    for name, day in (("users.csv", "2024-01-01"), ("more.csv", "2024-06-01"), ("2024-03-01/users.csv", "2024-03-01")):
        assert desk.one(name, csv_bytes([USERS[0] | {"locale": name}])).days == {day: 1}
    dated = [
        USERS[0] | {"updated_at": "2024-02-01T09:00:00Z"},
        USERS[1] | {"updated_at": "soon", "transactional_only": "0"},
    ]
    report = desk.one("dated.csv", csv_bytes(dated))
    assert report.days == {"2024-02-01": 1, "2024-06-01": 1}
    assert reasons(report) == {"updated_at_unreadable": 1}


def test_words_of_another_kind_may_be_anything_in_a_file_of_events(desk: Desk) -> None:
    odd = event(market={"country": "DE"}, rate=[1], date={"y": 2024}, locale=7)
    assert desk.one("nested.jsonl", jsonl([odd])).clean == 1
    frame = pl.DataFrame([event()]).with_columns(pl.struct(a=1).alias("market"), pl.lit(3).alias("rate"))
    (report,) = desk.take(parquet(desk, "nested.parquet", frame))
    assert (report.table, report.rows, report.ignored) == ("landing_events", 1, ("market", "rate"))


@pytest.mark.parametrize(
    ("columns", "table"),
    [
        ({"date": "2024-05-01", "currency": "USD", "rate": "1"}, "landing_rates"),
        ({"user_id": "u", "consent": "no"}, "landing_users"),
        ({"user_id": "u", "product_id": "p", "event_type": "view", "event_time": "2024-05-01", "consent": "no"},
         "landing_events"),
        ({"product_id": "p", "currency": "USD", "rating": "4"}, "landing_catalog"),
    ],
)  # fmt: skip
def test_the_columns_say_what_a_file_is(desk: Desk, columns: dict[str, str], table: str) -> None:
    assert desk.one("it.csv", csv_bytes([columns])).table == table


def test_a_catalogue_per_day_gives_each_day_its_own_prices(desk: Desk) -> None:
    for day, products in {
        "2024-05-01": [{"product_id": "tea", "parent_id": "teas", "unit_price": "2"},
                       {"product_id": "mug", "unit_price": "9"}],
        "2024-05-02": [{"product_id": "tea", "parent_id": "teas", "unit_price": "3", "stock_level": "0"}],
        "2024-05-03": [{"product_id": "tea", "parent_id": "teas", "unit_price": "4", "in_stock": "true"},
                       {"product_id": "pot", "unit_price": "5", "updated_at": "2024-05-02T10:00:00Z"}],
    }.items():  # fmt: skip
        desk.put(f"catalogue/{day}/products.csv", csv_bytes(products))
    assert len(desk.take(desk.folder / "catalogue")) == 3

    def on(day: int) -> dict[str, tuple[int, str | None]]:
        until = date(2024, 5, day)
        landed = desk.lake.landed_until(LANDING_CATALOG, until)
        made = catalog(landed, CLEAN_EVENTS.empty(), until, LANDING_RATES.empty(), "EUR")
        return {row[0]: row[1:] for row in made.select("product_id", "unit_price_micros", "not_recommendable").rows()}

    assert on(1) == {"mug": (9 * MICROS, None), "tea": (2 * MICROS, None)}
    # The mug has left the files: nobody has said that it is gone. The pot's row holds from the day that it names.
    assert on(2) == {"mug": (9 * MICROS, None), "pot": (5 * MICROS, None), "tea": (3 * MICROS, "out_of_stock")}
    assert on(3) == {"mug": (9 * MICROS, None), "pot": (5 * MICROS, None), "tea": (4 * MICROS, None)}
    again = desk.take(desk.folder / "catalogue", now=datetime(2024, 6, 2, tzinfo=UTC))
    assert all(report.already_delivered for report in again)
    assert desk.lake.days(LANDING_EVENTS) == []
