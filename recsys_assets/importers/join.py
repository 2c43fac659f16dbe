"""The tables `[join.…]` of a mapping file: columns that stand in other files of the same folder."""

from pathlib import Path

import polars as pl

from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS
from recsys_assets.importers.contract import from_sheets
from recsys_assets.importers.csv_dialect import Csv
from recsys_assets.importers.csv_files import read_table
from recsys_assets.importers.files import layout_of, read_parquet
from recsys_assets.importers.headers import describe_header
from recsys_assets.importers.section import Section


class Join(Section):
    """A file that has one row per value of the column ``on``, which stands in the file that is read too."""

    file: str
    on: str

    def beside(self, path: Path) -> Path:
        """Where it lies.

        Raises:
            SourceError: it is not there.
        """
        other = path.parent / self.file
        if not other.is_file():
            raise SourceError(f"{other}: there is no such file, and [join] of the mapping names it. Put it there.")
        return other

    def add(self, path: Path, sent: pl.DataFrame, dialect: Csv) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """``sent`` with the file's columns, and what is to be said of rows that it does not know.

        Raises:
            SourceError: it cannot be read, lacks the column, or has a value of it twice.
        """
        other = self.beside(path)
        rows = _rows(other, dialect)
        for name, frame in ((path, sent), (other, rows)):
            if self.on not in frame.columns:
                there = [column for column in frame.columns if column not in RAW_COLUMNS]
                raise SourceError(f"{name}:1: [join] names the column {self.on}; {describe_header(there, 'it has ')}.")
        keys = rows.filter(pl.col(self.on).is_not_null())
        twice = keys.filter(pl.col(self.on).is_duplicated())
        if twice.height:
            line = f":{twice['source_line'][-1]}" if "source_line" in twice.columns else ""
            raise SourceError(
                f"{other}{line}: {self.on} has {twice[self.on].n_unique():,} values more than once, and a join would "
                "double rows. Name a file with one row for each, or a column that tells its rows apart."
            )
        new = [column for column in keys.columns if column not in sent.columns and column not in RAW_COLUMNS]
        key = pl.col(self.on).cast(pl.String)
        found = sent.with_columns(key.alias("_key")).join(
            keys.select(key.alias("_key"), *new, pl.lit(True).alias("_found")),
            on="_key",
            how="left",
            maintain_order="left",
        )
        lost = int(found["_found"].is_null().sum())
        said = (f"{self.on}: {lost:,} of {sent.height:,} rows have no row in {other.name}",) if lost else ()
        return found.drop("_key", "_found"), said


def _rows(path: Path, dialect: Csv) -> pl.DataFrame:
    layout = layout_of(path)
    if layout == "csv":
        return read_table(path, dialect).frame
    if layout in ("parquet", "xlsx"):
        return read_parquet(path) if layout == "parquet" else from_sheets(path)
    raise SourceError(f"{path}: [join] reads CSV, Parquet and .xlsx. Save the file as one of them.")
