"""Online Retail: one shop's invoices in three layouts, two naming schemes and four spellings of a date."""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets_tests.importers.shop import Desk, reasons
from recsys_assets_tests.importers.workbook import workbook

FIRST = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
SECOND = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country")
HEART, LANTERN = "WHITE HANGING HEART T-LIGHT HOLDER", "BAG 125g SWIRLY MARBLES"
Line = tuple[str, str, str | None, int, datetime, float, int | None]


def at(month: int, day: int, hour: int = 8, minute: int = 26) -> datetime:
    """The time that the shop's clock shows; the zone is only there to write it."""
    return datetime(2011, month, day, hour, minute, tzinfo=UTC)


LINES: list[Line] = [
    ("536365", "85123A", HEART, 6, at(1, 13), 2.55, 17850),
    ("536365", "85123A", HEART, 6, at(1, 13), 2.55, 17850),  # the same line twice on one invoice: twelve were bought
    ("536365", "85123a", "CREAM HEART  ", 2, at(1, 13), 2.95, 17850),
    ("536366", "22138", LANTERN, 1, at(7, 1), 3.39, None),
    ("536366", "POST", "POSTAGE", 1, at(7, 1), 18.0, None),
    ("536367", "DCGSSBOY", "BOYS PARTY BAG", 1, at(7, 1, 9, 0), 3.29, 12346),
    ("C536368", "85123A", HEART, -6, at(7, 2), 2.55, 17850),
    ("C536369", "D", "Discount", -1, at(7, 2), 27.5, 14527),
    ("A563185", "B", "Adjust bad debt", 1, at(8, 12), -11062.06, None),
    ("A563186", "22138", "Adjust bad debt", 1, at(8, 12), 11062.06, None),
    ("536370", "22138", "damaged?", -20, at(8, 13), 0.0, None),
    ("536371", "22139", "found £", 5, at(8, 13), 0.0, None),
    ("536372", "22138", LANTERN, 1, at(8, 13), 0.0, 12346),  # a gift to a customer
    ("536373", "22138", LANTERN, 4, at(8, 14), 3.39, 12346),
    ("536374", "85123A", HEART, 1, at(8, 14, 23, 30), 2.35, 12346),
]
NOT_PRODUCTS = 6  # POST, D, B, the A invoice, and two corrections of stock


def us(when: datetime) -> str:
    return f"{when.month}/{when.day}/{when.year} {when.hour}:{when:%M}"


def british(when: datetime) -> str:
    return f"{when:%d/%m/%Y %H:%M}"


def iso(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}"


def csv_of(lines: Sequence[Line], written: Callable[[datetime], str], names: Sequence[str] = FIRST) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([*line[:4], written(line[4]), *line[5:], "United Kingdom"] for line in lines)
    return out.getvalue()


def parquet_of(lines: Sequence[Line]) -> bytes:
    """As pandas writes it: customers are floats, because some are missing; times have no zone."""
    frame = pl.DataFrame([(*line, "France") for line in lines], schema=list(FIRST), orient="row")
    frame = frame.with_columns(pl.col("CustomerID").cast(pl.Float64), pl.col("InvoiceDate").cast(pl.Datetime("us")))
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def sheet(lines: Sequence[Line]) -> list[Sequence[Any]]:
    """As the workbook has it: codes of digits only are numbers."""
    numbers = [[int(v) if isinstance(v, str) and v.isdigit() else v for v in line] for line in lines]
    return [SECOND, *([*line, "United Kingdom"] for line in numbers)]


BOOK = workbook({"Year 2009-2010": sheet(LINES[:6]), "Year 2010-2011": sheet(LINES)})


@pytest.fixture
def shop(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk(first_day=date(2011, 1, 1), currency="GBP", time_zone="Europe/London")


def test_events(shop: Desk) -> None:
    _, report = shop.take(shop.put("online_retail.parquet", parquet_of(LINES)), "online_retail")
    assert (report.rows, report.clean, reasons(report)) == (15, 9, {"not_a_product": NOT_PRODUCTS})
    assert report.ignored == ("Country",)
    landed = shop.landed()
    rejected = landed.filter(pl.col("problem").is_not_null())
    assert rejected["order_id"].to_list() == ["536366", "C536369", "A563185", "A563186", "536370", "536371"]
    keys = shop.home.keys
    first, second, third, anonymous = landed.head(4).iter_rows(named=True)
    assert [row["product_id"] for row in (first, second, third)] == ["85123A"] * 3
    assert first["event_id"] != second["event_id"]
    assert (first["user_key"], first["anon_key"]) == (keys.user_key("17850"), None)
    assert (first["session_id"], first["order_id"]) == (keys.session_key("536365"), "536365")
    assert first["event_time"] == datetime(2011, 1, 13, 8, 26, tzinfo=UTC)
    assert (first["unit_price_micros"], first["currency"]) == (2_550_000, "GBP")
    assert (anonymous["user_key"], anonymous["anon_key"]) == (None, keys.anon_key("536366"))
    assert anonymous["event_time"] == datetime(2011, 7, 1, 7, 26, tzinfo=UTC)  # summer in London
    back = landed.row(6, named=True)
    assert (back["event_type"], back["quantity"], back["order_id"]) == ("return", -6, "C536368")


def test_catalogue(shop: Desk) -> None:
    report, _ = shop.take(shop.put("online_retail.parquet", parquet_of(LINES)), "online_retail")
    assert (report.table, report.rows, report.clean) == ("landing_catalog", 4, 4)
    rows = shop.landed("catalog").sort("product_id", "event_date")
    assert rows.select("product_id", "name", "event_date", "unit_price_micros", "source_line").rows() == [
        ("22138", LANTERN, date(2011, 7, 1), 3_390_000, 4),  # and still the same on 14 August
        ("85123A", "White Hanging Heart T-Light Holder", date(2011, 1, 13), 2_550_000, 1),  # median of three
        ("85123A", "White Hanging Heart T-Light Holder", date(2011, 8, 14), 2_350_000, 15),  # 22:30 in UTC
        ("DCGSSBOY", "Boys Party Bag", date(2011, 7, 1), 3_290_000, 6),
    ]


def _own_columns() -> bytes:
    out = io.BytesIO()
    pl.read_parquet(parquet_of(LINES)).with_columns(source_line=7, problem=pl.lit("none")).write_parquet(out)
    return out.getvalue()


SPELLINGS: dict[str, bytes] = {
    "iso.csv": csv_of(LINES, iso).encode(),
    "american.csv": csv_of(LINES, us).encode(),
    "latin-1.csv": csv_of(LINES, us).encode("iso-8859-1"),
    "british.csv": csv_of(LINES, british, SECOND).encode(),
    "floats.csv": csv_of(LINES, iso).replace(",17850,", ",17850.0,").replace(",12346,", ",12346.0,").encode(),
    "short years.csv": csv_of(LINES, us).replace("/2011 ", "/11 ").encode(),
    "both years.csv": (csv_of(LINES[:6], iso) + csv_of(LINES, iso).split("\n", 1)[1]).encode(),
    "both years.xlsx": BOOK,
    "one sheet.xlsx": workbook({"Online Retail": [FIRST, *sheet(LINES)[1:]]}),
    "own columns.parquet": _own_columns(),
    "without customers.csv": csv_of([line for line in LINES if line[6] is None], us)
    .replace("\n536370", '\n"536370"')
    .encode(),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_gives_the_same_events(shop: Desk, name: str) -> None:
    shop.take(shop.put("online_retail.parquet", parquet_of(LINES)), "online_retail")
    days = shop.landed()["event_date"].unique()
    _, report = shop.take(shop.put(name, SPELLINGS[name]), "online_retail")
    assert (report.redelivered, report.clean, report.rejected, report.changed) == (report.rows, 0, {}, ())
    assert set(report.days) <= {str(day) for day in days}


@pytest.mark.parametrize("name", ["both years.csv", "both years.xlsx"])
def test_an_invoice_on_both_sheets_is_one_invoice(shop: Desk, name: str) -> None:
    _, report = shop.take(shop.put(name, SPELLINGS[name]), "online_retail")
    assert (report.rows, report.clean, report.duplicates) == (21, 9, 6)
    assert reasons(report) == {"not_a_product": NOT_PRODUCTS}


def test_rows_that_cannot_be_read(shop: Desk) -> None:
    lines = csv_of(LINES[:3], iso).splitlines(keepends=True)
    lines.insert(2, '536365,85123A,"open,6,2011-01-13 08:26:00,2.55,17850,France\n')
    lines.insert(3, "536365,85123A,x,6,13th of January,2.55,17850,France\n")
    lines.insert(4, "536365,85123A,x,six,2011-01-13 08:26:00,2.55,17850,France\n")
    lines.insert(5, "536365,85123A,x,6,2011-01-13 08:26:00,free,17850,France\n")
    lines.insert(6, "536365,,x,6,2011-01-13 08:26:00,2.55,17850,France\n")
    lines.insert(7, ",85123A,x,6,2011-01-13 08:26:00,2.55,,France\n")
    lines.insert(8, "536365,85123A,x,-6,2011-01-13 08:26:00,2.55,17850,France\n")
    catalog, events = shop.take(shop.put("day.csv", "".join(lines).encode()), "online_retail")
    assert (catalog.rows, events.rows, events.clean) == (1, 10, 3)
    assert reasons(events) == {
        "csv_malformed": 1, "event_time_unreadable": 1, "quantity_unreadable": 1, "price_unreadable": 1,
        "product_missing": 1, "person_missing": 1, "quantity_negative": 1,
    }  # fmt: skip
    assert events.rejected["event_time_unreadable"].line == 4


def test_a_date_that_is_none_tells_nothing_of_the_others(shop: Desk) -> None:
    text = csv_of(LINES, us) + "536375,22138,x,1,13/13/2011 8:26,3.39,17850,France\n"
    _, report = shop.take(shop.put("day.csv", text.encode()), "online_retail")
    assert (report.clean, report.rejected["event_time_unreadable"].rows) == (9, 1)


def test_which_codes_are_products(shop: Desk) -> None:
    no = ["POST", "DOT", "C2", "C3", "D", "M", "m", "S", "B", "BANK CHARGES", "AMAZONFEE", "CRUK", "PADS", "GIFT",
          "gift_0001_20", "ADJUST", "ADJUST2", "TEST001", "1234", "SP12"]  # fmt: skip
    yes = ["10002", "85123A", "15056bl", "79323LP", "DCGS0069", "DCGSSGIRL", "SP1002", "47503J "]
    lines: list[Line] = [("536365", code, "x", 1, at(1, 13), 1.0, 17850) for code in [*no, *yes]]
    _, report = shop.take(shop.put("codes.csv", csv_of(lines, us).encode()), "online_retail")
    assert (report.clean, reasons(report)) == (len(yes), {"not_a_product": len(no)})


EARLY = [line for line in LINES if line[4].day <= 12]
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "empty"),
    "header.csv": (csv_of([], us).encode(), "no rows"),
    "nameless.csv": (csv_of(LINES[:2], us).split("\n", 1)[1].replace(",6,", ",7,", 1).encode(), "first line"),
    "semicolons.csv": (csv_of(LINES, us).replace(",", ";").encode(), "';'"),
    "utf16.csv": (csv_of(LINES, us).encode("utf-16"), "UTF-16"),
    "other.csv": (b"InvoiceNo,Product\n1,2\n", "this one has InvoiceNo, Product"),
    "swapped.csv": (csv_of(LINES, us, (*FIRST[:3], "InvoiceDate", "Quantity", *FIRST[5:])).encode(), "in no row"),
    "either.csv": (csv_of(EARLY, us).encode(), "all can be read month first and day first"),
    "mixed.csv": ((csv_of(LINES, us) + csv_of(LINES, british).split("\n", 1)[1]).encode(), "some have the month first"),
    "words.csv": (csv_of(LINES, lambda when: f"{when:%d %b %Y}").encode(), "in no row"),
    "cut.xlsx": (BOOK[:-100], "cut short"),
    "other.xlsx": (workbook({"Notes": [["a", "b"], [1, 2]]}), "sheet Notes:1: .* this one has a, b"),
    "cut.parquet": (parquet_of(LINES)[:-9], "cut short"),
    "none.parquet": (parquet_of([]), "no rows"),
    "lines.jsonl": (b"{}\n", "reads no jsonl files"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_file_is_one_error_that_names_it(shop: Desk, name: str) -> None:
    data, words = REFUSED[name]
    path = shop.put(name, data)
    with pytest.raises(SourceError, match=words) as error:
        shop.take(path, "online_retail")
    assert str(path) in str(error.value)
    assert "17850" not in str(error.value)
    assert list(shop.lake.deliveries()) == []


def test_no_options(shop: Desk) -> None:
    with pytest.raises(SourceError, match="neither --map nor --kind"):
        shop.take(shop.put("iso.csv", SPELLINGS["iso.csv"]), "online_retail", kind="catalog")


def test_a_file_that_shows_no_price_has_a_catalogue_without_rows(shop: Desk) -> None:
    path = shop.put("returns.csv", csv_of([line for line in LINES if line[0] == "C536368"], iso).encode())
    catalog, events = shop.take(path, "online_retail")
    assert (catalog.rows, catalog.days, catalog.changed) == (0, {}, ())
    assert (events.rows, events.clean) == (1, 1)
    assert all(report.already_delivered for report in shop.take(path, "online_retail"))
