"""A mapping file (TOML) says which column of any CSV or Parquet file is which field of the contract.

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
```

Only `kind` and `[columns]` are needed. A local time that a clock change repeats is its first occurrence; with a
`format`, one that a clock change skips is unreadable.
"""

import codecs
import tomllib
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from recsys_assets import contract
from recsys_assets.contract import FIELDS, Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS, Piece, Raw
from recsys_assets.importers.columns import as_field
from recsys_assets.importers.contract import demand, numbered
from recsys_assets.importers.files import expand, layout_of, read_parquet
from recsys_assets.importers.text import read_csv
from recsys_assets.logic.landing import as_time, by_value
from recsys_assets.tables import EVENT_TYPES

_EPOCHS = {"epoch_seconds": 1_000_000, "epoch_milliseconds": 1_000}
_LAST_SECOND = 253_402_300_799  # of the year 9999


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Time(_Section):
    """How times are written."""

    format: str = "iso"
    zone: str = "UTC"

    @field_validator("zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is not a time zone such as Europe/Berlin") from error
        return value


class Numbers(_Section):
    """How numbers are written."""

    decimal_comma: bool = False


class Csv(_Section):
    """How CSV is written."""

    delimiter: str = Field(",", min_length=1, max_length=1)
    encoding: str = "utf-8"

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError as error:
            raise ValueError(f"{value!r} is no encoding such as utf-8 or latin-1") from error
        return value


class Price(_Section):
    """Where the price of a whole line stands."""

    total: str | None = None


class Returns(_Section):
    """How returns are told."""

    negative_quantity: bool = False


class MappingFile(_Section):
    """One mapping file."""

    kind: Kind
    columns: dict[str, str]
    constants: dict[str, str | int | float | bool] = {}
    event_types: dict[str, Literal[EVENT_TYPES]] = {}  # type: ignore[valid-type] # the tuple is the one list of types
    time: Time = Time()
    numbers: Numbers = Numbers()
    csv: Csv = Csv()
    price: Price = Price()
    returns: Returns = Returns()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        fields = {f.name for f in FIELDS[self.kind]}
        strange = sorted((set(self.columns) | set(self.constants)) - fields)
        if strange:
            raise ValueError(f"no fields of {self.kind}: {', '.join(strange)}; fields are {', '.join(sorted(fields))}")
        both = sorted(set(self.columns) & set(self.constants))
        if both:
            raise ValueError(f"both column and constant: {', '.join(both)}")
        if self.price.total and ("unit_price" in self.columns or "quantity" not in self.columns):
            raise ValueError("[price] total needs a column for quantity and none for unit_price")
        return self


def load_mapping(path: Path) -> MappingFile:
    """A mapping file.

    Raises:
        SourceError: it is missing, no TOML, or says something that is not understood; every point is named.
    """
    try:
        return MappingFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceError(f"{path}: the mapping file cannot be read: {error}") from error
    except ValidationError as error:
        found = [(".".join(map(str, e["loc"])) or "mapping", e["msg"]) for e in error.errors()]
        points = [f"  {where}: {what.removeprefix('Value error, ')}" for where, what in found]
        raise SourceError(f"{path}: the mapping file is refused:\n" + "\n".join(points)) from error


class MappedImporter:
    """`mapped`: any CSV or Parquet with a mapping file."""

    what = "any CSV or Parquet file, with a mapping file (--map)"

    def pieces(self, path: str) -> list[Piece]:
        """One per file."""
        return [Piece((file,)) for file in expand(path)]

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
        if kind is not None and kind != rules.kind:
            raise SourceError(f"{mapping}: its kind is {rules.kind}, not {kind}. Leave --kind out.")
        layout = layout_of(path)
        if layout == "csv":
            sent = read_csv(path, delimiter=rules.csv.delimiter, encoding=rules.csv.encoding)
        elif layout == "parquet":
            sent = read_parquet(path)
        else:
            raise SourceError(
                f"{path}: the format mapped reads CSV and Parquet only. Import JSON Lines with `contract`."
            )
        asked = dict.fromkeys([*rules.columns.values(), *([rules.price.total] if rules.price.total else [])])
        absent = [name for name in asked if name not in sent.columns or name in RAW_COLUMNS]
        if absent:
            there = ", ".join(c for c in sent.columns if c not in RAW_COLUMNS)
            raise SourceError(f"{path}:1: {mapping} names the columns {', '.join(absent)}; the file has {there}.")
        demand(path, rules.kind, set(rules.columns) | set(rules.constants))
        if sent.height == 0:
            raise SourceError(f"{path}: the file holds no rows. Deliver it again, or remove it.")
        frame = _map(path, sent, rules) if layout == "csv" else _map(path, _with_lines(sent, asked), rules)
        return Raw(rules.kind, frame, tuple(c for c in sent.columns if c not in asked and c not in RAW_COLUMNS))


def _with_lines(sent: pl.DataFrame, asked: Iterable[str]) -> pl.DataFrame:
    return sent.select(list(asked)).hstack(numbered(sent, asked))


def _map(path: Path, sent: pl.DataFrame, rules: MappingFile) -> pl.DataFrame:
    fields = {f.name: f for f in FIELDS[rules.kind]}
    zone = ZoneInfo(rules.time.zone)
    made: dict[str, pl.Series] = {}
    problem = sent["problem"]
    for target, name in rules.columns.items():
        field, series = fields[target], sent[name]
        if field.type == "time":
            made[target] = _time(as_field(series, field, path, zone), rules.time, zone)
            lost = series.is_not_null() & made[target].is_null() & problem.is_null()
            problem = problem.zip_with(~lost, pl.Series([f"{target}_unreadable"]))
        elif field.type in ("money", "integer", "number"):
            made[target] = _point(as_field(series, field, path), rules)
        else:
            made[target] = as_field(series, field, path)
    for target, value in rules.constants.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        made[target] = pl.Series(target, [text]).new_from_index(0, sent.height)
    if rules.price.total:
        money = contract.Field("unit_price", "money", "", 0)
        total = _point(as_field(sent[rules.price.total], money, path), rules)
        made["unit_price"] = per_unit(total, made["quantity"])
    if rules.event_types and "event_type" in made:
        made["event_type"] = made["event_type"].cast(pl.String).replace(rules.event_types)
    if rules.returns.negative_quantity and "quantity" in made:
        negative = made["quantity"].cast(pl.String).str.starts_with("-").fill_null(False)
        back = negative & (made["event_type"] == "purchase").fill_null(False)
        made["event_type"] = made["event_type"].zip_with(~back, pl.Series(["return"]))
    rest = [sent["source_line"], sent["source_offset"], problem.alias("problem"), sent["_line"]]
    return pl.DataFrame([*(series.alias(name) for name, series in made.items()), *rest])


def _point(series: pl.Series, rules: MappingFile) -> pl.Series:
    if not rules.numbers.decimal_comma or series.dtype != pl.String:
        return series
    return series.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)


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
