"""Known formats that a mapping file of this package reads, with a step before it where columns do not say enough."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from recsys_assets.contract import Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers import magento, merchant, shopify, woocommerce
from recsys_assets.importers.base import RAW_COLUMNS, Piece, Raw
from recsys_assets.importers.contract import from_sheets
from recsys_assets.importers.csv_dialect import Csv
from recsys_assets.importers.csv_files import CsvTable, read_table
from recsys_assets.importers.files import BROKEN, Layout, broken, expand, layout_of, open_bytes, read_parquet
from recsys_assets.importers.headers import delimiter_of, describe_header
from recsys_assets.importers.mapped import map_rows
from recsys_assets.importers.mapping import MappingFile, load_mapping
from recsys_assets.importers.nested import flatten, read_records
from recsys_assets.importers.orders import first_of
from recsys_assets.importers.text import first_keys

MAPS = Path(__file__).with_name("maps")
_RECORDS: tuple[Layout, ...] = ("jsonl", "parquet")
_SHEETS: tuple[Layout, ...] = ("csv", "xlsx")


def _as_sent(sent: pl.DataFrame) -> pl.DataFrame:
    return sent


@dataclass(frozen=True)
class Shape:
    """One kind of file: the columns it is told by, the mapping that reads it, and the step before."""

    needs: tuple[str, ...]
    map: str
    layouts: tuple[Layout, ...] = _SHEETS
    prepare: Callable[[pl.DataFrame], pl.DataFrame] = _as_sent
    also: tuple[str, ...] = ()  # columns of records that the step before reads


@dataclass(frozen=True)
class ShippedImporter:
    """A format of several kinds of file. A mapping file that is named says only what differs, such as `[time] zone`."""

    name: str
    what: str
    shapes: tuple[Shape, ...]

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """What its files hold."""
        return tuple(dict.fromkeys(layout for shape in self.shapes for layout in shape.layouts))

    def pieces(self, path: str) -> list[Piece]:
        """One per file."""
        return [Piece((file,)) for file in expand(path, self.layouts)]

    def read(self, piece: Piece, mapping: Path | None, kind: Kind | None) -> Raw:
        """All rows of one file.

        Raises:
            SourceError: it cannot be read, or is no file of the format.
        """
        path = piece.files[0]
        if kind is not None:
            raise SourceError(f"the format {self.name} takes no --kind: its columns say it. Leave it out.")
        layout = layout_of(path)
        sheet = _sheet(path, _dialect(mapping)) if layout not in _RECORDS else None
        columns = set(sheet.frame.columns) if sheet is not None else _names(path)
        shape = next((s for s in self.shapes if layout in s.layouts and columns.issuperset(s.needs)), None)
        if shape is None:
            kinds = "; or ".join(", ".join(s.needs) for s in self.shapes if layout in s.layouts)
            raise SourceError(
                f"{path}:1: a file of {self.what} has the columns {kinds}; "
                f"{describe_header(sorted(columns - set(RAW_COLUMNS)), 'this one has ')}."
            )
        rules = load_mapping(MAPS / f"{shape.map}.toml", mapping)
        ignored, warnings = tuple[str, ...](), tuple[str, ...]()
        if sheet is None:
            fields = dict.fromkeys(shape.also) | rules.fields_asked
            records = read_records(path, fields) if layout == "jsonl" else flatten(read_parquet(path), fields)
            sent, counted = records.frame, records.counted
        else:
            sent, warnings, counted = sheet.frame, sheet.warnings, sheet.counted
            ignored = tuple(sorted(columns - _read(rules) - {*shape.needs, *RAW_COLUMNS}))
        made = _whole(shape.prepare(sent), rules)
        raw = map_rows(path, made, rules)
        said = tuple(warning for warning in raw.warnings if not warning.startswith("[where]"))
        if made.height != sent.height:
            counted = f"{counted}; {sent.height:,} rows made {made.height:,}".removeprefix("; ")
        return replace(raw, ignored=ignored, warnings=(*warnings, *said), counted=counted)


def _read(rules: MappingFile) -> set[str]:
    return {name.strip() for column in rules.asked for name in column.split("|")}


def _whole(sent: pl.DataFrame, rules: MappingFile) -> pl.DataFrame:
    """``sent`` with every column that the mapping asks for; exports leave out what a shop does not use."""
    for column in rules.asked:
        sent = first_of(sent, column)
    absent = [column for column in rules.asked if column not in sent.columns]
    return sent.with_columns(pl.lit(None, dtype=pl.String).alias(column) for column in absent)


def _names(path: Path) -> set[str]:
    return first_keys(path) if layout_of(path) == "jsonl" else set(read_parquet(path).columns)


def _dialect(mapping: Path | None) -> Csv:
    """How CSV is written, as far as the shop's own mapping file says; what is wrong with that, `load_mapping` says."""
    try:
        return Csv.model_validate(tomllib.loads(mapping.read_text(encoding="utf-8")).get("csv", {}) if mapping else {})
    except (OSError, ValueError):
        return Csv()


def _sheet(path: Path, dialect: Csv) -> CsvTable:
    if layout_of(path) == "xml":
        return CsvTable(merchant.from_xml(path), "", ())
    if layout_of(path) == "xlsx":
        return CsvTable(from_sheets(path).with_columns(pl.col(pl.String).replace("", None)), "", ())
    try:
        with open_bytes(path) as file:
            first = file.readline(1 << 16).decode("utf-8", errors="replace")
    except BROKEN as error:
        raise broken(path, error) from error
    cut = dialect.delimiter or delimiter_of(first)
    return read_table(path, dialect.model_copy(update={"delimiter": cut}))


SHIPPED: dict[str, ShippedImporter] = {
    shipped.name: shipped
    for shipped in (
        ShippedImporter(
            "shopify",
            "Shopify's exports of orders and products",
            (
                Shape(shopify.ORDERS, "shopify_orders", prepare=shopify.orders),
                Shape(shopify.PRODUCTS, "shopify_products", prepare=shopify.products),
            ),
        ),
        ShippedImporter(
            "woocommerce",
            "WooCommerce's orders (of the API or of export plugins) and products",
            (
                Shape(woocommerce.API, "woocommerce_api", _RECORDS, woocommerce.lines_of_api, woocommerce.API_ALSO),
                Shape(woocommerce.LINES, "woocommerce_lines", prepare=woocommerce.lines),
                Shape(woocommerce.ITEMS, "woocommerce_items", prepare=woocommerce.items),
                Shape(woocommerce.PRODUCTS, "woocommerce_products", prepare=woocommerce.products),
            ),
        ),
        ShippedImporter(
            "ga4",
            "Google Analytics 4's export from BigQuery",
            (Shape(("event_name", "event_timestamp", "event_params"), "ga4", _RECORDS),),
        ),
        ShippedImporter(
            "segment",
            "events as Segment and RudderStack specify them",
            (
                Shape(("type", "messageId", "timestamp"), "segment", _RECORDS),
                Shape(("type", "messageId", "originalTimestamp"), "segment", _RECORDS),
            ),
        ),
        ShippedImporter(
            "merchant_feed",
            "Google Merchant Center's product feed",
            (Shape(merchant.COLUMNS, "merchant_feed", ("csv", "xlsx", "xml"), merchant.products),),
        ),
        ShippedImporter(
            "magento",
            "Magento's order items",
            (
                Shape(magento.API, "magento_api", _RECORDS, magento.sold, magento.API_ALSO),
                Shape(magento.ITEMS, "magento_items", prepare=magento.sold_of_items),
            ),
        ),
    )
}
