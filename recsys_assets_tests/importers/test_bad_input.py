"""Every importer against files that are not what they should be: rejected rows or one sentence, never a partial day."""

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets.importers import IMPORTERS
from recsys_assets.importers.headers import MAX_COLUMNS
from recsys_assets.importers.reports import FileReport
from recsys_assets.importers.shipped import SHIPPED
from recsys_assets_tests.importers.shop import Desk, reasons

MAPPING = """
kind = "events"
[columns]
event_time = "when"
user_id = "who"
product_id = "what"
unit_price = "price"
[constants]
event_type = "purchase"
"""
# One moment in five forms.
DATES = {
    "ISO": "2024-05-21T09:30:00",
    "month first": "05/21/2024 09:30:00",
    "day first": "21.05.2024 09:30:00",
    "seconds": "1716283800",
    "milliseconds": "1716283800000",
}


@dataclass(frozen=True)
class Sample:
    """One good file of a format: its columns with a value each, and which of them are time, person and price."""

    name: str
    row: dict[str, str]
    time: str
    person: str
    price: str | None
    dates: tuple[str, ...]
    currency: str = "EUR"
    beside: Callable[[Desk], object] = field(default=lambda _: None)

    @property
    def rows(self) -> list[dict[str, str]]:
        return [self.row | {self.person: f"{1000 + n}"} for n in range(3)]


def csv_of(rows: list[dict[str, str]], delimiter: str = ",") -> bytes:
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    quoted = [[f'"{cell}"' if delimiter in cell else cell for cell in line] for line in lines]
    return "".join(delimiter.join(line) + "\n" for line in quoted).encode()


def parquet_of(rows: list[dict[str, str]]) -> bytes:
    """Purchases of Complete Journey, with the dtypes of its columns where the values allow them."""
    frame = pl.DataFrame(rows)
    numbers = {"quantity", "sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"} & set(frame.columns)
    for name in numbers:
        cast = frame[name].cast(pl.Float64, strict=False)
        frame = frame.with_columns(cast if cast.null_count() == 0 else frame[name])
    if "transaction_timestamp" in frame.columns:
        cast = frame["transaction_timestamp"].str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
        frame = frame.with_columns(cast if cast.null_count() == 0 else frame["transaction_timestamp"])
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def products(desk: Desk) -> Path:
    names = ("product_id", "department", "brand", "product_category", "product_type", "package_size")
    out = io.BytesIO()
    pl.DataFrame([dict.fromkeys(names, "p")]).write_parquet(out)
    return desk.put("products.parquet", out.getvalue())


SAMPLES = {
    "contract": Sample(
        "day.csv",
        {"event_type": "purchase", "event_time": DATES["ISO"], "user_id": "", "product_id": "p", "unit_price": "2.49"},
        "event_time", "user_id", "unit_price", ("ISO",),
    ),
    "mapped": Sample(
        "day.csv", {"when": DATES["ISO"], "who": "", "what": "p", "price": "2.49"}, "when", "who", "price", ("ISO",)
    ),
    "complete_journey": Sample(
        "transactions.parquet",
        {"household_id": "", "basket_id": "1", "product_id": "p", "quantity": "1", "sales_value": "2.49",
         "retail_disc": "0", "coupon_disc": "0", "coupon_match_disc": "0", "transaction_timestamp": DATES["ISO"]},
        "transaction_timestamp", "household_id", "sales_value", ("ISO",), "USD", products,
    ),
    "rees46": Sample(
        "2019-Oct.csv",
        {"event_time": "2024-05-21 09:30:00 UTC", "event_type": "view", "product_id": "7", "category_id": "1",
         "category_code": "a.b", "brand": "b", "price": "2.49", "user_id": "", "user_session": "s"},
        "event_time", "user_id", "price", (), "USD",
    ),
    "retailrocket": Sample(
        "events.csv",
        {"timestamp": DATES["milliseconds"], "visitorid": "", "event": "view", "itemid": "7", "transactionid": ""},
        "timestamp", "visitorid", None, ("milliseconds",),
    ),
    "online_retail": Sample(
        "online_retail.csv",
        {"InvoiceNo": "536365", "StockCode": "85123A", "Description": "HOLDER", "Quantity": "6",
         "InvoiceDate": DATES["ISO"], "UnitPrice": "2.49", "CustomerID": "", "Country": "UK"},
        "InvoiceDate", "CustomerID", "UnitPrice", ("ISO",), "GBP",
    ),
    "shopify": Sample(
        "orders.csv",
        {"Name": "#1", "Email": "", "Financial Status": "paid", "Created at": DATES["ISO"], "Lineitem quantity": "1",
         "Lineitem name": "Cup", "Lineitem price": "2.49"},
        "Created at", "Email", "Lineitem price", ("ISO",),
    ),
    "woocommerce": Sample(
        "orders.csv",
        {"Order Number": "1", "Order Status": "completed", "Order Date": DATES["ISO"], "Customer User ID": "",
         "SKU": "p", "Quantity": "1", "Item Cost": "2.49"},
        "Order Date", "Customer User ID", "Item Cost", ("ISO",),
    ),
    "magento": Sample(
        "items.csv",
        {"item_id": "1", "parent_item_id": "", "order_id": "1", "created_at": DATES["ISO"], "customer_id": "",
         "sku": "p", "qty_ordered": "1", "price": "2.49", "status": "complete"},
        "created_at", "customer_id", "price", ("ISO",),
    ),
}  # fmt: skip
ELSEWHERE = {"ga4", "segment", "merchant_feed"}  # records and a catalogue: test_shipped.py
TEXT = [name for name, sample in SAMPLES.items() if sample.name.endswith(".csv")]


def made_of(sample: Sample, rows: list[dict[str, str]]) -> bytes:
    return csv_of(rows) if sample.name.endswith(".csv") else parquet_of(rows)


@pytest.fixture
def desk_of(make_desk: Callable[..., Desk]) -> Callable[[str], Desk]:
    """A home that counts in the currency of a format."""
    return lambda format: make_desk(currency=SAMPLES[format].currency)


def deliver(desk: Desk, format: str, data: bytes, name: str | None = None) -> FileReport | None:
    """The report on the events of one delivery, or None where it is refused; the lake says the same in either case."""
    sample = SAMPLES[format]
    sample.beside(desk)
    path = desk.put(name or sample.name, data)
    map = desk.put("shop.toml", MAPPING.encode()) if format == "mapped" else None
    said = None
    try:
        reports = desk.take(path.parent if format == "complete_journey" else path, format, map=map)
    except SourceError as error:
        said = str(error)
    if said is not None:
        assert str(desk.folder) in said
        assert len(said) < 2_000
        assert list(desk.lake.deliveries()) == []
        assert list(desk.home.lake.rglob("*.parquet")) == []
        return None
    (report,) = (report for report in reports if report.table == "landing_events")
    assert report.rows == report.clean + sum(reasons(report).values()) + report.duplicates + report.redelivered
    assert desk.landed().height == report.rows
    return report


def test_every_importer_has_a_sample() -> None:
    assert set(SAMPLES) == set(IMPORTERS) - ELSEWHERE


@pytest.mark.parametrize("format", SAMPLES)
def test_a_good_file_lands(desk_of: Callable[[str], Desk], format: str) -> None:
    report = deliver(desk_of(format), format, made_of(SAMPLES[format], SAMPLES[format].rows))
    assert report is not None
    assert (report.rows, report.clean) == (3, 3)
    assert report.mapping


@pytest.mark.parametrize("format", SAMPLES)
@pytest.mark.parametrize("damage", ["empty", "header alone", "cut in half", "gzip cut in half", "bytes", "UTF-16"])
def test_a_damaged_file_is_refused(desk_of: Callable[[str], Desk], format: str, damage: str) -> None:
    sample = SAMPLES[format]
    good = made_of(sample, sample.rows * 50)
    zipped = gzip.compress(good)
    name = sample.name
    if damage == "gzip cut in half" and name.endswith(".csv"):
        name += ".gz"
    text = csv_of(sample.rows)
    data = {
        "empty": b"",
        "header alone": text.split(b"\n")[0] + b"\n",
        "cut in half": good[: len(good) // 2 + 3],
        "gzip cut in half": zipped[: len(zipped) // 2],
        "bytes": bytes(range(256)) * 40,
        "UTF-16": text.decode().encode("utf-16"),
    }[damage]
    report = deliver(desk_of(format), format, data, name)
    if damage == "cut in half" and name.endswith(".csv"):  # nothing tells but the last line
        assert report is not None
        assert sum(reasons(report).values()) <= 1
    else:
        assert report is None


@pytest.mark.parametrize("format", [name for name in TEXT if name not in SHIPPED])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_named(desk_of: Callable[[str], Desk], format: str, delimiter: str) -> None:
    desk, sample = desk_of(format), SAMPLES[format]
    path = desk.put(sample.name, csv_of(sample.rows, delimiter))
    map = desk.put("shop.toml", MAPPING.encode()) if format == "mapped" else None
    with pytest.raises(SourceError, match=r"the header has one column .*: is the delimiter"):
        desk.take(path, format, map=map)
    assert list(desk.lake.deliveries()) == []


@pytest.mark.parametrize("format", TEXT)
def test_a_file_without_a_header_is_refused_and_nobody_in_it_is_named(
    desk_of: Callable[[str], Desk], format: str
) -> None:
    desk, sample = desk_of(format), SAMPLES[format]
    rows = [row | {sample.person: "anna@example.org"} for row in sample.rows]
    path = desk.put(sample.name, csv_of(rows).split(b"\n", 1)[1])
    map = desk.put("shop.toml", MAPPING.encode()) if format == "mapped" else None
    with pytest.raises(SourceError) as error:
        desk.take(path, format, map=map)
    assert "anna" not in str(error.value)
    assert list(desk.lake.deliveries()) == []


@pytest.mark.parametrize("format", TEXT)
def test_another_encoding_costs_its_rows(desk_of: Callable[[str], Desk], format: str) -> None:
    sample = SAMPLES[format]
    text = next(
        name
        for name in ("event_type", "what", "event", "Description", "Lineitem name", "SKU", "sku")
        if name in sample.row
    )
    text = "product_id" if "product_id" in sample.row else text
    rows = [*sample.rows, sample.row | {sample.person: "9", text: "Käse"}]
    report = deliver(desk_of(format), format, csv_of(rows).decode().encode("latin-1"))
    assert report is not None
    assert reasons(report) == ({} if format == "online_retail" else {"not_utf8": 1})


@pytest.mark.parametrize("format", SAMPLES)
def test_swapped_columns_land_no_clean_event(desk_of: Callable[[str], Desk], format: str) -> None:
    sample = SAMPLES[format]
    rows = [row | {sample.time: row[sample.person], sample.person: row[sample.time]} for row in sample.rows]
    report = deliver(desk_of(format), format, made_of(sample, rows))
    assert report is None or report.clean == 0


@pytest.mark.parametrize("format", SAMPLES)
def test_columns_without_end_are_refused_at_once(desk_of: Callable[[str], Desk], format: str) -> None:
    desk, sample = desk_of(format), SAMPLES[format]
    if sample.name.endswith(".parquet"):
        wide = pl.DataFrame([pl.Series(f"c{n}", [1]) for n in range(MAX_COLUMNS + 1)])
        out = io.BytesIO()
        wide.write_parquet(out)
        assert deliver(desk, format, out.getvalue()) is None
        return
    for count in (1_000_000, 100_000):  # the one line is too long, the other is not
        assert deliver(desk, format, b",".join(b"c%d" % n for n in range(count)) + b"\n") is None


@pytest.mark.parametrize("format", SAMPLES)
@pytest.mark.parametrize("form", DATES)
def test_dates_that_a_format_does_not_promise_land_no_clean_event(
    desk_of: Callable[[str], Desk], format: str, form: str
) -> None:
    sample = SAMPLES[format]
    rows = [row | {sample.time: DATES[form]} for row in sample.rows]
    report = deliver(desk_of(format), format, made_of(sample, rows))
    if form in sample.dates:
        assert report is not None
        assert report.clean == 3
        assert report.days == {"2024-05-21": 3}
    elif report is not None:
        if format == "online_retail" and form == "month first":  # Online Retail II has such dates
            assert report.days == {"2024-05-21": 3}
        else:
            assert reasons(report) == {"event_time_unreadable": 3}


@pytest.mark.parametrize("format", [name for name, sample in SAMPLES.items() if sample.price])
def test_decimal_commas_are_not_prices(desk_of: Callable[[str], Desk], format: str) -> None:
    sample = SAMPLES[format]
    rows = [row | {str(sample.price): "2,49"} for row in sample.rows]
    report = deliver(desk_of(format), format, made_of(sample, rows))
    assert report is None or reasons(report) == {"price_unreadable": 3}


@pytest.mark.parametrize("format", SAMPLES)
def test_a_currency_without_a_rate(make_desk: Callable[..., Desk], format: str) -> None:
    sample = SAMPLES[format]
    if format == "contract":
        sample = replace(sample, row=sample.row | {"currency": "XTS"})
    report = deliver(make_desk(currency="EUR"), format, made_of(sample, sample.rows))
    assert report is not None
    foreign = format == "contract" or sample.currency != "EUR"
    assert reasons(report) == ({"currency_without_rate": 3} if foreign else {})
