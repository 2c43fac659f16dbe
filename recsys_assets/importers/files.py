"""Paths → files, and files → bytes, whatever they are compressed with."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob, has_magic
from pathlib import Path
from typing import BinaryIO, Literal, cast

import polars as pl

from recsys_assets.errors import SourceError
from recsys_assets.importers.headers import demand_columns_in_bounds

Layout = Literal["jsonl", "csv", "parquet", "xlsx", "xml"]
_LAYOUTS: dict[str, Layout] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "csv",
                               ".txt": "csv", ".parquet": "parquet", ".pq": "parquet", ".xlsx": "xlsx",
                               ".xml": "xml"}  # fmt: skip
PLAIN: tuple[Layout, ...] = ("jsonl", "csv", "parquet")  # what holds one table
_COMPRESSED = (".gz", ".gzip", ".zst", ".zstd")
_GZIP, _ZSTD, _ZIP, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PAR1"  # how such files start
MAX_FOOTER = 1 << 26  # bytes of Parquet's footer, which takes many times as much memory


def layout_of(path: Path) -> Layout | None:
    """What a file's name says it holds, or None."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return _LAYOUTS.get(suffixes[-1]) if suffixes else None


def expand(path: str, layouts: tuple[Layout, ...] = PLAIN) -> list[Path]:
    """Files of a path, glob or folder (all below it whose name says one of ``layouts``), sorted.

    Raises:
        SourceError: there is none, or a single file's name says nothing known.
    """
    endings = ", ".join(ending for ending, layout in _LAYOUTS.items() if layout in layouts)
    known = f"known are {endings}, each also with .gz or .zst behind it"
    single = Path(path).expanduser().absolute()  # a record of it must hold from any folder
    if single.is_file():
        layout = layout_of(single)
        if layout is None:
            raise SourceError(f"{single}: its name does not say what it holds; {known}. Rename it.")
        if layout not in layouts:
            raise SourceError(f"{single}: this format reads no {layout} files; {known}.")
        return [single]
    if single.is_dir():
        found = [f for f in single.rglob("*") if not any(p.startswith(".") for p in f.relative_to(single).parts)]
    elif has_magic(path):
        found = [Path(name) for name in glob(str(single), recursive=True)]  # noqa: PTH207 — Path.glob takes no absolute pattern
    else:
        raise SourceError(f"{single}: there is no such file or folder. Check the path.")
    files = sorted(f for f in found if f.is_file() and layout_of(f) in layouts)
    if not files:
        raise SourceError(f"{path}: no file there can be read; {known}.")
    return files


def demand_file(path: Path, name: str) -> None:
    """Refuses what cannot be opened; ``name`` is what the message calls it.

    Raises:
        SourceError: it is not there, is a folder, or may not be read.
    """
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise SourceError(f"{name} is not there.") from None
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror}.") from None


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, uncompressed; gzip and zstd are told by their first bytes, not by name.

    Raises:
        SourceError: it is empty, or Parquet under another name.
    """
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if not head:
            raise SourceError(f"{path}: the file is empty. Deliver it again, or remove it.")
        if head[:2] == _GZIP:
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield cast(BinaryIO, io.BufferedReader(unzipped, 1 << 20))
        elif head == _ZSTD:
            import pyarrow as pa

            with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd") as unzipped:
                yield cast(BinaryIO, io.BufferedReader(unzipped, 1 << 20))
        else:
            if head == PARQUET and layout_of(path) != "parquet":
                raise SourceError(f"{path}: this is a Parquet file. Name it .parquet.")
            yield file


BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, OSError)  # what a cut or damaged compressed file raises


def broken(path: Path, error: BaseException, line: int | None = None) -> SourceError:
    """The error of a file that ends or breaks in the middle."""
    where = f"{path}:{line}" if line else str(path)
    return SourceError(f"{where}: the file is cut short or damaged ({error}). Nothing of it landed; deliver it again.")


def _content(path: Path) -> bytes:
    """The whole file, uncompressed.

    Raises:
        SourceError: it is empty, cut short or damaged.
    """
    try:
        with open_bytes(path) as file:
            return file.read()
    except BROKEN as error:
        raise broken(path, error) from error


def read_parquet(path: Path) -> pl.DataFrame:
    """A Parquet file, also a compressed one.

    Raises:
        SourceError: it is empty, cut short, damaged or no Parquet.
    """
    data = _content(path)
    if not data.startswith(PARQUET):
        raise SourceError(f"{path}: this is not Parquet. Name it after what it holds (.csv, .jsonl).")
    if not data.endswith(PARQUET):
        raise broken(path, EOFError("its footer is missing"))
    if int.from_bytes(data[-8:-4], "little") > MAX_FOOTER:
        raise SourceError(f"{path}: the description of its columns takes over {MAX_FOOTER:,} bytes. Leave some out.")
    try:
        demand_columns_in_bounds(path, len(pl.read_parquet_schema(io.BytesIO(data))))
        return pl.read_parquet(io.BytesIO(data))
    # Polars panics, which is no `Exception`, where a damaged footer names bytes that are not there.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise broken(path, error) from error


def read_sheets(path: Path) -> pl.DataFrame:
    """The rows of all sheets of a workbook, as text, with `_row`, their place among them; blank rows are none.

    Raises:
        SourceError: its sheets have different columns, or it cannot be read.
    """
    (first, columns), *_ = sheets = read_xlsx(path)
    for name, sheet in sheets:
        if sheet.columns != columns.columns:
            raise SourceError(
                f"{path}: its sheet {name} has other columns than {first}. Leave one of them out, or save each as CSV."
            )
    whole = pl.concat([sheet for _, sheet in sheets])
    return whole.with_row_index("_row", offset=1).filter(~pl.all_horizontal(pl.exclude("_row").is_null()))


def read_xlsx(path: Path) -> list[tuple[str, pl.DataFrame]]:
    """A workbook's sheets that hold anything, by name: every cell as text, the first row as the header.

    Raises:
        SourceError: it is empty, cut short, damaged or no workbook.
    """
    from fastexcel import FastExcelError

    data = _content(path)
    if not data.startswith(_ZIP):
        raise SourceError(f"{path}: this is no .xlsx workbook. Name it after what it holds (.csv, .parquet).")
    try:
        sheets = pl.read_excel(
            data,
            sheet_id=0,
            engine="calamine",
            read_options={"dtypes": "string"},  # a column of codes is numbers here and text there
            drop_empty_rows=False,
            drop_empty_cols=False,
            raise_if_empty=False,
        )
    except (FastExcelError, pl.exceptions.PolarsError) as error:
        raise broken(path, ValueError(str(error).splitlines()[0])) from error
    full = [(name, sheet) for name, sheet in sheets.items() if sheet.height]
    if not full:
        raise SourceError(f"{path}: the workbook holds no rows. Deliver it again, or remove it.")
    return full
