"""A file that tells which products were sold out, restocked or repriced: JSON Lines or CSV.

Columns are ``product_id`` and ``in_stock``, ``unit_price`` or both, as a catalogue file has them; a price is in the
base currency, and an empty field tells nothing. One wrong line refuses the file: half a stock list is worse than none.
"""

from pathlib import Path
from typing import Any

from recsys_assets.contract import EXPLAINED, FIELDS, MAX_AMOUNT
from recsys_assets.errors import SourceError
from recsys_assets.identity import id_problem
from recsys_assets.importers.base import RAW_COLUMNS
from recsys_assets.importers.files import demand_file, layout_of, open_bytes
from recsys_assets.importers.headers import describe_header
from recsys_assets.importers.text import read_csv, read_jsonl
from recsys_assets.logic.parsing import PARSERS, parse_micros
from recsys_assets.logic.product_changes import ProductChange

COLUMNS = ("product_id", "in_stock", "unit_price")
_FIELDS = {field.name: field for field in FIELDS["catalog"] if field.name in COLUMNS}
_NAMED = 20  # wrong lines in a message
_truth = PARSERS["boolean"][0]


def read_product_changes(path: Path, name: str | None = None) -> list[ProductChange]:
    """What a file tells, line by line. ``name``: what messages call it.

    Raises:
        SourceError: naming every wrong line with its field, or why the file as a whole cannot be read.
    """
    called = name or str(path)
    demand_file(path, called)
    try:
        jsonl = _is_jsonl(path)
        frame, ignored = read_jsonl(path, _FIELDS) if jsonl else (read_csv(path), ())
    except SourceError as error:
        raise SourceError(str(error).replace(str(path), called)) from None
    columns = set(frame.columns) - set(RAW_COLUMNS)
    if strange := sorted({*columns, *ignored} - set(COLUMNS)):
        raise SourceError(
            f"{called}: {describe_header(strange, 'it also has ')}. The columns are {', '.join(COLUMNS)}; leave out "
            "the others, so that none is misread."
        )
    told, wrong = list[ProductChange](), list[str]()
    for row in frame.iter_rows(named=True):
        try:
            told.append(_change(row))
        except ValueError as error:
            wrong.append(f"line {row['source_line']}: {error}")
    if wrong:
        more = [f"… and {len(wrong) - _NAMED:,} more"] if len(wrong) > _NAMED else []
        raise SourceError(f"{called} is refused, nothing was changed:\n  " + "\n  ".join([*wrong[:_NAMED], *more]))
    return told


def _is_jsonl(path: Path) -> bool:
    """By its name, else by its first character."""
    layout = layout_of(path)
    if layout in ("jsonl", "csv"):
        return layout == "jsonl"
    with open_bytes(path) as file:
        return file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _change(row: dict[str, Any]) -> ProductChange:
    if row["problem"]:
        raise ValueError(EXPLAINED[row["problem"]])
    product, stock, price = row["product_id"] or "", row.get("in_stock"), row.get("unit_price")
    if why := id_problem(product):
        raise ValueError(f"product_id {why}")
    if stock is None and price is None:
        raise ValueError("neither in_stock nor unit_price is told")
    in_stock = None if stock is None else _truth(stock)
    if stock is not None and in_stock is None:
        raise ValueError(f"in_stock {_quoted(stock)} is neither true nor false")
    return ProductChange(product, in_stock, None if price is None else price_micros(price))


def price_micros(raw: str) -> int:
    """A price as somebody wrote it.

    Raises:
        ValueError: it is none, or not above 0.

    >>> price_micros("2.49")
    2490000
    """
    micros = parse_micros(raw)
    if micros is None or micros <= 0:
        raise ValueError(f"unit_price {_quoted(raw)} is not a decimal number above 0 and up to {MAX_AMOUNT:,}")
    return micros


def _quoted(raw: str) -> str:
    return repr(raw if len(raw) <= 40 else raw[:40] + "…")
