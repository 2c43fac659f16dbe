"""Files that are not what they should be: a named reason per row, or one error for the file."""

import gzip
import io
import json
from typing import Any

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets_tests.importers.shop import Desk, csv_bytes, event, jsonl, reasons

GOOD = event(user_id="u-good")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event_time": "1970-01-01T00:00:00Z"}, "event_time_before_first_day"),
        ({"event_time": "2025-06-01T00:00:00Z"}, "event_time_in_future"),
        ({"event_time": "yesterday"}, "event_time_unreadable"),
        ({"event_time": None}, "event_time_missing"),
        ({"unit_price": -2.49}, "price_negative"),
        ({"unit_price": float("nan")}, "price_not_finite"),
        ({"unit_price": float("inf")}, "price_not_finite"),
        ({"unit_price": "free"}, "price_unreadable"),
        ({"unit_price": "1_000"}, "price_unreadable"),
        ({"unit_price": "1e999999999"}, "price_unreadable"),
        ({"quantity": "1e999999999"}, "quantity_unreadable"),
        ({"dwell_seconds": "1e999999999"}, "number_unreadable"),
        ({"unit_price": 1e12}, "price_unreadable"),
        ({"unit_price": 1e9, "quantity": 2}, "amount_too_large"),
        ({"list_price": -1}, "price_negative"),
        ({"quantity": 0}, "quantity_zero"),
        ({"quantity": -1}, "quantity_negative"),
        ({"quantity": "two"}, "quantity_unreadable"),
        ({"quantity": 1.5}, "quantity_unreadable"),
        ({"quantity": 10**30}, "quantity_unreadable"),
        ({"quantity": True}, "wrong_type"),
        ({"event_type": "bought"}, "event_type_unknown"),
        ({"event_type": None}, "event_type_unknown"),
        ({"user_id": None}, "person_missing"),
        ({"user_id": ""}, "person_id_invalid"),
        ({"user_id": "x" * 129}, "person_id_invalid"),
        ({"user_id": "ü" * 65}, "person_id_invalid"),
        ({"user_id": "a\x00b"}, "person_id_invalid"),
        ({"user_id": "\ud800"}, "not_utf8"),
        ({"user_id": ["u"]}, "wrong_type"),
        ({"anon_id": ""}, "person_id_invalid"),
        ({"product_id": None}, "product_missing"),
        ({"product_id": ""}, "product_id_invalid"),
        ({"product_id": "x" * 129}, "product_id_invalid"),
        ({"event_id": ""}, "event_id_invalid"),
        ({"order_id": "x" * 129}, "other_id_invalid"),
        ({"currency": "US$"}, "currency_unknown"),
        ({"currency": "USD"}, "currency_without_rate"),
        ({"event_type": "review", "rating": 6}, "rating_out_of_range"),
        ({"rating": "good"}, "number_unreadable"),
        ({"dwell_seconds": float("nan")}, "number_unreadable"),
        ({"dwell_seconds": -1}, "number_out_of_range"),
        ({"context": "x" * 100_001}, "text_invalid"),
        ({"device": "a\x00"}, "text_invalid"),
    ],
)
def test_one_bad_value_costs_one_row(desk: Desk, change: dict[str, Any], reason: str) -> None:
    report = desk.one("day.jsonl", jsonl([GOOD, event(**change), GOOD | {"user_id": "u-2"}]))
    assert (report.rows, report.clean, reasons(report)) == (3, 2, {reason: 1})
    assert report.rejected[reason].line == 2
    assert report.rejected[reason].offset == len(jsonl([GOOD]))
    assert desk.landed().height == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"event_type": "view"', "json_malformed"),
        (b"[1, 2]", "json_malformed"),
        (b"[" * 100_000, "json_malformed"),
        (b'{"user_id": "\xff\xfe"}', "not_utf8"),
        (b'{"context": "' + b"x" * 1_000_001 + b'"}', "line_too_long"),
        (b"x" * 3_000_000, "line_too_long"),
    ],
)
def test_one_bad_line_of_json_costs_one_row(desk: Desk, line: bytes, reason: str) -> None:
    before = jsonl([GOOD])
    report = desk.one("day.jsonl", before + line + b"\n\n" + jsonl([event(user_id="u-2")]))
    assert (report.rows, report.clean, reasons(report)) == (3, 2, {reason: 1})
    assert (report.rejected[reason].line, report.rejected[reason].offset) == (2, len(before))
    last = desk.landed().filter(pl.col("problem").is_null()).row(-1, named=True)
    assert (last["source_line"], last["source_offset"]) == (4, len(before) + len(line) + 2)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (b"purchase,2024-05-01,u,p,1\n", "csv_malformed"),  # a field too few
        (b"purchase,2024-05-01,u,p,1,1,1\n", "csv_malformed"),
        (b'purchase,2024-05-01,"u,p,1,1\n', "csv_malformed"),  # a quote that nothing closes
        (b'purchase,2024-05-01,"u"x,p,1,1\n', "csv_malformed"),
        (b"purchase,2024-05-01,\xff,p,1,1\n", "not_utf8"),
        (b"purchase,2024-05-01," + b"x" * 1_000_001 + b",p,1,1\n", "line_too_long"),
        (b"purchase,2024-05-01,u,p,,nan\n", "price_not_finite"),
    ],
)
def test_one_bad_line_of_csv_costs_one_row(desk: Desk, lines: bytes, reason: str) -> None:
    before = csv_bytes([GOOD])
    after = csv_bytes([GOOD | {"user_id": "u-2"}]).split(b"\n", 1)[1]
    report = desk.one("day.csv", before + lines + after)
    assert (report.rows, report.clean, reasons(report)) == (3, 2, {reason: 1})
    assert (report.rejected[reason].line, report.rejected[reason].offset) == (3, len(before))
    last = desk.landed().filter(pl.col("problem").is_null()).row(-1, named=True)
    assert (last["source_line"], last["source_offset"]) == (4, len(before) + len(lines))


def test_two_stray_quotes_swallow_no_lines_between_them(desk: Desk) -> None:
    head, row = csv_bytes([GOOD]).splitlines(keepends=True)
    stray = b'purchase,2024-05-01,"u,p,1,1\n'
    report = desk.one("day.csv", head + stray + row + row + stray + row)
    assert (report.rows, report.clean, reasons(report)) == (5, 3, {"csv_malformed": 2})


def test_a_file_of_nothing_but_stray_quotes_ends(desk: Desk) -> None:
    head, _ = csv_bytes([GOOD]).splitlines(keepends=True)
    report = desk.one("day.csv", head + b'purchase,2024-05-01,"u,p,1,1\n' * 301)
    assert (report.rows, report.clean) == (301, 0)


REFUSED = {
    "empty.jsonl": (b"", "empty"),
    "blank.jsonl": (b"\n\n", "no rows"),
    "header only.csv": (b"event_type,event_time,user_id,product_id\n", "no rows"),
    "no price list.csv": (b"a,b\n1,2\n", "neither event_type, event_time nor product_id"),
    "missing.csv": (b"event_type,event_tme,user_id,product_id\nview,x,u,p\n", "'event_tme' meant as event_time"),
    "nobody.csv": (b"event_type,event_time,product_id\nview,x,p\n", "user_id or anon_id"),
    "missing.jsonl": (jsonl([{"event_type": "view", "user_id": "u", "product_id": "p"}]), "event_time"),
    "twice.csv": (b"event_type,event_type\nview,view\n", "twice"),
    "text.jsonl": (b"hello\nworld\n", "Is it JSON Lines?"),
    "utf16.csv": ("event_type,event_time\n".encode("utf-16"), "in UTF-16"),
    "utf16.jsonl": ('{"event_type": "view"}\n'.encode("utf-16"), "in UTF-16"),
    "no header.csv": (b"view,2024-05-01,u,p\n" * 2, "first line looks like data"),
    "cut.jsonl.gz": (gzip.compress(jsonl([event(user_id=f"u{n}") for n in range(5000)]))[:-500], "cut short"),
    "cut.csv.gz": (gzip.compress(csv_bytes([event(user_id=f"u{n}") for n in range(5000)]))[:-20], "cut short"),
    "damaged.jsonl.gz": (gzip.compress(jsonl([GOOD]))[:12] + b"\x00" * 30, "damaged"),
    "cut.jsonl.zst": (b"\x28\xb5\x2f\xfd\x04\x58", "cut short"),
    "not parquet.parquet": (b"event_type,event_time\n", "not Parquet"),
    "parquet.csv": (b"PAR1 and so on PAR1", "Name it .parquet"),
    "notes.docx": (b"hello", "does not say what it holds"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_is_one_error_that_names_it(desk: Desk, name: str) -> None:
    data, words = REFUSED[name]
    path = desk.put(name, data)
    with pytest.raises(SourceError, match=words) as error:
        desk.take(path)
    assert str(path) in str(error.value)
    assert list(desk.lake.deliveries()) == []


@pytest.mark.parametrize("keep", [-5, -200, 40])
def test_truncated_parquet(desk: Desk, keep: int) -> None:
    whole = io.BytesIO()
    pl.DataFrame([GOOD] * 50).write_parquet(whole)
    with pytest.raises(SourceError, match="cut short"):
        desk.one("day.parquet", whole.getvalue()[:keep])


def test_damaged_parquet(desk: Desk) -> None:
    whole = io.BytesIO()
    pl.DataFrame([GOOD] * 50).write_parquet(whole)
    data = bytearray(whole.getvalue())
    data[-60:-20] = b"\xff" * 40
    with pytest.raises(SourceError, match="damaged"):
        desk.one("day.parquet", bytes(data))


def test_parquet_that_describes_too_many_columns(desk: Desk) -> None:
    whole = io.BytesIO()
    pl.DataFrame([GOOD]).write_parquet(whole)
    with pytest.raises(SourceError, match="description of its columns takes over"):
        desk.one("day.parquet", whole.getvalue()[:-8] + (1 << 30).to_bytes(4, "little") + b"PAR1")


def test_parquet_with_a_nested_column(desk: Desk) -> None:
    whole = io.BytesIO()
    pl.DataFrame([GOOD | {"user_id": ["u"]}]).write_parquet(whole)
    with pytest.raises(SourceError, match="the column user_id is List"):
        desk.one("day.parquet", whole.getvalue())


def test_parquet_with_binary_text_that_is_not_utf8(desk: Desk) -> None:
    whole = io.BytesIO()
    rows = pl.DataFrame([GOOD, GOOD]).with_columns(pl.Series("user_id", [b"u", b"\xff"], dtype=pl.Binary))
    rows.write_parquet(whole)
    assert reasons(desk.one("day.parquet", whole.getvalue())) == {"not_utf8": 1}


def test_nothing_there(desk: Desk) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        desk.take(desk.folder / "gone.csv")
    with pytest.raises(SourceError, match="no file there"):
        desk.take(desk.folder)
    with pytest.raises(SourceError, match="no file there"):
        desk.take(desk.folder / "*.csv")
    with pytest.raises(SourceError, match="known are contract"):
        desk.take(desk.folder, "contrct")


def test_a_day_without_events_and_a_day_with_one_person(desk: Desk) -> None:
    report = desk.one("few.jsonl", jsonl([GOOD, event(event_time="2024-05-03T00:00:00Z")]))
    assert report.days == {"2024-05-01": 1, "2024-05-03": 1}


def test_rows_without_a_usable_day_land_on_the_first_usable_one(desk: Desk) -> None:
    desk.one(
        "days.jsonl", jsonl([event(event_time=t) for t in ("1970-01-01", "2024-05-03", "2024-05-02", "2031-01-01")])
    )
    assert [str(day) for day in desk.landed()["event_date"]] == ["2024-05-02", "2024-05-03", "2024-05-02", "2024-05-02"]


def test_a_file_without_any_usable_day_lands_on_the_first_day_of_the_home(desk: Desk) -> None:
    assert desk.one("days.jsonl", jsonl([event(event_time="x")])).days == {"2024-01-01": 1}


def test_json_keys_that_are_our_own_columns_are_ignored(desk: Desk) -> None:
    report = desk.one("day.jsonl", jsonl([GOOD | {"problem": "none", "source_line": 7, "extra": 1}]))
    assert (report.clean, report.ignored) == (1, ("extra", "problem", "source_line"))


def test_legal_ids_stay_apart(desk: Desk) -> None:
    ids = ["7", "07", "a/b", "it's", '"', "🛒", str(2**53), str(2**53 + 1), " 7", "x" * 128]
    report = desk.one("ids.csv", csv_bytes([event(user_id=i, product_id=i) for i in ids]))
    landed = desk.landed()
    assert report.clean == len(ids)
    assert landed["product_id"].to_list() == ids
    assert landed["user_key"].to_list() == [desk.home.keys.user_key(i) for i in ids]


def test_nothing_of_a_person_is_stored(desk: Desk) -> None:
    row = event(user_id="anna@example.org", anon_id="cookie-77", session_id="session-88", query="my name is anna")
    desk.one("day.jsonl", jsonl([row, row | {"user_id": "anna@example.org" * 9}]))
    stored = b"".join(f.read_bytes() for f in desk.home.path.rglob("*") if f.is_file())
    text = json.dumps(desk.landed().to_dicts(), default=str)
    for secret in ("anna", "cookie-77", "session-88"):
        assert secret not in text
        assert secret.encode() not in stored
