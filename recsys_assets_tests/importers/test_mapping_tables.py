"""What the tables of a mapping file read, and what they leave unread."""

from pathlib import Path

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets.importers.reports import FileReport
from recsys_assets_tests.importers.shop import Desk, csv_bytes, event, reasons

COLUMNS = """
kind = "events"
[columns]
event_time = "when"
user_id = "who"
product_id = "what"
unit_price = "paid"
[constants]
event_type = "purchase"
"""
ROW = {"when": "2024-05-01T09:30:00Z", "who": "u-1", "what": "p-1", "paid": "2.49"}


def take(desk: Desk, tables: str, *rows: dict[str, str], check: bool = False) -> FileReport:
    map = desk.put("shop.toml", (COLUMNS + tables).encode())
    (report,) = desk.take(desk.put("day.csv", csv_bytes([ROW | row for row in rows])), "mapped", map=map, check=check)
    return report


def refusal(desk: Desk, tables: str) -> str:
    with pytest.raises(SourceError) as error:
        take(desk, tables, ROW)
    assert list(desk.lake.deliveries()) == []
    return str(error.value)


GERMAN = '[numbers]\ndecimal = ","\ngrouping = "."'
AMERICAN = '[numbers]\ngrouping = ","\nsymbols = ["$", "USD"]'


@pytest.mark.parametrize(
    ("tables", "amounts"),
    [
        (GERMAN, {"1.234,56": 1_234.56, "2,49": 2.49, "980": 980, "12.50": None, "12.5": None, "1.234.56": None,
                  "1.234": 1_234, "12.345.678": 12_345_678, "1.23,4": None, "1,234,5": None, ",5": 0.5, "-3,5": -3.5}),
        ("[numbers]\ndecimal_comma = true", {"1.234,56": 1_234.56, "12.50": None}),
        ("[numbers]\ndecimal_comma = false", {"12.50": 12.5, "2,49": None}),
        (AMERICAN, {"1,980": 1_980, "$12.50": 12.5, "$ 1,299.00": 1_299, "USD 5": 5, "5 USD": 5, "-$3": -3, "$-3": -3,
                    "1,98": None, "€5": None, "$": None, "": None, "1e2": 100}),
        ('[numbers]\ndecimal = ","\ngrouping = " "\nsymbols = ["kr"]', {"1\u00a0234,50 kr": 1_234.5, "12 34": None}),
        ('[numbers]\ngrouping = "\'"', {"1\u2019234.50": 1_234.5, "1'234": 1_234}),
    ],
)  # fmt: skip
def test_numbers(desk: Desk, tables: str, amounts: dict[str, float | None]) -> None:
    report = take(desk, tables, *({"paid": raw, "what": f"p-{n}"} for n, raw in enumerate(amounts)))
    read = desk.landed()["unit_price_micros"].to_list()
    assert dict(zip(amounts, read, strict=True)) == {
        raw: None if amount is None else round(amount * 1_000_000) for raw, amount in amounts.items()
    }
    unread = sum(amount is None and bool(raw) for raw, amount in amounts.items())
    assert report.rejected["price_unreadable"].rows == unread if unread else "price_unreadable" not in report.rejected


def test_numbers_that_are_numbers_already_stay(desk: Desk) -> None:
    path = desk.put("day.parquet", b"")
    pl.DataFrame([ROW | {"paid": 12.5}]).write_parquet(path)
    desk.take(path, "mapped", map=desk.put("shop.toml", (COLUMNS + GERMAN).encode()))
    assert desk.landed()["unit_price_micros"].to_list() == [12_500_000]


@pytest.mark.parametrize(
    ("form", "moments"),
    [
        ('"epoch_microseconds"', {"1714555800123456": "2024-05-01 09:30:00.123456", "1714555800": "1970"}),
        ('"epoch_nanoseconds"', {"1714555800123456789": "2024-05-01 09:30:00.123456"}),
        ('"epoch_milliseconds"', {"1714555800123": "2024-05-01 09:30:00.123", "1.71E+12": None}),
        ('"epoch_seconds"', {"1714555800.25": "2024-05-01 09:30:00.25", "1714555800000": None}),
        ('"excel"', {"45413.395833333336": "2024-05-01 09:30:00", "45413": "2024-05-01 00:00:00", "0": None}),
        ('"%d.%m.%Y %H:%M:%S.%f"', {"01.05.2024 10:15:30.5": "2024-05-01 10:15:30.5",
                                    "01.05.2024 10:15:30.123": "2024-05-01 10:15:30.123",
                                    "01.05.2024 10:15:30.123456": "2024-05-01 10:15:30.123456"}),
        ('"%Y-%m-%d %H"', {"2024-05-01 10": "2024-05-01 10:00:00"}),
        ('"%m/%d/%Y %I:%M %p"', {"5/1/2024 9:15 AM": "2024-05-01 09:15", "5/1/2024 9:15 PM": "2024-05-01 21:15",
                                 "5/2/2024 12:05 AM": "2024-05-02 00:05"}),
        ('"%d %b %Y %H:%M %z"', {"01 May 2024 10:00 +0200": "2024-05-01 08:00"}),
        ('"%-m/%-d/%Y %k:%M:%S%.3f"', {"5/1/2024 9:15:30.5": "2024-05-01 09:15:30.5"}),
        ('"%Y-%m-%d %H:%M:%S.%f"', {"2024-05-01 10:00:01.123456789": "2024-05-01 10:00:01.123456"}),
        ('"%F %T"', {"2024-05-01 10:00:01": "2024-05-01 10:00:01"}),
        ('["iso", "%d.%m.%Y"]', {"2024-05-01T10:00:00": "2024-05-01 10:00", "02.05.2024": "2024-05-02 00:00"}),
        ('["%d/%m/%Y", "%m/%d/%Y"]', {"05/05/2024": "2024-05-05", "13/05/2024": "2024-05-13", "04/05/2024": None}),
    ],
)  # fmt: skip
def test_times(desk: Desk, form: str, moments: dict[str, str | None]) -> None:
    take(desk, f"[time]\nformat = {form}\n", *({"when": raw, "what": f"p-{n}"} for n, raw in enumerate(moments)))
    read = desk.landed()["event_time"].to_list()
    for raw, time in zip(moments, read, strict=True):
        wanted = moments[raw]
        assert (time is None) if wanted is None else str(time).startswith(wanted), raw


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("%m/%d/%Y %H:%M %p", "time.format: .*needs %p .* and %I .* together"),
        ("%m/%d/%Y %I:%M", "together"),
        ("epoch_micros", "no form of times; known are iso, epoch_seconds, .*excel"),
        ("", "no form of times"),
        ("%d.%m %H:%M", "lacks the year"),
        ("%Y-%m", "lacks the month or the day"),
        ("%Y-%m-%d :%M", "minutes and no hour"),
        ("%Y-%m-%d %Y", "twice"),
        ("%Y-%m-%d %Q", "%Q"),
        ("%s", "write epoch_seconds instead"),
    ],
)
def test_a_form_of_time_is_refused_before_the_first_row(desk: Desk, form: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        take(desk, f'[time]\nformat = "{form}"\n', ROW)


def test_day_and_month_that_fit_exchanged_are_said(desk: Desk) -> None:
    days = ({"when": f"{day} 10:15"} for day in ("05/13/2024", "05/03/2024", "06/04/2024"))
    report = take(desk, '[time]\nformat = "%d/%m/%Y %H:%M"\n', *days, check=True)
    (said,) = report.warnings
    assert said.startswith("event_time: 1 of 1 times that cannot be read fit %m/%d/%Y %H:%M, with day and month exch")
    assert "2 that were read fit it too" in said
    both = take(desk, '[time]\nformat = "%d/%m/%Y"\n', {"when": "05/03/2024"}, {"when": "01/02/2024"}, check=True)
    assert "every time fits %m/%d/%Y too" in both.warnings[0]
    right = take(desk, '[time]\nformat = "%d/%m/%Y"\n', {"when": "15/03/2024"}, {"when": "01/02/2024"}, check=True)
    assert right.warnings == ()


def test_words_for_yes_and_no(desk: Desk) -> None:
    text = (
        'kind = "users"\n[columns]\nuser_id = "u"\nconsent = "c"\n[booleans]\ntrue = ["Dafür"]\nfalse = ["dagegen"]\n'
    )
    words = {"dafür": True, "DAGEGEN": False, "ja": True, "N": False, "": None, "0": False, "off": False}
    data = csv_bytes([{"u": f"u-{n}", "c": word} for n, word in enumerate(words)])
    desk.take(desk.put("users.csv", data), "mapped", map=desk.put("shop.toml", text.encode()))
    assert desk.landed("users")["consent"].to_list() == list(words.values())


def test_rows_that_do_not_count_are_counted(desk: Desk) -> None:
    rows = [
        {"status": "completed", "test": "no"},
        {"status": "refunded", "test": "no"},
        {"status": "completed", "test": "yes"},
        {"status": "", "test": "no"},
    ]
    where = '[where]\nkeep = { status = ["completed", "processing"] }\ndrop = { test = "yes" }\n'
    report = take(desk, where, *rows)
    assert (report.rows, report.clean, report.dropped) == (4, 1, 3)
    assert report.warnings == ("[where] keep: no row of status has 'processing'",)
    assert dict(report.mapping)["status"] == "which rows count"


def test_a_file_of_which_no_row_counts(desk: Desk) -> None:
    report = take(desk, '[where]\ndrop = { what = "p-1" }\n', ROW, ROW)
    assert (report.rows, report.clean, report.dropped, report.days) == (2, 0, 2, {})


def test_a_row_that_cannot_be_read_is_rejected_whatever_it_is(desk: Desk) -> None:
    map = desk.put("shop.toml", (COLUMNS + '[where]\nkeep = { what = "p-1" }\n').encode())
    (report,) = desk.take(desk.put("day.csv", csv_bytes([ROW]) + b"cut\n"), "mapped", map=map)
    assert (report.clean, reasons(report), report.dropped) == (1, {"csv_malformed": 1}, 0)


def test_placeholders_are_nobody(desk: Desk) -> None:
    people = ["undefined", "undefined", "null", "NULL", "\\N", "0", "[object Object]", "nan", "u-1", "07"]
    rows = [event(user_id=who, product_id=f"p-{n}") for n, who in enumerate(people)]
    report = desk.one("day.csv", csv_bytes([*rows, event(product_id="undefined"), event(product_id="0")]))
    assert (report.rows, report.clean) == (12, 3)
    assert reasons(report) == {"person_missing": 8, "product_missing": 1}
    said = " ".join(report.warnings)
    assert "user_id: 7 ids are placeholders, and nobody: " in said
    assert "undefined 2" in said
    assert "product_id: 1 ids are placeholders, and no product: undefined 1" in said
    assert "1 cells hold \\N" in said


def test_a_shop_may_name_its_placeholders(desk: Desk) -> None:
    rows = ({"who": who} for who in ("0", "guest", "undefined"))
    report = take(desk, '[ids]\nplaceholders = ["Guest"]\n', *rows)
    assert (report.clean, reasons(report)) == (2, {"person_missing": 1})


def test_a_guest_is_the_person_of_an_order(desk: Desk) -> None:
    map = desk.put("shop.toml", COLUMNS.replace('who"\n', 'who"\nanon_id = "order"\n').encode())
    rows = [ROW | {"who": "0", "order": "501"}, ROW | {"who": "7", "order": "502"}]
    (report,) = desk.take(desk.put("day.csv", csv_bytes(rows)), "mapped", map=map)
    assert report.clean == 2
    assert desk.landed()["user_key"].to_list() == [None, desk.home.keys.user_key("7")]
    assert desk.landed()["anon_key"][0] == desk.home.keys.anon_key("501")


def test_ids_that_were_numbers_with_decimals(desk: Desk) -> None:
    report = desk.one(
        "day.csv", csv_bytes([event(user_id="17850.0", product_id=p) for p in ("22423.0", "1.23457E+12")])
    )
    assert set(desk.landed()["user_key"]) == {desk.home.keys.user_key("17850")}
    assert desk.landed()["product_id"].to_list() == ["22423", "1.23457E+12"]
    assert "user_id: 2 ids end in .0, as numbers with decimals do: read without it" in report.warnings
    assert any(w.startswith("product_id: 1 ids are in scientific notation") for w in report.warnings)
    mixed = desk.one("more.csv", csv_bytes([event(product_id=p) for p in ("1.0", "1.5", "a")]), check=True)
    assert any(w.startswith("product_id: 1 ids end in .0") and "kept" in w for w in mixed.warnings)


def test_blanks_and_the_text_of_spreadsheets(desk: Desk) -> None:
    ids = ["A-100", "A-100 ", '="00123"', "'00123"]
    report = desk.one("day.csv", csv_bytes([event(product_id=p) for p in ids]), check=True)
    assert any(w.startswith("product_id: blanks at an end of 1 ids keep them apart") for w in report.warnings)
    assert any(w.startswith("product_id: 2 ids are written as a spreadsheet's text") for w in report.warnings)
    take(desk, "[ids]\ntrim = true\n", {"what": "A-100"}, {"what": "A-100 "})
    assert desk.landed()["product_id"].to_list() == ["A-100", "A-100"]


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ('[numbers]\ndecimal = ","\ngrouping = ","', "both ','"),
        ('[numbers]\ndecimal_comma = true\ndecimal = ","', "in place of"),
        ('[numbers]\nsymbols = ["1"]', "words or signs"),
        ('[numbers]\ndecimal = ";"', "numbers.decimal"),
        ('[booleans]\ntrue = ["x"]\nfalse = ["X"]', "x cannot mean both"),
        ('[where]\nkeep = { status = "paid" }', "names the columns status"),
        ("[where]\nonly = 1", "where.only"),
        ('[ids]\ntrailing_zero = "maybe"', "ids.trailing_zero"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(desk: Desk, tables: str, words: str) -> None:
    assert words in refusal(desk, tables)


def test_old_mapping_files_hold(desk: Desk, tmp_path: Path) -> None:
    old = "[time]\nformat = 'iso'\nzone = 'Europe/Berlin'\n[numbers]\ndecimal_comma = false\n[csv]\ndelimiter = ','\n"
    assert take(desk, old + "encoding = 'utf-8'\n[returns]\nnegative_quantity = false\n", ROW).clean == 1
