"""UCI Online Retail I and II: invoices of a British gift shop, as .xlsx (all sheets), CSV or Parquet.

Columns of I: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID; of II: Invoice,
StockCode, Description, Quantity, InvoiceDate, Price, "Customer ID". Country is not read. CSV is UTF-8 or ISO-8859-1.
Dates are ISO ("2010-12-01 08:26:00") or have slashes; whether the month or the day comes first is what all dates of
the file allow, and a file that allows both is refused. Times are London's, prices pounds.

An invoice is order and session. One that begins with C is a return. Lines without a customer belong to an anonymous
person of that one invoice. Codes are compared in capitals ("85123a" is 85123A). Codes of products are five digits with
or without letters behind, DCGS with more (the shop's second label) and SP with four digits. `not_a_product` rejects

- lines of other codes: postage and carriage (POST, DOT, C2, C3), D (discount), M (manual), S (samples), B (bad debt),
  BANK CHARGES, AMAZONFEE, CRUK (donation), PADS, GIFT and gift_0001_… (vouchers), ADJUST…, TEST…;
- invoices that begin with A: bad debt;
- lines at price 0 without a customer: stock corrections ("damaged", "found", "check"), most with a negative quantity.

Lines of one invoice stand together. An invoice met again further down is the same one again and its lines are
duplicates: the two sheets of II share the first days of December 2010. Line for line, I and II, and a file as .xlsx,
CSV or Parquet, give the same events, so that one after the other is recognised as redelivered.

The catalogue, since the shop publishes none, has one row per product and London day on which its price differs from
its last one: the median price of the day's sale lines above 0 (larger quantities cost less; a day's customers decide).
The name is the description of most sale lines, the first in the alphabet of equally many; descriptions in capitals are
written as people write. There are no categories or brands.
"""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from recsys_assets.contract import EVENT_FIELDS, PRODUCT_FIELDS, Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS, Piece, Raw
from recsys_assets.importers.columns import as_field
from recsys_assets.importers.complete_journey import readable
from recsys_assets.importers.contract import numbered
from recsys_assets.importers.files import expand, layout_of, read_parquet, read_xlsx
from recsys_assets.importers.published import changes, demand_columns, demand_form, demand_no_options, middle
from recsys_assets.importers.text import read_csv
from recsys_assets.logic.landing import as_time, by_value
from recsys_assets.logic.parsing import parse_micros, parse_whole
from recsys_assets.tables import MICROS

ZONE = "Europe/London"
_KNOWN = {field.name: field for field in (*PRODUCT_FIELDS, *EVENT_FIELDS)}
_FIELDS = {
    "InvoiceNo": _KNOWN["order_id"], "StockCode": _KNOWN["product_id"], "Description": _KNOWN["name"],
    "Quantity": _KNOWN["quantity"], "InvoiceDate": _KNOWN["event_time"], "UnitPrice": _KNOWN["unit_price"],
    "CustomerID": _KNOWN["user_id"],
}  # fmt: skip
_SECOND = {"Invoice": "InvoiceNo", "Price": "UnitPrice", "Customer ID": "CustomerID"}  # II's names
_PRODUCT = r"^(\d{5}|DCGS|SP\d{4})"
_ISO = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d"
_SLASHES = r"^(\d{1,2})/(\d{1,2})/(\d{4}|\d\d) (\d{1,2}:\d\d)(:\d\d)?$"
_NOBODY = ("", "nan", "null", "none", "<na>")  # what programs write where there is no customer
_MAX_ID = 128
_EVENT_MAPPING = tuple((name, field.name) for name, field in _FIELDS.items() if name != "Description")
_CATALOG_MAPPING = (("StockCode", "product_id"), ("Description", "name"), ("UnitPrice", "unit_price"))
_NOTES = (
    "Invoice, Price and Customer ID are II's names of InvoiceNo, UnitPrice and CustomerID",
    "a line without a customer is one of an anonymous person of that invoice",
    f"times are {ZONE}'s",
    "currency is GBP",
)


class OnlineRetailImporter:
    """`online_retail`: the .xlsx, CSV or Parquet files of Online Retail I and II."""

    what = "UCI Online Retail I and II: .xlsx, CSV or Parquet"

    def pieces(self, path: str) -> list[Piece]:
        """A catalogue and events per file."""
        files = expand(path, ("xlsx", "csv", "parquet"))
        return [piece for file in files for piece in (Piece((file,), "catalog"), Piece((file,), "events"))]

    def read(self, piece: Piece, mapping: Path | None, kind: Kind | None) -> Raw:
        """Every line as an event, or the catalogue that the lines show.

        Raises:
            SourceError: the file cannot be read, is not of this shop, or its dates can be read in two ways.
        """
        demand_no_options("online_retail", mapping, kind)
        path = piece.files[0]
        sent = _sent(path)
        lines = _lines(path, sent)
        if piece.kind == "catalog":
            return Raw("catalog", _catalog(lines), mapping=_CATALOG_MAPPING, notes=_NOTES)
        other = [name for name in sent.columns if name not in _FIELDS and name not in RAW_COLUMNS]
        return Raw("events", _events(lines), tuple(sorted(other)), _EVENT_MAPPING, _NOTES)


def _sent(path: Path) -> pl.DataFrame:
    """The file's rows under I's names, as text (a Parquet file's dates may be dates), and `RAW_COLUMNS`."""
    layout = layout_of(path)
    if layout == "csv":
        sent = read_csv(path)
        if (sent["problem"] == "not_utf8").any():  # the pound sign of a voucher
            sent = read_csv(path, encoding="iso-8859-1")
        return _named(path, sent)
    if layout == "parquet":
        sent = _named(path, read_parquet(path).drop(RAW_COLUMNS, strict=False))
        if sent.height == 0:
            raise SourceError(f"{path}: the file holds no rows. Deliver it again, or remove it.")
        made = [as_field(sent[name], field, path, ZoneInfo(ZONE)) for name, field in _FIELDS.items()]
        return numbered(sent, _FIELDS).hstack(made).hstack(sent.drop(_FIELDS))
    sheets = [_named(f"{path}, sheet {name}", sheet) for name, sheet in read_xlsx(path)]
    sent = pl.concat(sheets, how="diagonal").drop(RAW_COLUMNS, strict=False)
    return numbered(sent, _FIELDS).hstack(sent).filter(~pl.all_horizontal(pl.col(*_FIELDS).is_null()))


def _named(where: Path | str, sent: pl.DataFrame) -> pl.DataFrame:
    sent = sent.rename({second: first for second, first in _SECOND.items() if first not in sent.columns}, strict=False)
    demand_columns(where, sent.columns, list(_FIELDS), "a file of Online Retail")
    return sent


def _lines(path: Path, sent: pl.DataFrame) -> pl.DataFrame:
    """The rows in one spelling, with `_time`, `_product` (whether one is sold or returned) and `_back`."""
    price = by_value(_text(sent["UnitPrice"]), parse_micros, pl.Int64())
    lines = sent.select(
        "Description",
        _text(sent["Quantity"]),
        _text(sent["UnitPrice"]),
        _code(sent["InvoiceNo"]),
        _code(sent["StockCode"]),
        _code(sent["CustomerID"]),
        _times(path, sent["InvoiceDate"]).alias("_time"),
        sent["InvoiceDate"].is_not_null().alias("_dated"),
        price.alias("_price"),
        *RAW_COLUMNS,
    )
    customer, invoice = pl.col("CustomerID"), pl.col("InvoiceNo")
    lines = lines.with_columns(pl.when(~customer.str.to_lowercase().is_in(_NOBODY)).then(customer).alias("CustomerID"))
    correction = (pl.col("_price") == 0) & customer.is_null()
    sold = pl.col("StockCode").str.contains(_PRODUCT) & ~invoice.str.starts_with("A").fill_null(False) & ~correction
    return lines.with_columns(
        sold.fill_null(True).alias("_product"), invoice.str.starts_with("C").fill_null(False).alias("_back")
    )


def _text(series: pl.Series) -> pl.Series:
    return series.cast(pl.String).str.strip_chars()


def _code(series: pl.Series) -> pl.Series:
    """Ids in capitals; 17850.0 is the 17850 of a program that had to leave cells empty."""
    return _text(series).str.replace(r"^(\d+)\.0$", "$1").str.to_uppercase()


def _times(path: Path, when: pl.Series) -> pl.Series:
    if when.dtype.is_temporal():
        return when
    text = _text(when)
    parts = text.str.extract_groups(_SLASHES)
    first, second = (parts.struct.field(place).cast(pl.Int64) for place in ("1", "2"))
    if first.null_count() == len(first):
        demand_form(path, text.alias(when.name), _ISO, "2010-12-01 08:26:00")
        return as_time(text, ZoneInfo(ZONE))
    by_month, by_day = not ((first > 12) & (second <= 12)).any(), not ((second > 12) & (first <= 12)).any()
    if by_month == by_day:
        why = "all can be read month first and day first" if by_day else "some have the month first, some the day"
        raise SourceError(
            f"{path}: the dates in {when.name} cannot be told: {why}. "
            "Write them as 2010-12-01 08:26, or import with `mapped --map FILE`, which names their format."
        )
    seconds = text.str.replace(r"/(\d\d) ", "/20$1 ").str.replace(r" (\d{1,2}:\d\d)$", " $1:00")
    local = seconds.str.to_datetime("%m/%d/%Y %H:%M:%S" if by_month else "%d/%m/%Y %H:%M:%S", strict=False)
    return as_time(local, ZoneInfo(ZONE))


def _events(lines: pl.DataFrame) -> pl.DataFrame:
    invoice, customer = pl.col("InvoiceNo"), pl.col("CustomerID")
    units = by_value(lines["Quantity"], parse_whole, pl.Int64())
    minute = pl.col("_time").dt.strftime("%Y%m%dT%H%M")
    content = pl.concat_str(invoice, "StockCode", units, "_price", minute, separator="/")
    lines = lines.with_columns(content.alias("_content"), invoice.forward_fill().rle_id().alias("_run"))
    again = pl.int_range(1, pl.len() + 1).over("_content", "_run").cast(pl.String)
    event_id = pl.concat_str("_content", again, separator="/")
    return lines.select(
        pl.when(event_id.str.len_bytes() <= _MAX_ID).then(event_id).alias("event_id"),
        pl.when(pl.col("_back")).then(pl.lit("return")).otherwise(pl.lit("purchase")).alias("event_type"),
        pl.col("_time").alias("event_time"),
        customer.alias("user_id"),
        pl.when(customer.is_null()).then(invoice).alias("anon_id"),
        invoice.alias("session_id"),
        pl.col("StockCode").alias("product_id"),
        pl.col("Quantity").alias("quantity"),
        pl.col("UnitPrice").alias("unit_price"),
        pl.lit("GBP").alias("currency"),
        invoice.alias("order_id"),
        "source_line",
        "source_offset",
        pl.coalesce(
            "problem",
            pl.when(pl.col("_dated") & pl.col("_time").is_null()).then(pl.lit("event_time_unreadable")),
            pl.when(~pl.col("_product")).then(pl.lit("not_a_product")),
        ).alias("problem"),
        "_line",
    )


def _catalog(lines: pl.DataFrame) -> pl.DataFrame:
    sold = lines.filter(
        pl.col("problem").is_null(), pl.col("StockCode").is_not_null(), pl.col("_product"), ~pl.col("_back"),
        pl.col("_price") > 0, ~pl.col("Quantity").str.starts_with("-"), pl.col("_time").is_not_null(),
    ).rename({"StockCode": "product_id"})  # fmt: skip
    day = pl.col("_time").dt.convert_time_zone(ZONE).dt.date().alias("_day")
    daily = (
        sold.group_by("product_id", day)
        .agg(
            pl.col("_time").min().alias("updated_at"),
            middle(pl.col("_price")),
            pl.col("source_line", "source_offset").min(),  # of the day's first line
        )
        .sort("product_id", "_day")
    )
    names = (
        sold.select("product_id", _text(sold["Description"]).str.replace_all(r"\s+", " ").alias("name"))
        .drop_nulls()
        .group_by("product_id", "name")
        .len()
        .sort("product_id", "len", "name", descending=[False, True, False])
        .unique("product_id", keep="first", maintain_order=True)
        .select("product_id", pl.col("name").map_elements(_spoken, return_dtype=pl.String))
    )
    made = changes(daily, ["_price"]).join(names, on="product_id", how="left").sort("updated_at", "product_id")
    return made.select(
        "product_id",
        "name",
        (pl.col("_price") / MICROS).alias("unit_price"),
        pl.lit("GBP").alias("currency"),
        "updated_at",
        "source_line",
        "source_offset",
        *(pl.lit(None, dtype=pl.String).alias(name) for name in ("problem", "_line")),
    )


def _spoken(description: str) -> str:
    return readable(description) if re.fullmatch(r"[^a-z]*", description) else description
