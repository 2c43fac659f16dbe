"""Landing of whole files: formats, redelivery, late rows, replacement, checks."""

import gzip
import io
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import polars as pl
import pyarrow as pa
import pytest

from recsys_assets.logic.catalog import catalog
from recsys_assets.logic.events import clean
from recsys_assets.tables import CLEAN_EVENTS, LANDING_EVENTS, LANDING_RATES
from recsys_assets_tests.importers.shop import Desk, csv_bytes, event, jsonl

ROWS = [event(user_id=f"u-{n}", event_time=f"2024-05-0{1 + n % 3}T10:00:00Z", unit_price=0.1 * n) for n in range(9)]
CONTENT = ["event_time", "user_key", "product_id", "quantity", "unit_price_micros", "event_date", "currency"]


def parquet(rows: list[dict[str, object]]) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(rows).write_parquet(out)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


FILES = {
    "day.jsonl": jsonl(ROWS),
    "day.ndjson.gz": gzip.compress(jsonl(ROWS)),
    "day.jsonl.zst": zstd(jsonl(ROWS)),
    "bom.jsonl": b"\xef\xbb\xbf" + jsonl(ROWS),
    "day.csv": csv_bytes(ROWS),
    "bom.csv": b"\xef\xbb\xbf" + csv_bytes(ROWS),
    "crlf.csv": csv_bytes(ROWS).replace(b"\n", b"\r\n"),
    "tabs.tsv": csv_bytes(ROWS).replace(b",", b"\t"),
    "day.csv.gz": gzip.compress(csv_bytes(ROWS)),
    "day.csv.zst": zstd(csv_bytes(ROWS)),
    "gzip by its bytes.csv": gzip.compress(csv_bytes(ROWS)),
    "day.parquet": parquet(ROWS),
    "day.parquet.gz": gzip.compress(parquet(ROWS)),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_lands_the_same_rows(desk: Desk, name: str) -> None:
    report = desk.one(name, FILES[name])
    landed = desk.landed()
    assert (report.rows, report.clean) == (9, 9)
    assert landed.select(pl.col("unit_price_micros").sort()).to_series().to_list() == [100_000 * n for n in range(9)]
    assert report.days == {"2024-05-01": 3, "2024-05-02": 3, "2024-05-03": 3}
    plain = replace(desk, folder=desk.folder / "again")
    second = plain.one("other.jsonl", jsonl(ROWS))  # the same events in another format are the same events
    assert (second.clean, second.redelivered, second.changed) == (0, 9, ()) or second.already_delivered


def test_quoted_newlines_keep_lines_and_offsets_right(desk: Desk) -> None:
    head = b"event_type,event_time,user_id,product_id,context\n"
    first, second = b'view,2024-05-01,u,p,"two\nlines"\n', b"view,2024-05-01,u,p,one\n"
    desk.one("day.csv", head + first + second)
    rows = desk.landed().select("source_line", "source_offset", "context").rows()
    assert rows == [(2, len(head), "two\nlines"), (4, len(head) + len(first), "one")]


def test_the_same_file_twice_changes_nothing(desk: Desk) -> None:
    path = desk.put("day.jsonl", jsonl(ROWS))
    desk.take(path)
    before = {file: file.stat().st_mtime_ns for file in desk.home.lake.rglob("*.parquet")}
    (again,) = desk.take(path)
    os.utime(path, ns=(1, 1))
    (touched,) = desk.take(path)
    (renamed,) = desk.take(path.rename(path.with_name("renamed.jsonl")))
    assert (again.already_delivered, touched.already_delivered, renamed.already_delivered) == (True, True, True)
    assert {file: file.stat().st_mtime_ns for file in desk.home.lake.rglob("*.parquet")} == before
    assert [delivery.path for delivery in desk.lake.deliveries()] == [str(path.with_name("renamed.jsonl"))]


def test_overlapping_and_late_files(desk: Desk) -> None:
    desk.one("monday.jsonl", jsonl(ROWS[:6]))
    late = event(user_id="u-late", event_time="2024-05-02T23:00:00Z")
    report = desk.one("tuesday.jsonl", jsonl([*ROWS[3:6], late]))
    assert (report.rows, report.redelivered, report.clean, report.changed) == (4, 3, 1, ("2024-05-02",))
    cleaned = clean(desk.landed(), LANDING_RATES.empty(), "EUR")
    assert cleaned.clean.height == 7
    assert cleaned.audit["duplicates"].sum() == 3


def test_genuine_second_units_stay(desk: Desk) -> None:
    report = desk.one("day.jsonl", jsonl([ROWS[0], ROWS[0], ROWS[0]]))
    assert (report.clean, report.duplicates) == (3, 0)
    assert desk.one("again.jsonl", jsonl([ROWS[0], ROWS[0]])).redelivered == 2


def test_order_of_lines_changes_no_id(desk: Desk, make_desk: Callable[..., Desk]) -> None:
    rows = [*ROWS, ROWS[0], event(event_time="bad")]
    desk.one("day.jsonl", jsonl(rows))
    first = clean(desk.landed(), LANDING_RATES.empty(), "EUR").clean
    desk.one("shuffled.jsonl", jsonl(rows[::-1]))
    both = desk.landed()
    for _, part in both.group_by("source_file"):
        assert clean(part, LANDING_RATES.empty(), "EUR").clean.equals(first)
    assert clean(both, LANDING_RATES.empty(), "EUR").clean.equals(first)


def test_check_writes_nothing(desk: Desk) -> None:
    path = desk.put("day.jsonl", jsonl([*ROWS, event(quantity=0)]))
    before = sorted(desk.home.path.rglob("*"))
    (report,) = desk.take(path, check=True)
    assert (report.rows, report.clean, report.rejected["quantity_zero"].line) == (10, 9, 10)
    assert sorted(desk.home.path.rglob("*")) == before


def test_parts_without_a_record_do_not_count(desk: Desk) -> None:
    """A run that was killed before it recorded the delivery is repaired by the next one."""
    path = desk.put("day.jsonl", jsonl(ROWS))
    (first,) = desk.take(path)
    expected = desk.landed()
    (desk.home.lake / "deliveries" / f"{first.file_id}.json").unlink()
    assert desk.landed().is_empty()
    (second,) = desk.take(path)
    assert not second.already_delivered
    assert desk.landed().equals(expected)


def test_a_folder_with_a_file_per_day(desk: Desk) -> None:
    for day in (1, 2):
        desk.put(f"2024-05-0{day}/events.jsonl", jsonl([event(event_time=f"2024-05-0{day}T00:00:00Z")]))
    desk.put("README.md", b"not data")
    desk.put(".hidden/x.jsonl", b"")
    assert [report.days for report in desk.take(desk.folder)] == [{"2024-05-01": 1}, {"2024-05-02": 1}]
    assert len(desk.take(desk.folder / "*" / "*.jsonl")) == 2


def test_the_day_is_the_homes(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(time_zone="Asia/Tokyo")
    assert desk.one("day.jsonl", jsonl([event(event_time="2024-05-01T15:00:00Z")])).days == {"2024-05-02": 1}


def test_a_search_term_is_kept_only_when_enough_people_typed_it(desk: Desk) -> None:
    def search(person: int, query: str) -> dict[str, object]:
        return {"event_type": "search", "event_time": "2024-05-01", "anon_id": f"c-{person}", "query": query}

    rows = [search(n, "rye bread") for n in range(5)] + [search(n % 4, "me@example.org") for n in range(8)]
    assert desk.one("day.jsonl", jsonl(rows)).clean == 13
    assert desk.landed()["query"].to_list() == ["rye bread"] * 5 + [None] * 8


def test_a_referrer_loses_its_query_string(desk: Desk) -> None:
    desk.one("day.jsonl", jsonl([event(referrer="https://example.org/a?mail=anna#x"), event(referrer="example.org")]))
    assert desk.landed()["referrer"].to_list() == ["https://example.org/a", "example.org"]


def test_money_is_exact(desk: Desk) -> None:
    prices = ["0.1", "2.675", "1e2", "999999999.999999", "0.0000005", "0.0000015"]
    desk.one("day.csv", csv_bytes([event(unit_price=price) for price in prices]))
    assert desk.landed()["unit_price_micros"].to_list() == [100_000, 2_675_000, 10**8, 999_999_999_999_999, 0, 2]


def test_pandas_float_ids_are_whole_numbers(desk: Desk) -> None:
    rows = pl.DataFrame([event(), event(), event()]).with_columns(pl.Series("user_id", [17850.0, float("nan"), None]))
    out = io.BytesIO()
    rows.write_parquet(out)
    report = desk.one("day.parquet", out.getvalue())
    assert desk.landed()["user_key"].to_list() == [desk.home.keys.user_key("17850"), None, None]
    assert report.rejected["person_missing"].rows == 2


def test_catalogue(desk: Desk) -> None:
    products: list[dict[str, object]] = [
        {"product_id": "p-1", "name": "Rye", "unit_price": 2.5, "updated_at": "2024-05-02T10:00:00Z", "in_stock": True,
         "tags": ["fresh", "rye"], "attributes": {"grain": "rye"}},
        {"product_id": "p-2", "updated_at": "2015-01-01T00:00:00Z"},
        {"product_id": "p-3"},
        {"product_id": "", "name": "nameless"},
        {"name": "nothing"},
        {"product_id": "p-6", "unit_price": -1},
        {"product_id": "p-7", "in_stock": "maybe"},
        {"product_id": "p-8", "currency": "US", "unit_price": 1},
        {"product_id": "p-9", "updated_at": "2031-01-01"},
    ]  # fmt: skip
    report = desk.one("products.jsonl", jsonl(products))
    landed = desk.landed("catalog")
    assert (report.table, report.clean, report.changed) == ("landing_catalog", 3, ("2024-01-01", "2024-05-02"))
    assert landed["problem"].to_list() == [
        None, None, None, "product_id_invalid", "product_missing", "price_negative", "value_malformed",
        "currency_unknown", "updated_at_in_future",
    ]  # fmt: skip
    assert [str(day) for day in landed["event_date"][:3]] == ["2024-05-02", "2024-01-01", "2024-01-01"]
    row = landed.row(0, named=True)
    assert (row["tags"], row["attributes"], row["in_stock"], row["unit_price_micros"], row["currency"]) == (
        ["fresh", "rye"], '{"grain": "rye"}', True, 2_500_000, "EUR",
    )  # fmt: skip


def test_undated_catalogues_hold_from_their_path_their_delivery_or_the_first_day(desk: Desk) -> None:
    assert list(desk.one("a.csv", b"product_id,name\np,A\n").days) == ["2024-01-01"]
    assert list(desk.one("b.csv", b"product_id,name\np,B\n").days) == ["2024-06-01"]
    assert list(desk.one("2024-03-04/c.csv", b"product_id,name\np,C\n").days) == ["2024-03-04"]


def test_a_first_catalogue_may_come_in_several_undated_files(desk: Desk) -> None:
    """In one command, or in several on its day; what is known already holds from today."""
    files = [desk.put(f"{name}.csv", f"product_id,name\n{name},1\nboth,{name}\n".encode()) for name in "ab"]
    assert [list(report.days) for report in desk.take(desk.folder / "[ab].csv")] == [["2024-01-01"], ["2024-01-01"]]
    assert [path.exists() for path in files] == [True, True]
    assert list(desk.one("c.csv", b"product_id,name\nc,C\n").days) == ["2024-01-01"]
    assert list(desk.one("d.csv", b"product_id,name\nd,D\na,2\n").days) == ["2024-06-01"]
    landed = desk.landed("catalog")
    made = catalog(landed, CLEAN_EVENTS.empty(), date(2024, 1, 1), LANDING_RATES.empty(), "EUR")
    assert made.select("product_id", "name").rows() == [("a", "1"), ("b", "1"), ("both", "b"), ("c", "C")]


def test_kind_may_be_said(desk: Desk) -> None:
    assert desk.one("x.csv", b"product_id,event_type\np,x\n", kind="catalog").table == "landing_catalog"


def test_landed_rows_are_those_of_the_table(desk: Desk) -> None:
    desk.one("day.jsonl", jsonl([*ROWS, event(user_id=None), event(event_time="x")]))
    landed = desk.landed()
    assert LANDING_EVENTS.conform(landed).height == 11
    assert landed["event_id"].n_unique() == 11


def test_a_relative_path_is_recorded_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.put("day.jsonl", jsonl(ROWS))
    monkeypatch.chdir(desk.folder)
    assert [report.path for report in desk.take("day.jsonl")] == [str(path)]
    assert [report.path for report in desk.take("*.jsonl")] == [str(path)]
