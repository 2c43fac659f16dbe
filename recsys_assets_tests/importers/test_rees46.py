"""REES46: events as they are, and the catalogue that their prices show."""

import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime

import polars as pl
import pyarrow as pa
import pytest

from recsys_assets.errors import SourceError
from recsys_assets.importers.rees46 import COLUMNS, category_path
from recsys_assets_tests.importers.shop import Desk, reasons

PHONE, SOFA, CREAM = "electronics.smartphone", "furniture.living_room.sofa", ""


def row(when: str, event_type: str, product: str, price: str, code: str = PHONE, brand: str = "apple") -> str:
    return f"2019-10-{when} UTC,{event_type},{product},2053013555631882655,{code},{brand},{price},541312140,72d76fde\n"


HEADER = ",".join(COLUMNS) + "\n"
ROWS = [
    row("01 00:00:04", "view", "1004237", "1081.98"),
    row("01 00:00:09", "cart", "1004237", "1081.98"),
    row("01 00:01:00", "remove_from_cart", "1004237", "1081.98"),
    row("01 00:02:00", "purchase", "1004237", "1000.00"),
    row("01 00:03:00", "share", "1004237", "1081.98"),
    row("02 10:00:00", "view", "1004237", "0.00"),  # no price: the last one holds
    row("03 10:00:00", "view", "1004237", "999.00", code=""),  # no code: the last one holds
    row("03 11:00:00", "view", "1004237", "999.02"),
    row("01 05:00:00", "view", "17200506", "543.10", SOFA, ""),
    row("01 06:00:00", "view", "44600062", "0.00", CREAM, "shiseido"),
    row("01 07:00:00", "view", "7", "", CREAM, ""),
]
FILE = (HEADER + "".join(ROWS)).encode()


@pytest.fixture
def store(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk(first_day=date(2019, 10, 1), currency="USD")


def test_events(store: Desk) -> None:
    _, report = store.take(store.put("2019-Oct.csv", FILE), "rees46")
    assert (report.rows, report.clean, reasons(report)) == (11, 10, {"event_type_unknown": 1})
    assert report.ignored == ("category_id",)
    landed = store.landed()
    assert landed["event_type"].to_list()[:5] == ["view", "add_to_cart", "remove_from_cart", "purchase", "share"]
    bought = landed.row(3, named=True)
    keys = store.home.keys
    assert (bought["event_time"], bought["product_id"]) == (datetime(2019, 10, 1, 0, 2, tzinfo=UTC), "1004237")
    assert (bought["user_key"], bought["session_id"]) == (keys.user_key("541312140"), keys.session_key("72d76fde"))
    assert (bought["unit_price_micros"], bought["currency"], bought["order_id"]) == (1_000_000_000, "USD", None)
    assert (bought["source_line"], bought["source_offset"]) == (5, len(HEADER + "".join(ROWS[:3])))


def test_catalogue_has_a_row_where_something_differs(store: Desk) -> None:
    report, _ = store.take(store.put("2019-Oct.csv", FILE), "rees46")
    assert (report.table, report.rows, report.clean) == ("landing_catalog", 5, 5)
    rows = store.landed("catalog").sort("product_id", "updated_at")
    assert rows.select("product_id", "updated_at", "unit_price_micros", "source_line").rows() == [
        ("1004237", datetime(2019, 10, 1, 0, 0, 4, tzinfo=UTC), 1_081_980_000, 2),  # the median of five
        ("1004237", datetime(2019, 10, 3, 10, tzinfo=UTC), 999_010_000, 8),  # of two
        ("17200506", datetime(2019, 10, 1, 5, tzinfo=UTC), 543_100_000, 10),
        ("44600062", datetime(2019, 10, 1, 6, tzinfo=UTC), None, 11),
        ("7", datetime(2019, 10, 1, 7, tzinfo=UTC), None, 12),
    ]
    facts = rows.unique("product_id").sort("product_id").select("name", "category", "brand").rows()
    assert facts == [
        ("Apple Smartphone", "Electronics > Smartphone", "apple"),
        ("Sofa", "Furniture > Living Room > Sofa", None),
        ("Shiseido", None, "shiseido"),
        (None, None, None),
    ]


def test_order_of_the_lines_changes_neither(store: Desk) -> None:
    store.take(store.put("a.csv", FILE), "rees46")
    facts = ["product_id", "updated_at", "unit_price_micros", "name", "category", "row_hash"]
    first = store.landed("catalog").select(facts).sort(facts)
    catalog, events = store.take(store.put("b.csv", (HEADER + "".join(ROWS[::-1])).encode()), "rees46")
    both = store.landed("catalog")
    assert both.filter(pl.col("source_file") == catalog.file_id).select(facts).sort(facts).equals(first)
    assert (events.redelivered, events.clean) == (11, 0)


@pytest.mark.parametrize("name", ["2019-Oct.csv.gz", "2019-Oct.csv.zst"])
def test_compressed(store: Desk, name: str) -> None:
    zst: bytes = pa.compress(FILE, codec="zstd", asbytes=True)
    _, report = store.take(store.put(name, gzip.compress(FILE) if name.endswith("gz") else zst), "rees46")
    assert (report.rows, report.clean) == (11, 10)


def test_a_line_that_ends_early_is_one_rejected_row(store: Desk) -> None:
    catalog, events = store.take(store.put("cut.csv", FILE[:-30]), "rees46")
    assert (catalog.rows, catalog.rejected) == (4, {})
    assert (events.rows, reasons(events)) == (11, {"csv_malformed": 1, "event_type_unknown": 1})


SWAPPED = HEADER.replace("event_time", "x").replace("user_id", "event_time").replace("x", "user_id")
REFUSED = {
    "empty.csv": (b"", "empty"),
    "header.csv": (HEADER.encode(), "no rows"),
    "nameless.csv": ("".join(ROWS).replace(",,", ",x,").encode(), "looks like data"),
    "other.csv": (b"event_time,user,item\n2019-10-01 00:00:00 UTC,1,2\n", "this one has event_time, user, item"),
    "semicolons.csv": (FILE.replace(b",", b";"), "';'"),
    "swapped.csv": ((SWAPPED + "".join(ROWS)).encode(), "event_time is in no row"),
    "iso.csv": (FILE.replace(b" UTC", b""), "event_time is in no row"),
    "utf16.csv": (FILE.decode().encode("utf-16"), "UTF-16"),
    "cut.csv.gz": (gzip.compress(FILE)[:-30], "cut short"),
    "month.parquet": (b"PAR1", "reads no parquet files"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_file_is_one_error_that_names_it(store: Desk, name: str) -> None:
    data, words = REFUSED[name]
    path = store.put(name, data)
    with pytest.raises(SourceError, match=words) as error:
        store.take(path, "rees46")
    assert str(path) in str(error.value)
    assert "541312140" not in str(error.value)  # people's ids are not repeated
    assert list(store.lake.deliveries()) == []


def test_no_options(store: Desk) -> None:
    with pytest.raises(SourceError, match="neither --map nor --kind"):
        store.take(store.put("2019-Oct.csv", FILE), "rees46", kind="events")


@pytest.mark.parametrize(
    ("code", "path"), [("apparel.shoes.keds", "Apparel > Shoes > Keds"), ("toys", "Toys"), ("..", None), ("_", None)]
)
def test_category_path(code: str, path: str | None) -> None:
    assert category_path(code) == path
