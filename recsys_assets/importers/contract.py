"""Files whose columns already bear the contract's names: JSON Lines, CSV, Parquet, also compressed, and .xlsx."""

import difflib
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from recsys_assets.contract import FIELDS, USER_FIELDS, Field, Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS, Piece, Raw
from recsys_assets.importers.columns import as_field, undecodable
from recsys_assets.importers.csv_dialect import Csv
from recsys_assets.importers.csv_files import read_table, refuse_twice
from recsys_assets.importers.files import PLAIN, expand, layout_of, read_parquet, read_sheets
from recsys_assets.importers.headers import describe_header, looks_like_data
from recsys_assets.importers.placeholders import Ids
from recsys_assets.importers.text import counted_lines, first_keys, read_jsonl

_EVENT_MARKS = ("event_type", "event_time")
_USER_MARKS = {field.name for field in USER_FIELDS} - {"user_id"}


def kind_of(columns: set[str]) -> Kind | None:
    """What columns of these names describe."""
    if columns.intersection(_EVENT_MARKS):
        return "events"
    if {"rate", "currency"} <= columns:
        return "rates"
    if "product_id" in columns:
        return "catalog"
    return "users" if "user_id" in columns and columns & _USER_MARKS else None


def missing_fields(kind: Kind, columns: set[str]) -> list[str]:
    """Fields that a file of this kind needs and these columns are not."""
    missing = [f.name for f in FIELDS[kind] if f.required and f.name not in columns]
    if kind == "events":
        if not columns & {"user_id", "anon_id"}:
            missing.append("user_id or anon_id")
        if not columns & {"product_id", "query"}:
            missing.append("product_id")
    return missing


def demand(path: Path | str, kind: Kind, columns: set[str]) -> None:
    """Refuses a file that lacks a column.

    Raises:
        SourceError: naming every missing column and the nearest one that is there.
    """
    missing = missing_fields(kind, columns)
    if missing:
        if looks_like_data(columns):
            raise SourceError(f"{path}:1: {describe_header(columns, '')}.")
        near = {m: difflib.get_close_matches(m.split(" ")[0], columns, n=1) for m in missing}
        hints = "".join(f" Is {match[0]!r} meant as {name}?" for name, match in near.items() if match)
        raise SourceError(
            f"{path}:1: a file of {kind} needs the column{'s' * (len(missing) > 1)} {', '.join(missing)}.{hints} "
            "Rename columns, or import with `mapped --map FILE`."
        )


def numbered(frame: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """`RAW_COLUMNS` of a Parquet file: rows from 1; a problem where one of ``columns`` is no text."""
    unread = pl.Series("problem", [False]).new_from_index(0, frame.height)
    for name in columns:
        if frame.schema[name] == pl.Binary:
            unread = unread | undecodable(frame[name])
    return pl.select(
        pl.int_range(1, frame.height + 1, dtype=pl.Int64).alias("source_line"),
        pl.lit(None, dtype=pl.Int64).alias("source_offset"),
        pl.when(unread).then(pl.lit("not_utf8")).alias("problem"),
        pl.lit(None, dtype=pl.String).alias("_line"),
    )


def from_sheets(path: Path) -> pl.DataFrame:
    """A workbook's rows as text, with `RAW_COLUMNS`."""
    sent = read_sheets(path)
    rows = sent.drop("_row")
    return rows.hstack(numbered(rows, ()).with_columns(sent["_row"].cast(pl.Int64).alias("source_line")))


def _fields(kind: Kind | None) -> dict[str, Field]:
    """Fields by name, of one kind where it is known: another kind's field may be anything in this file."""
    return {f.name: f for k in ([kind] if kind else FIELDS) for f in FIELDS[k]}


def _from_jsonl(path: Path, kind: Kind | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    guess = kind or kind_of(first_keys(path))
    frame, ignored = read_jsonl(path, _fields(guess))
    found = kind or kind_of(set(frame.columns) | set(ignored))
    return (frame, ignored) if guess in (None, found) else read_jsonl(path, _fields(found))


def _from_parquet(path: Path, kind: Kind | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    sent = read_parquet(path)
    known = _fields(kind or kind_of(set(sent.columns)))
    if sent.height == 0:
        raise SourceError(f"{path}: the file holds no rows. Deliver it again, or remove it.")
    names = [name for name in sent.columns if name in known]
    made = [as_field(sent[name], known[name], path) for name in names]
    return numbered(sent, names).hstack(made), tuple(name for name in sent.columns if name not in known)


class ContractImporter:
    """`contract`: the contract's own column names."""

    what = "JSON Lines, CSV, Parquet or .xlsx with the contract's column names"

    def pieces(self, path: str) -> list[Piece]:
        """One per file."""
        return [Piece((file,)) for file in expand(path, (*PLAIN, "xlsx"))]

    def read(self, piece: Piece, mapping: Path | None, kind: Kind | None) -> Raw:
        """All rows of one file.

        Raises:
            SourceError: it cannot be read, lacks a column, or does not say what it describes.
        """
        path = piece.files[0]
        if mapping is not None:
            raise SourceError("the format contract takes no mapping file: import with `mapped --map FILE`.")
        layout = layout_of(path)
        ignored, warnings, counted = tuple[str, ...](), tuple[str, ...](), ""
        if layout == "jsonl":
            frame, ignored = _from_jsonl(path, kind)
            counted = counted_lines(path, frame.height)
        elif layout == "csv":
            table = read_table(path, Csv(delimiter="\t" if ".tsv" in [s.lower() for s in path.suffixes] else None))
            frame, warnings, counted = table.frame, table.warnings, table.counted
            refuse_twice(path, frame.columns, _fields(kind))
        elif layout == "xlsx":
            frame = from_sheets(path)
        else:
            frame, ignored = _from_parquet(path, kind)
        columns = set(frame.columns) - set(RAW_COLUMNS)
        kind = kind or kind_of(columns)
        if kind is None:
            if layout == "jsonl" and not columns:
                first = frame.row(0, named=True)
                problem = first["problem"] or "an object without known fields"
                raise SourceError(f"{path}:{first['source_line']}: {problem}, as on every line. Is it JSON Lines?")
            raise SourceError(
                f"{path}:1: neither event_type, event_time nor product_id is among its columns; "
                f"{describe_header(sorted(columns | set(ignored)), 'they are ')}. "
                "Rename them, or import with `mapped --map FILE`."
            )
        demand(path, kind, columns)
        fields = {f.name for f in FIELDS[kind]}
        other = tuple(sorted((columns - fields) | set(ignored)))
        frame = frame.select([n for n in frame.columns if n in fields or n in RAW_COLUMNS])
        named = tuple((n, n) for n in frame.columns if n in fields)
        return Raw(kind, frame, other, named, warnings=warnings, counted=counted, ids=Ids())
