"""`recsys ingest auto PATH`: which format each file is of, told by the names of its columns."""

import csv
import io
import shlex
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import get_args

import polars as pl

from recsys_assets.contract import FIELDS, PRODUCT_FIELDS, Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers import IMPORTERS
from recsys_assets.importers.base import RAW_COLUMNS, Piece
from recsys_assets.importers.complete_journey import PRODUCTS, TRANSACTIONS
from recsys_assets.importers.contract import kind_of, missing_fields
from recsys_assets.importers.csv_files import SEP, told_apart
from recsys_assets.importers.files import (
    BROKEN,
    PARQUET,
    Layout,
    broken,
    expand,
    layout_of,
    open_bytes,
    read_parquet,
    read_xlsx,
)
from recsys_assets.importers.guess import Look, field_of, propose
from recsys_assets.importers.headers import (
    delimiter_of,
    demand_columns_in_bounds,
    list_names,
    looks_like_data,
    refuse_encoding,
)
from recsys_assets.importers.merchant import from_xml, is_feed
from recsys_assets.importers.nested import head_of_records
from recsys_assets.importers.rees46 import COLUMNS as REES46
from recsys_assets.importers.shipped import SHIPPED
from recsys_assets.importers.text import first_keys

_HEAD = 1 << 20  # bytes of a text file that are looked at
_ROWS = 500
# Per format, the columns of each kind of file that it has; a file that has all of one is of the format.
KNOWN: dict[str, tuple[tuple[str, ...], ...]] = {
    "complete_journey": (TRANSACTIONS, PRODUCTS),
    "rees46": (REES46,),
    "retailrocket": (
        ("timestamp", "visitorid", "event", "itemid", "transactionid"),
        ("timestamp", "itemid", "property", "value"),
        ("categoryid", "parentid"),
    ),
    "online_retail": (
        ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"),
        ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID"),
    ),
    **{name: tuple(shape.needs for shape in shipped.shapes) for name, shipped in SHIPPED.items()},
}
_FOLDERS = ("complete_journey", "retailrocket")  # several files make one delivery


def recognise(
    path: str, progress: Callable[[str], None], zone: str = "UTC", proposals: Path | None = None
) -> list[tuple[str, Piece]]:
    """Format and piece of everything that ``path`` (a file, folder or glob) holds.

    Raises:
        SourceError: a file is of no known format; says what was tried, and proposes a mapping file where one may fit,
            with times in ``zone``. It is written into the folder ``proposals``, if any.
    """
    if path == "package":
        return [("complete_journey", piece) for piece in IMPORTERS["complete_journey"].pieces(path)]
    files = expand(path, get_args(Layout))
    others = [file for file in files if len(files) > 1 and layout_of(file) == "xml" and not is_feed(file)]
    for file in others:
        progress(f"{file}: not read; it is no product feed")
    looks = {file: look_at(file) for file in files if file not in others}
    formats = {file: _format_of(look) for file, look in looks.items()}
    taken = {file.parent: name for file, name in formats.items() if name in _FOLDERS}
    unknown = [file for file, name in formats.items() if name is None and file.parent not in taken]
    if unknown:
        raise SourceError(explain(unknown[0], looks[unknown[0]], len(unknown) - 1, zone, proposals))
    found: list[tuple[str, Piece]] = []
    for folder, name in taken.items():
        progress(f"{folder}: {name}")
        alone = name == "retailrocket" and Path(path).expanduser().is_file()  # events.csv alone is asked for
        pieces = IMPORTERS[name].pieces(path if alone else str(folder))
        found += [(name, piece) for piece in pieces if (name, piece) not in found]  # a folder below it is in it too
    read = {file for _, piece in found for file in piece.files}
    for file, known in formats.items():
        if file in read:
            continue
        if known is None or known in _FOLDERS:
            progress(f"{file}: not read; {taken[file.parent]} has no use for it")
            continue
        progress(f"{file}: {known}")
        found += [(known, piece) for piece in IMPORTERS[known].pieces(str(file))]
    return found


def _format_of(look: Look) -> str | None:
    """The format of a file; those of shops' programs find their delimiter themselves."""
    known = format_of(look.columns)
    return known if look.plain or known in SHIPPED else None


def format_of(columns: Iterable[str]) -> str | None:
    """The format whose columns these are.

    >>> format_of(["event_type", "event_time", "user_id", "product_id", "shoe_size"])
    'contract'
    """
    there = set(columns)
    for name, kinds in KNOWN.items():
        if name in IMPORTERS and any(there.issuperset(kind) for kind in kinds):
            return name
    return "contract" if _lacks(there) is None else None


def _lacks(columns: set[str]) -> str | None:
    """Why these are not the contract's columns, or None where they are."""
    kind: Kind = kind_of(columns) or "events"
    missing = missing_fields(kind, columns)
    if missing:
        return f"as {kind} it lacks {', '.join(missing)}"
    # Sales of other shops name a product_id too: they are no catalogue.
    strange = {field_of(name) for name in columns - {f.name for f in FIELDS[kind]}}
    if kind == "catalog" and strange & {"user_id", "anon_id", "order_id", "session_id", "quantity"}:
        return "as events it lacks event_type, event_time, user_id or anon_id"
    if kind == "catalog" and len(columns & {f.name for f in PRODUCT_FIELDS}) == 1:
        return "as catalog it has nothing but product_id"
    return None


def look_at(path: Path) -> Look:
    """The columns of a file, and its first rows.

    Raises:
        SourceError: it is empty, damaged, or not what its name says.
    """
    layout = layout_of(path)
    if layout == "jsonl":
        return Look(tuple(sorted(first_keys(path))))
    if layout == "xml":
        return Look(tuple(from_xml(path).drop(RAW_COLUMNS).columns))
    if layout == "xlsx":
        _, sheet = read_xlsx(path)[0]
        return Look(tuple(sheet.columns), sheet.head(_ROWS))
    if layout == "parquet":
        sample = _head_of_parquet(path)
        return Look(tuple(sample.columns), sample)
    return _look_at_csv(path)


def _head_of_parquet(path: Path) -> pl.DataFrame:
    with path.open("rb") as file:
        plain = file.read(len(PARQUET)) == PARQUET
    if not plain:
        return read_parquet(path).head(_ROWS)
    try:
        demand_columns_in_bounds(path, len(pl.read_parquet_schema(path)))
        return pl.read_parquet(path, n_rows=_ROWS)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise broken(path, error) from error


def _look_at_csv(path: Path) -> Look:
    try:
        with open_bytes(path) as file:
            head = file.read(_HEAD)
    except BROKEN as error:
        raise broken(path, error) from error
    refuse_encoding(path, head)
    head = head.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in head:  # an old Mac's
        head = head.replace(b"\r", b"\n")
    named = SEP.match(head)
    lines = head[named.end() if named else 0 :].splitlines(keepends=True)
    whole = lines[:-1] if len(head) == _HEAD else lines  # the last one may be cut
    encoding = "utf-8"
    try:
        text = b"".join(whole).decode()
    except UnicodeDecodeError:
        encoding, text = "cp1252", b"".join(whole).decode("cp1252", errors="replace")
    first = text.split("\n", 1)[0]
    delimiter = delimiter_of(first) or ","
    tabs = ".tsv" in [suffix.lower() for suffix in path.suffixes]
    if named or tabs:
        delimiter = named[1].decode("latin-1") if named else "\t"
    rows: list[list[str]] = []
    with suppress(csv.Error):  # what is wrong with a row is for the import to say
        for row in csv.reader(io.StringIO(text), delimiter=delimiter):
            rows.append(row)
            if len(rows) > _ROWS:
                break
    if not rows:
        raise SourceError(f"{path}:1: the header line is longer than {_HEAD:,} bytes, or is no CSV.")
    header = told_apart([name.strip() for name in rows[0]])
    demand_columns_in_bounds(path, len(header))
    body = [row for row in rows[1:] if len(row) == len(header)]
    values = zip(*body, strict=True) if body else ([] for _ in header)
    made = [pl.Series(name, list(cells), dtype=pl.String) for name, cells in zip(header, values, strict=True)]
    sample = pl.DataFrame(made).with_columns(pl.all().replace("", None))
    return Look(tuple(header), sample, delimiter, encoding, plain=delimiter == "," or bool(named) or tabs)


def explain(path: Path, look: Look, others: int = 0, zone: str = "UTC", proposals: Path | None = None) -> str:
    """What was tried on a file, what each format would have needed, and a mapping file that may fit."""
    if not look.columns:
        return f"{path}: no column was found. Is it what its name says?"
    if looks_like_data(look.columns):
        return f"{path}:1: its first line looks like data: is the header line missing? Add one."
    there = set(look.columns)
    lines = [f"{path}: no format has these columns: {list_names(look.columns)}. Tried:"]
    for name, kinds in KNOWN.items():
        if name in IMPORTERS and there:
            near = max(kinds, key=lambda kind: len(there.intersection(kind)) / len(kind))
            lines.append(f"  {name} (lacks {list_names([column for column in near if column not in there])})")
    lines.append(f"  contract ({_lacks(there) or f'has a comma between columns, not {look.delimiter!r}'})")
    if others:
        lines.append(f"{others:,} more file{'s' * (others > 1)} there fit no format either.")
    if layout_of(path) == "jsonl":
        sample = head_of_records(path, _ROWS, lambda name: field_of(name) == "product_id")
        look = Look(tuple(sample.columns), sample)
    proposal = propose(look, zone) if layout_of(path) in ("csv", "jsonl", "parquet", "xlsx") else None
    if proposal is None:
        lines.append("Write a mapping file (`recsys contract page` shows one) and import with `mapped --map FILE`.")
    else:
        name = "shop.toml" if proposals is None else str(_write(proposals, path, proposal))
        saved = ", save it as shop.toml" if proposals is None else f" in {name}"
        lines += [
            f"This mapping file may fit; it is a guess. Check it{saved}, and see what it gives with",
            f"  recsys ingest mapped {shlex.quote(str(path))} --map {shlex.quote(name)} --check",
            "",
            proposal,
        ]
    return "\n".join(lines)


def _write(folder: Path, path: Path, text: str) -> Path:
    """The file that holds ``text`` from now on; none is overwritten."""
    stem = path.name.split(".")[0] or "shop"
    files = (folder / f"{stem}.map{number if number > 1 else ''}.toml" for number in count(1))
    file = next(file for file in files if not file.exists() or (file.is_file() and file.read_bytes() == text.encode()))
    file.write_bytes(text.encode())
    return file
