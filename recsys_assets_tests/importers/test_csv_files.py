"""Dialects of CSV: every line is a row, or said to be something else."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys_assets.errors import SourceError
from recsys_assets_tests.importers.shop import Desk, csv_bytes, event, jsonl, reasons
from recsys_assets_tests.importers.workbook import Cell, workbook

HEAD = b"event_time,user_id,artist,product_id,event_type\n"
MAPPED = """
kind = "events"
[columns]
event_time = "event_time"
user_id = "user_id"
product_id = "product_id"
event_type = "event_type"
"""


def row(number: int, artist: str = "plain") -> bytes:
    return f"2024-05-01T10:{number % 60:02}:00Z,u-{number},{artist},t-{number},view\n".encode()


def people(desk: Desk, *numbers: int) -> list[str]:
    return [desk.home.keys.user_key(f"u-{number}") for number in numbers]


def map_of(desk: Desk, dialect: str) -> Path:
    return desk.put("shop.toml", f"{MAPPED}[csv]\n{dialect}\n".encode())


def test_two_quotes_that_stand_alone_swallow_nothing(desk: Desk) -> None:
    lines = [row(1), row(2, '"Weird One'), row(3), row(4), row(5, 'Another 7"'), row(6)]
    report = desk.one("day.csv", HEAD + b"".join(lines))
    assert (report.rows, report.clean, reasons(report)) == (6, 5, {"csv_malformed": 1})
    assert report.rejected["csv_malformed"].line == 3
    assert report.counted == "7 lines = 6 rows + 1 header"
    assert "a quote stands alone at line 3" in report.warnings[0]
    landed = desk.landed()
    assert landed["user_key"].to_list() == [people(desk, 1)[0], None, *people(desk, 3, 4, 5, 6)]
    assert landed["product_id"].to_list() == ["t-1", None, "t-3", "t-4", "t-5", "t-6"]


def test_two_quotes_far_apart(desk: Desk) -> None:
    lines = [row(n, '"' if n in (10, 990) else "plain") for n in range(1_000)]
    report = desk.one("day.csv", HEAD + b"".join(lines))
    assert (report.rows, report.rejected["csv_malformed"].rows) == (1_000, 2)


def test_quotes_mean_nothing_where_the_mapping_says_so(desk: Desk) -> None:
    lines = [row(1), row(2, '"Weird One'), row(3), row(5, 'Another 7"')]
    data = (HEAD + b"".join(lines)).replace(b",", b"\t")
    (report,) = desk.take(
        desk.put("day.tsv", data), "mapped", map=map_of(desk, 'delimiter = "\\t"\nquote = ""'), check=True
    )
    assert (report.rows, report.clean, report.warnings) == (4, 4, ())


@pytest.mark.parametrize(
    "text",
    [
        "one\ntwo",
        "one, with a comma\nand, another",
        "milk, salt,\nsugar, rye, wheat, oats, water, malt, yeast\n",  # as many commas as the header has, of a sentence
        "one\r\n\r\ntwo",
        'she said "no",\nand left',
    ],
)
def test_a_quoted_text_of_several_lines_stays_one_row(desk: Desk, text: str) -> None:
    report = desk.one("day.csv", csv_bytes([event(user_id="u-0"), event(context=text), event(user_id="u-2")]))
    assert (report.rows, report.clean, report.warnings) == (3, 3, ())
    assert desk.landed()["context"][1] == text
    assert "further lines of rows" in report.counted


def test_a_text_of_several_lines_in_the_first_column(desk: Desk) -> None:
    report = desk.one("p.csv", b'description,name,product_id\n"two\nlines",Rye,7\n', kind="catalog")
    assert (report.rows, report.clean) == (1, 1)


@pytest.mark.parametrize("end", [b"\r", b"\r\n"])
@pytest.mark.parametrize("name", ["day.csv", "day.jsonl"])
def test_other_line_ends(desk: Desk, name: str, end: bytes) -> None:
    rows = [event(user_id="u-1"), event(user_id="u-2", context="x")]
    data = csv_bytes(rows) if name == "day.csv" else jsonl(rows)
    report = desk.one(name, data.replace(b"\n", end))
    assert (report.rows, report.clean) == (2, 2)


def test_two_kinds_of_line_ends_in_one_file_are_said(desk: Desk) -> None:
    report = desk.one("day.csv", HEAD + row(1).replace(b"\n", b"\r") + row(2) + row(3))
    assert (report.rows, reasons(report)) == (2, {"csv_malformed": 1})
    assert "carriage returns stand inside line 2, where more rows than one may be" in report.warnings[0]


def test_the_delimiter_that_a_spreadsheet_names(desk: Desk) -> None:
    data = b"sep=;\r\n" + csv_bytes([event()]).replace(b",", b";")
    for format in ("contract", "auto"):
        (report,) = desk.take(desk.put("day.csv", data), format, check=True)
        assert (report.rows, report.clean) == (1, 1)
    map = map_of(desk, 'delimiter = "|"')
    with pytest.raises(SourceError, match=r"says sep=;, and \[csv\] delimiter is '\|'"):
        desk.take(desk.put("day.csv", data), "mapped", map=map)


def test_a_dump_of_mysql(desk: Desk) -> None:
    data = (
        b"\t".join(HEAD.split(b","))
        + b'2024-05-01\t\\N\tsome \\"7\\" tape\tt-1\tview\n2024-05-01\tu-2\ta\\\tb\tt-2\tview\n'
    )
    map = map_of(desk, 'delimiter = "\\t"\nescape = "\\\\"')
    (report,) = desk.take(desk.put("day.tsv", data), "mapped", map=map)
    assert reasons(report) == {"person_missing": 1}
    assert desk.landed()["product_id"].to_list() == ["t-1", "t-2"]
    assert report.warnings == ("1 cells hold \\N: read as missing",)


def test_quotes_of_mysql_without_an_escape_cost_their_line(desk: Desk) -> None:
    report = desk.one("day.csv", HEAD + row(1) + row(2, '"some \\"7\\" tape"') + row(3) + row(4, '"12\\""') + row(5))
    assert (report.rows, report.clean) == (5, 3)
    assert '\\" stands at lines 3, 5; where MySQL wrote it' in report.warnings[0]


def test_null_of_mysql_without_an_escape(desk: Desk) -> None:
    report = desk.one("day.csv", csv_bytes([event(unit_price="\\N"), event(user_id="u-2")]))
    assert (report.clean, report.warnings) == (2, ("1 cells hold \\N: read as missing",))


def test_lines_before_and_between_the_rows(desk: Desk) -> None:
    data = b"Export of 1 May\n\n" + HEAD + row(1) + b"# a word\n\n" + row(2)
    (report,) = desk.take(desk.put("day.csv", data), "mapped", map=map_of(desk, 'skip = 2\ncomment = "#"'))
    assert (report.rows, report.clean) == (2, 2)
    assert report.counted == "7 lines = 2 rows + 3 header + 1 blank + 1 comments"


def test_a_header_in_the_middle_is_no_product(desk: Desk) -> None:
    report = desk.one("p.csv", b"product_id,name\n1,Rye\nproduct_id,name\n2,Bun\n", kind="catalog")
    assert (report.rows, report.clean, reasons(report)) == (3, 2, {"csv_malformed": 1})
    assert report.warnings == ("the header stands again at line 3",)


@pytest.mark.parametrize(
    ("header", "cells", "ignored"),
    [
        (",{}", "0,{}", "(column 1, without a name)"),
        ("{},", "{},", "(column 6, without a name)"),
        ("{},notes,notes", "{},a,b", "notes (column 6, named twice)"),
    ],
)
def test_a_column_that_nothing_asks_for_may_have_any_name(desk: Desk, header: str, cells: str, ignored: str) -> None:
    head, line = HEAD.decode().strip(), row(1).decode().strip()
    report = desk.one("day.csv", f"{header.format(head)}\n{cells.format(line)}\n".encode())
    assert (report.rows, report.clean) == (1, 1)
    assert ignored in report.ignored


def test_a_column_that_is_asked_for_stands_once(desk: Desk) -> None:
    data = csv_bytes([event()]).replace(b"unit_price", b"quantity")
    with pytest.raises(SourceError, match="names twice: quantity"):
        desk.one("day.csv", data)


def test_a_json_array_is_refused(desk: Desk) -> None:
    rows = jsonl([event(), event(user_id="u-2")]).decode().splitlines()
    for text in ("[\n  " + ",\n  ".join(rows) + "\n]\n", f"[{','.join(rows)}]", "\n[" + ",\n".join(rows) + "]"):
        for format in ("contract", "auto"):
            with pytest.raises(SourceError, match=r"JSON array\. Write one object per line"):
                desk.take(desk.put("day.json", text.encode()), format)
    assert list(desk.lake.deliveries()) == []


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        ('encoding = "utf-16"', "cannot be read line by line"),
        ('encoding = "hex"', "no encoding"),
        ('quote = ","', "a character each"),
        ('delimiter = ";;"', "at most 1 character"),
    ],
)
def test_a_dialect_that_cannot_be_is_refused(desk: Desk, dialect: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        desk.take(desk.put("day.csv", HEAD + row(1)), "mapped", map=map_of(desk, dialect))


def test_a_workbook_with_the_contracts_columns(desk: Desk) -> None:
    head = ("event_type", "event_time", "user_id", "product_id", "unit_price")
    rows: list[tuple[Cell, ...]] = [
        head,
        ("purchase", datetime(2024, 5, 1, 9, 30, tzinfo=UTC), 17, "0012", 2.49),
        ("view", "2024-05-02T10:00:00Z", "u-2", 7, None),
    ]
    path = desk.put("day.xlsx", workbook({"May": rows, "June": [head, ("view", "2024-05-03", "u-3", 8, 1)]}))
    (report,) = desk.take(path, "auto")
    assert (report.rows, report.clean) == (3, 3)
    landed = desk.landed()
    assert landed["user_key"][0] == desk.home.keys.user_key("17")
    assert landed["product_id"].to_list() == ["0012", "7", "8"]
    assert landed["unit_price_micros"].to_list() == [2_490_000, None, 1_000_000]
    (report,) = desk.take(path, "mapped", map=desk.put("shop.toml", MAPPED.encode()), check=True)
    assert report.clean == 3
    two = workbook({"May": rows, "Notes": [("who", "what"), ("a", "b")]})
    with pytest.raises(SourceError, match="sheet Notes has other columns than May"):
        desk.one("two.xlsx", two)
