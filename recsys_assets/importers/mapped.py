r"""A mapping file (TOML) says which column of a CSV, JSON Lines, Parquet or .xlsx file is which field of the contract.

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
format = "%d/%m/%Y %H:%M"        # strptime's letters, "iso" (default), "epoch_seconds", "epoch_milliseconds",
                                 # "epoch_microseconds", "epoch_nanoseconds", "excel" (days); or a list of them
zone = "Europe/London"           # of times without offset; default UTC

[numbers]                        # 1.234,56 €; what is written in another way is unreadable
decimal = ","                    # default "."
grouping = "."                   # between groups of three digits; also "," " " "'"; default none
symbols = ["€", "EUR"]           # that may stand before or behind

[booleans]                       # beside true, false, 1, 0, yes, no, y, n, on, off and those of some languages
true = ["oui"]
false = ["non"]

[csv]
delimiter = ","                  # a line sep=; at the start of the file says it too
quote = '"'                      # "" where quotes mean nothing
escape = ""                      # "\\" for MySQL's \" and \N
encoding = "utf-8"               # or "latin-1", "cp1252"
comment = ""                     # lines that start with it are no rows
skip = 0                         # lines before the header
null = ["\\N"]                   # cells that are missing, beside empty ones

[where]                          # rows by value; those that do not count are counted in the report
keep = { status = ["completed", "processing"] }
drop = { test = ["true"] }

[ids]
placeholders = ["undefined"]     # nobody, in any case; default: undefined, null, nan, … and for people 0 and -1
trim = false                     # true: "A-100 " is A-100
trailing_zero = "auto"           # 17850.0 is 17850 where all ids of the column are so; "cut" or "keep"

[price]
total = "Amount"                 # unit_price = this column ÷ quantity, instead of [columns] unit_price

[returns]
negative_quantity = true         # a purchase with a negative quantity is a return

[join.orders]                    # another file of the same folder, whose columns are read too: one row per order_id
file = "orders.csv"
on = "order_id"

[sql]                            # only for the format sql, whose PATH is a database's URL
table = "shop.orders"            # or query = "select …"
since = "inserted_at"            # a column that only grows: read only what is new (optional)
```

In JSON Lines and nested Parquet a column may be a path: `properties.product_id`; `products[].sku`, which makes a row of
each element of the list; `event_params[ga_session_id]`, the value of a key in a list of keys and values;
`user.id|user.email`, the first that is there (in CSV too). An empty text is a missing value. An `event_id` ends in -2,
-3, … in the further rows of a record.

Where `order_id` is a column, further lines of an order that leave blank its person, time, type or currency take them
from the order's line above; the report says so.

Only `kind` and `[columns]` are needed (and `[sql]` for a database). A local time that a clock change repeats is its
first occurrence; with a `format`, one that a clock change skips is unreadable, and so is a time that two formats of a
list read differently. `decimal_comma = true` is short for `decimal = ","` and `grouping = "."`. Shops whose guests all
have the id 0 name the order as the anonymous person: `anon_id = "order_id"`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
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
from recsys_assets.importers.mapping import MappingFile, Sql, load_mapping
from recsys_assets.importers.nested import Records, flatten, read_records, routes_of
from recsys_assets.importers.orders import first_of, inherit
from recsys_assets.logic.landing import by_value

_NEEDED = {"event_type", "event_time", "product_id", "date", "rate"}  # fields without which no row is of use


class MappedImporter:
    """`mapped`: any CSV, JSON Lines or Parquet with a mapping file."""

    what = "any CSV, JSON Lines, Parquet or .xlsx file, with a mapping file (--map)"

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
        sent = read_sent(path, rules)
        demand_columns(str(path), mapping, rules, sent.there)
        raw = map_rows(path, sent.frame, rules)
        return replace(raw, ignored=sent.ignored, warnings=(*sent.warnings, *raw.warnings), counted=sent.counted)


@dataclass(frozen=True)
class Sent:
    """The asked columns of a file and `RAW_COLUMNS`; which columns it has, and has for nothing."""

    frame: pl.DataFrame
    there: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    counted: str = ""


def read_sent(path: Path, rules: MappingFile) -> Sent:
    """What a mapping asks of a file.

    Raises:
        SourceError: the file cannot be read, or holds no rows.
    """
    layout, asked, warnings, counted = layout_of(path), rules.asked, tuple[str, ...](), ""
    if layout == "jsonl":
        return _from_records(read_records(path, rules.fields_asked), rules)
    if layout == "csv":
        table = read_table(path, rules.csv)
        sent, warnings, counted = table.frame, table.warnings, table.counted
        refuse_twice(path, sent.columns, asked)
    else:
        sent = read_parquet(path) if layout == "parquet" else from_sheets(path)
    if sent.height == 0:
        raise SourceError(f"{path}: the file holds no rows. Deliver it again, or remove it.")
    for join in rules.join.values():
        sent, said = join.add(path, sent, rules.csv)
        warnings += said
    for column in asked:
        sent = first_of(sent, column)
    there = tuple(name for name in sent.columns if name not in RAW_COLUMNS)
    read = {name.strip() for column in asked for name in (column, *column.split("|"))}
    ignored = tuple(name for name in there if name not in read)
    if layout == "parquet" and not set(asked) <= set(there):
        if any(dtype.is_nested() for dtype in sent.dtypes):
            return _from_records(flatten(sent, rules.fields_asked), rules)
    elif layout == "parquet":
        sent = _with_lines(sent, asked)
    return Sent(sent, there, ignored, warnings, counted)


def _from_records(records: Records, rules: MappingFile) -> Sent:
    """Columns of records, of which an optional one may be in none of a file's."""
    filled = {path: {field for field, column in rules.columns.items() if column == path} for path in rules.asked}
    optional = [path for path in records.absent if filled[path] and not filled[path] & _NEEDED]
    tops = {step.name for path in rules.asked for route in routes_of(path) for step in route[:1]} | set(rules.asked)
    return Sent(
        records.frame,
        (*records.names, *(path for path in rules.asked if path not in records.absent or path in optional)),
        tuple(name for name in records.names if name not in tops),
        tuple(f"no record has {path}" for path in optional),
        records.counted,
    )


def files_beside(mapping: Path, piece: Piece) -> tuple[Path, ...]:
    """Other files that decide what a mapping makes of one.

    Raises:
        SourceError: the mapping is wrong, or one of them is not there.
    """
    return tuple(join.beside(piece.files[0]) for join in load_mapping(mapping).join.values())


def demand_columns(where: str, mapping: Path, rules: MappingFile, there: Collection[str]) -> None:
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


def map_rows(path: Path, sent: pl.DataFrame, rules: MappingFile, plain: Collection[str] = ()) -> Raw:
    """Rows as sent, with `RAW_COLUMNS` → those that count, and what is to be said of them (see `apply_mapping`)."""
    sent, inherited = inherit(sent, rules)
    kept, dropped, warnings = rules.where.split(sent)
    frame = apply_mapping(path, kept, rules, plain)
    for target, name in rules.columns.items():
        if target in ("event_time", "updated_at"):
            warnings += rules.time.exchanged(kept[name], frame[target], target)
    return Raw(
        rules.kind,
        frame,
        mapping=tuple(rules.asked.items()),
        notes=(*rules.notes(), *inherited),
        warnings=warnings,
        dropped=dropped,
        ids=rules.ids,
    )


def apply_mapping(path: Path, sent: pl.DataFrame, rules: MappingFile, plain: Collection[str] = ()) -> pl.DataFrame:
    """Rows as sent, with `RAW_COLUMNS` → contract columns, with `RAW_COLUMNS`.

    ``plain`` names text columns whose numbers have a decimal point whatever the mapping says.
    """
    plain = {*plain, *(name for name, dtype in sent.schema.items() if dtype not in (pl.String, pl.Binary))}
    fields = {f.name: f for f in FIELDS[rules.kind]}
    zone = ZoneInfo(rules.time.zone)

    def point(series: pl.Series, name: str) -> pl.Series:
        return series if name in plain else rules.numbers.plain(series)

    made: dict[str, pl.Series] = {}
    problem = sent["problem"]
    for target, name in rules.columns.items():
        field, series = fields[target], sent[name]
        if field.type == "time":
            made[target] = rules.time.read(as_field(series, field, path, zone), zone)
            lost = series.is_not_null() & made[target].is_null() & problem.is_null()
            problem = problem.zip_with(~lost, pl.Series([f"{target}_unreadable"]))
        elif field.type == "day" and not series.dtype.is_temporal():  # it has no hour that a time zone could move
            made[target] = rules.time.read(as_field(series, field, path), ZoneInfo("UTC")).dt.strftime("%Y-%m-%d")
        elif field.type in ("money", "rate", "integer", "number"):
            made[target] = point(as_field(series, field, path), name)
        elif field.type == "boolean":
            made[target] = rules.booleans.read(as_field(series, field, path))
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
