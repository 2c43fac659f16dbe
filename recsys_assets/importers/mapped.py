"""A mapping file (TOML) says which column of any CSV, Parquet or .xlsx file is which field of the contract.

`recsys ingest mapped PATH --map FILE`, where FILE holds:

```toml
kind = "events"                  # or "catalog"

[columns]                        # contract field = the file's column
user_id = "CustomerID"
product_id = "StockCode"
event_time = "InvoiceDate"
quantity = "Quantity"
unit_price = "UnitPrice"

[constants]                      # contract field = one value for every row
event_type = "purchase"
currency = "GBP"

[event_types]                    # the file's word = event type; other words stay as they are
cart = "add_to_cart"

[time]
format = "%d/%m/%Y %H:%M"        # strptime's letters, or "iso" (default), "epoch_seconds", "epoch_milliseconds"
zone = "Europe/London"           # of times without offset; default UTC

[numbers]
decimal_comma = false            # true: 1.234,56

[csv]
delimiter = ","
encoding = "utf-8"               # or "latin-1", "cp1252"

[price]
total = "Amount"                 # unit_price = this column ÷ quantity, instead of [columns] unit_price

[returns]
negative_quantity = true         # a purchase with a negative quantity is a return

[sql]                            # only for the format sql, whose PATH is a database's URL
table = "shop.orders"            # or query = "select …"
since = "inserted_at"            # a column that only grows: read only what is new (optional)
```

Only `kind` and `[columns]` are needed (and `[sql]` for a database). A local time that a clock change repeats is its
first occurrence; with a `format`, one that a clock change skips is unreadable.
"""

from collections.abc import Collection, Iterable
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from recsys_assets import contract
from recsys_assets.contract import FIELDS, Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS, Piece, Raw
from recsys_assets.importers.columns import as_field
from recsys_assets.importers.contract import demand, from_sheets, numbered
from recsys_assets.importers.csv_files import read_table, refuse_twice
from recsys_assets.importers.files import PLAIN, expand, layout_of, read_parquet
from recsys_assets.importers.headers import describe_header
from recsys_assets.importers.mapping import MappingFile, Sql, Time, load_mapping
from recsys_assets.logic.landing import as_time, by_value

_EPOCHS = {"epoch_seconds": 1_000_000, "epoch_milliseconds": 1_000}
_LAST_SECOND = 253_402_300_799  # of the year 9999


class MappedImporter:
    """`mapped`: any CSV or Parquet with a mapping file."""

    what = "any CSV, Parquet or .xlsx file, with a mapping file (--map)"

    def pieces(self, path: str) -> list[Piece]:
        """One per file."""
        return [Piece((file,)) for file in expand(path, (*PLAIN, "xlsx"))]

    def read(self, piece: Piece, mapping: Path | None, kind: Kind | None) -> Raw:
        """All rows of one file.

        Raises:
            SourceError: the mapping is missing or wrong, or the file cannot be read or lacks one of its columns.
        """
        path = piece.files[0]
        if mapping is None:
            raise SourceError(
                "the format mapped needs a mapping file: add --map FILE (`recsys contract page` shows one)."
            )
        rules = load_mapping(mapping)
        if rules.sql != Sql():
            raise SourceError(f"{mapping}: its section [sql] belongs to the format sql. Leave it out for files.")
        if kind is not None and kind != rules.kind:
            raise SourceError(f"{mapping}: its kind is {rules.kind}, not {kind}. Leave --kind out.")
        layout, warnings, counted = layout_of(path), tuple[str, ...](), ""
        if layout == "csv":
            table = read_table(path, rules.csv)
            sent, warnings, counted = table.frame, table.warnings, table.counted
            refuse_twice(path, sent.columns, rules.asked)
        elif layout == "parquet":
            sent = read_parquet(path)
        elif layout == "xlsx":
            sent = from_sheets(path)
        else:
            raise SourceError(
                f"{path}: the format mapped reads CSV, Parquet and .xlsx. Import JSON Lines with `contract`."
            )
        asked = rules.asked
        demand_columns(str(path), mapping, rules, [c for c in sent.columns if c not in RAW_COLUMNS])
        if sent.height == 0:
            raise SourceError(f"{path}: the file holds no rows. Deliver it again, or remove it.")
        frame = apply_mapping(path, sent if layout in ("csv", "xlsx") else _with_lines(sent, asked), rules)
        ignored = tuple(c for c in sent.columns if c not in asked and c not in RAW_COLUMNS)
        return Raw(rules.kind, frame, ignored, tuple(asked.items()), rules.notes(), warnings, counted)


def demand_columns(where: str, mapping: Path, rules: MappingFile, there: list[str]) -> None:
    """Refuses what lacks a column that the mapping names, and a mapping that lacks a field.

    Raises:
        SourceError: naming the columns.
    """
    absent = [name for name in rules.asked if name not in there]
    if absent:
        what = f"{where}: {mapping} names the columns {', '.join(absent)}"
        raise SourceError(f"{what}; {describe_header(there, 'the file has ')}.")
    demand(where, rules.kind, set(rules.columns) | set(rules.constants))


def _with_lines(sent: pl.DataFrame, asked: Iterable[str]) -> pl.DataFrame:
    return sent.select(list(asked)).hstack(numbered(sent, asked))


def apply_mapping(path: Path, sent: pl.DataFrame, rules: MappingFile, plain: Collection[str] = ()) -> pl.DataFrame:
    """Rows as sent, with `RAW_COLUMNS` → contract columns, with `RAW_COLUMNS`.

    ``plain`` names text columns whose numbers have a decimal point whatever the mapping says.
    """
    plain = {*plain, *(name for name, dtype in sent.schema.items() if dtype not in (pl.String, pl.Binary))}
    fields = {f.name: f for f in FIELDS[rules.kind]}
    zone = ZoneInfo(rules.time.zone)

    def point(series: pl.Series, name: str) -> pl.Series:
        if not rules.numbers.decimal_comma or name in plain:
            return series
        return series.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)

    made: dict[str, pl.Series] = {}
    problem = sent["problem"]
    for target, name in rules.columns.items():
        field, series = fields[target], sent[name]
        if field.type == "time":
            made[target] = _time(as_field(series, field, path, zone), rules.time, zone)
            lost = series.is_not_null() & made[target].is_null() & problem.is_null()
            problem = problem.zip_with(~lost, pl.Series([f"{target}_unreadable"]))
        elif field.type == "day" and not series.dtype.is_temporal():  # it has no hour that a time zone could move
            made[target] = _time(as_field(series, field, path), rules.time, ZoneInfo("UTC")).dt.strftime("%Y-%m-%d")
        elif field.type in ("money", "rate", "integer", "number"):
            made[target] = point(as_field(series, field, path), name)
        else:
            made[target] = as_field(series, field, path)
    for target, value in rules.constants.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        made[target] = pl.Series(target, [text]).new_from_index(0, sent.height)
    if rules.price.total:
        money = contract.Field("unit_price", "money", "", 0)
        total = point(as_field(sent[rules.price.total], money, path), rules.price.total)
        made["unit_price"] = per_unit(total, made["quantity"])
    if rules.event_types and "event_type" in made:
        made["event_type"] = made["event_type"].cast(pl.String).replace(rules.event_types)
    if rules.returns.negative_quantity and "quantity" in made:
        negative = made["quantity"].cast(pl.String).str.starts_with("-").fill_null(False)
        back = negative & (made["event_type"] == "purchase").fill_null(False)
        made["event_type"] = made["event_type"].zip_with(~back, pl.Series(["return"]))
    rest = [sent["source_line"], sent["source_offset"], problem.alias("problem"), sent["_line"]]
    return pl.DataFrame([*(series.alias(name) for name, series in made.items()), *rest])


def _time(series: pl.Series, rules: Time, zone: ZoneInfo) -> pl.Series:
    if series.dtype.is_temporal():
        return series
    text = series.cast(pl.String).str.strip_chars()
    if rules.format == "iso":
        return as_time(text, zone)
    if rules.format in _EPOCHS:
        unit = _EPOCHS[rules.format]
        whole = not text.str.contains(".", literal=True).any()
        number = text.cast(pl.Int64 if whole else pl.Float64, strict=False)
        fits = (number.abs() <= _LAST_SECOND * 1_000_000 // unit).fill_null(False)
        return (number.zip_with(fits, number.clear(1)) * unit).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    return as_time(text.str.to_datetime(rules.format, strict=False, time_unit="us"), zone)


def per_unit(total: pl.Series, quantity: pl.Series) -> pl.Series:
    """Text of ``total`` ÷ ``quantity``; of ``total`` where either is no number, or the quantity is 0 or missing.

    Of a return (negative quantity) the total may bear either sign.
    """

    def divide(pair: str) -> str:
        amount, units = pair.split("\x1f")
        try:
            value, count = Decimal(amount), Decimal(units)
            return str(value / (count if value < 0 else abs(count))) if count else amount
        except ArithmeticError:  # no number, or one far out of range
            return amount

    both = pl.DataFrame([total.cast(pl.String).alias("_a"), quantity.cast(pl.String).fill_null("1").alias("_b")])
    return by_value(both.select(pl.concat_str("_a", "_b", separator="\x1f")).to_series(), divide, pl.String())
