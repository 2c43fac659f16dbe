"""Files → tables: workbooks as text, sheet by sheet, and one error for a broken file."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys_assets.commands.ingest import original
from recsys_assets.errors import SourceError
from recsys_assets.importers.files import read_xlsx
from recsys_assets.importers.reports import Example
from recsys_assets.tables import LANDING_EVENTS
from recsys_assets_tests.importers.shop import Desk
from recsys_assets_tests.importers.workbook import Cell, workbook

WHEN = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
GOOD = workbook({"a": [["code", "when"], [22138, WHEN], ["85123A", None]]})


def put(folder: Path, data: bytes) -> Path:
    path = folder / "book.xlsx"
    path.write_bytes(data)
    return path


def test_numbers_and_dates_are_text_and_empty_sheets_are_none(tmp_path: Path) -> None:
    prices: list[list[Cell]] = [["price"], [2.55], [None], [-11062.06]]
    made = workbook({"codes": [["code", "when"], [22138, WHEN]], "none": [], "prices": prices})
    (first, codes), (second, money) = read_xlsx(put(tmp_path, made))
    assert (first, codes.rows()) == ("codes", [("22138", "2010-12-01 08:26:00")])
    assert (second, money.rows()) == ("prices", [("2.55",), (None,), ("-11062.06",)])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"code,when\n1,2\n", "no .xlsx workbook"),
        (GOOD[:200], "cut short"),
        (GOOD[:-40], "cut short"),
        (b"PK\x03\x04" + b"x" * 500, "cut short or damaged"),
        (workbook({"a": []}), "no rows"),
        (workbook({"a": [["code", "when"]]}), "no rows"),
    ],
)
def test_a_broken_workbook_is_one_error_that_names_it(tmp_path: Path, data: bytes, words: str) -> None:
    path = put(tmp_path, data)
    with pytest.raises(SourceError, match=words) as error:
        read_xlsx(path)
    assert str(path) in str(error.value)


def test_formats_of_text_read_no_workbook(desk: Desk) -> None:
    path = desk.put("book.xlsx", GOOD)
    with pytest.raises(SourceError, match="reads no xlsx files"):
        desk.take(path, "rees46")


def test_a_rejected_row_is_shown_with_its_sheet(tmp_path: Path) -> None:
    made = workbook({"first": [["code"], [1], [2]], "second": [["code"], [3], ["a"]]})
    path = str(put(tmp_path, made))

    def shown(line: int) -> str:
        return original("online_retail", path, LANDING_EVENTS.name, Example(line, None))

    assert shown(2) == '{"sheet": "first", "code": "2"}'
    assert shown(4) == '{"sheet": "second", "code": "a"}'
    assert shown(5) == "(no such row)"
