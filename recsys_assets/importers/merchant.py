"""Google Merchant Center's product feed: text with tabs, or XML (RSS or Atom)."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError, ParserCreate

import polars as pl

from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS
from recsys_assets.importers.files import BROKEN, broken, open_bytes
from recsys_assets.importers.orders import first_of

COLUMNS = ("id", "title", "link", "availability", "price")
_AMOUNT = r"^\s*(?:[A-Za-z]{3}\s*)?([\d.,'\s\u00a0]*\d)\s*(?:[A-Za-z]{3})?\s*$"
_CURRENCY = r"(?i)\b([a-z]{3})\b"
_SOLD = {"in stock": "true", "preorder": "true", "backorder": "true", "out of stock": "false"}
_SPACE, _HEAD = b"base.google.com/ns", 1 << 16
_ITEMS = ("item", "entry")


def products(sent: pl.DataFrame) -> pl.DataFrame:
    """Rows with `unit`, `listed`, `currency` and `sold` of price, sale price and availability.

    Without a sale price the price is what a product costs. Words for stock may have blanks or low lines.
    """
    if "sale_price" not in sent.columns:
        sent = sent.with_columns(pl.lit(None, dtype=pl.String).alias("sale_price"))
    sent = first_of(sent, "sale_price|price")
    known = pl.col("availability").str.strip_chars().str.to_lowercase().str.replace_all(r"[_\s]+", " ")
    return sent.with_columns(
        _amount(pl.col("sale_price|price")).alias("unit"),
        pl.when(pl.col("sale_price").is_not_null()).then(_amount(pl.col("price"))).alias("listed"),
        pl.col("price").str.extract(_CURRENCY).str.to_uppercase().alias("currency"),
        pl.coalesce(known.replace_strict(_SOLD, default=None, return_dtype=pl.String), "availability").alias("sold"),
    )


def _amount(price: pl.Expr) -> pl.Expr:
    """The number beside the currency; what is no such pair stays, to be refused."""
    return pl.coalesce(price.str.extract(_AMOUNT), price)


def is_feed(path: Path) -> bool:
    """Whether an XML file is a feed of Google's: its first lines name what the products' fields belong to."""
    try:
        with open_bytes(path) as file:
            return _SPACE in file.read(_HEAD)
    except BROKEN as error:
        raise broken(path, error) from error


def from_xml(path: Path) -> pl.DataFrame:
    """The items of a feed as text, with `RAW_COLUMNS`; the line is the item's place in the feed.

    Raises:
        SourceError: it is no XML, or cut short.
    """
    try:
        with open_bytes(path) as file:
            data = file.read()
        _demand_plain(data)
        rows = list(_items(data))
    except BROKEN as error:
        raise broken(path, error) from error
    except (ElementTree.ParseError, ExpatError, ValueError) as error:
        raise SourceError(f"{path}: this is no XML that can be read ({error}). Deliver it again.") from error
    if not rows:
        raise SourceError(f"{path}: the feed holds no item. Deliver it again, or remove it.")
    names = dict.fromkeys(name for row in rows for name in row)
    frame = pl.DataFrame([pl.Series(name, [row.get(name) for row in rows], dtype=pl.String) for name in names])
    return frame.with_columns(
        pl.int_range(1, len(rows) + 1, dtype=pl.Int64).alias("source_line"),
        *(pl.lit(None, dtype=dtype).alias(name) for name, dtype in RAW_COLUMNS.items() if name != "source_line"),
    )


def _demand_plain(data: bytes) -> None:
    """Refuses entities of a file's own: a few lines of them unfold into gigabytes."""

    def refuse(name: str, *_: object) -> None:
        raise ValueError(f"it defines the entity {name}")

    parser = ParserCreate()
    parser.EntityDeclHandler = refuse
    parser.Parse(data, True)


def _items(data: bytes) -> Iterator[dict[str, str]]:
    for element in ElementTree.fromstring(data).iter():  # noqa: S314 — entities were refused
        if _name(element) in _ITEMS:
            yield _facts(element)


def _facts(item: ElementTree.Element) -> dict[str, str]:
    facts: dict[str, str] = {}
    for child in item:
        text = (child.text or "").strip() or child.get("href", "")
        if text:
            facts.setdefault(_name(child), text)
    return facts


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
