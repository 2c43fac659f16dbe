"""What an importer is: files of one known format → rows with the contract's columns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from recsys_assets.contract import Kind
from recsys_assets.importers.placeholders import Ids

# Columns that a raw frame has beside the contract's.
RAW_COLUMNS: dict[str, pl.DataType] = {
    "source_line": pl.Int64(),  # 1-based
    "source_offset": pl.Int64(),  # byte at which the line starts, uncompressed; null for Parquet
    "problem": pl.String(),  # why the row could not be read, a `contract.Reason`
    "_line": pl.String(),  # the row's text where it could not be read: only to hash it, never stored
}


@dataclass(frozen=True)
class Piece:
    """One delivery to be: usually one file. ``kind`` is None where only reading tells."""

    files: tuple[Path, ...]
    kind: Kind | None = None

    @property
    def name(self) -> str:
        """What messages and records call it."""
        return str(self.files[0])


@dataclass(frozen=True)
class Raw:
    """Rows as read: contract columns as text or as the file's own dtype, and `RAW_COLUMNS`.

    ``ignored`` names the file's columns that are no field of the contract. For people: ``mapping`` pairs each column
    that was read with the field it fills, ``notes`` says how values were read (constants, times, numbers), ``warnings``
    what somebody should look at, ``counted`` how the lines of the file add up. ``dropped`` counts rows that the mapping
    leaves out; ``ids`` says what is no id, or None where the format itself knows.
    """

    kind: Kind
    frame: pl.DataFrame
    ignored: tuple[str, ...] = ()
    mapping: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    counted: str = ""
    dropped: int = 0
    ids: Ids | None = None


class Importer(Protocol):
    """One known file format."""

    @property
    def what(self) -> str:
        """One line for people."""
        ...

    def pieces(self, path: str) -> list[Piece]:
        """The deliveries that ``path`` (a file, folder or glob) holds, in order of name.

        Raises:
            SourceError: there is none.
        """
        ...

    def read(self, piece: Piece, mapping: Path | None, kind: Kind | None) -> Raw:
        """All rows of one piece; a row that cannot be read is there with its `problem`.

        Raises:
            SourceError: the file as a whole cannot be read; names file, line where known, and remedy.
        """
        ...
