"""Physical lines of a text file, whatever ends them, and their count by a way of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from recsys_assets.contract import MAX_LINE_BYTES
from recsys_assets.importers.base import RAW_COLUMNS
from recsys_assets.importers.files import open_bytes

Line = tuple[int, int, bytes]  # number, byte offset, bytes
_SKIP = 1 << 20
_HEAD = 1 << 20


@dataclass
class Rows:
    """Columns as they grow."""

    lines: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    problems: list[str | None] = field(default_factory=list)
    texts: list[str | None] = field(default_factory=list)

    def add(self, line: int, offset: int, problem: str | None = None, raw: bytes | None = None) -> None:
        """One row; ``raw`` is its text where it has a problem."""
        self.lines.append(line)
        self.offsets.append(offset)
        self.problems.append(problem)
        self.texts.append(None if raw is None else raw.decode("latin-1"))

    def frame(self, columns: dict[str, list[Any]]) -> pl.DataFrame:
        """``columns`` and `RAW_COLUMNS`."""
        values: tuple[list[Any], ...] = (self.lines, self.offsets, self.problems, self.texts)
        series = [pl.Series(name, made, dtype=pl.String) for name, made in columns.items()]
        for (name, dtype), made in zip(RAW_COLUMNS.items(), values, strict=True):
            series.append(pl.Series(name, made, dtype=dtype))
        return pl.DataFrame(series)


def line_end(path: Path) -> bytes:
    """What ends the lines of a file: a line feed, or the carriage return alone of an old Mac.

    Raises:
        SourceError: the file is empty.
    """
    with open_bytes(path) as file:
        head = file.read(_HEAD)
    return b"\r" if b"\r" in head.rstrip(b"\r") and b"\n" not in head else b"\n"


def lines_of(file: BinaryIO, end: bytes = b"\n") -> Iterator[Line]:
    """Number, offset, bytes of each line; of one over the limit only its start, with one byte too many."""
    offset, number = 0, 0
    read = file.readline if end == b"\n" else _until_return(file)
    while line := read(MAX_LINE_BYTES + 1):
        number += 1
        size = len(line)
        if size > MAX_LINE_BYTES and not line.endswith(end):
            while rest := read(_SKIP):
                size += len(rest)
                if rest.endswith(end):
                    break
        yield number, offset, line
        offset += size


def _until_return(file: BinaryIO) -> Callable[[int], bytes]:
    """``readline`` of lines that end in a carriage return."""
    rest = b""

    def read(size: int) -> bytes:
        nonlocal rest
        while b"\r" not in rest and len(rest) < size and (chunk := file.read(_SKIP)):
            rest += chunk
        at = rest.find(b"\r", 0, size) + 1 or size
        line, rest = rest[:at], rest[at:]
        return line

    return read


def count_lines(path: Path, end: bytes) -> int:
    """Lines of a file, told by their ends alone; what follows the last end is a line too."""
    count, last = 0, end
    with open_bytes(path) as file:
        while chunk := file.read(_HEAD):
            count += chunk.count(end)
            last = chunk[-1:]
    return count + (last != end)


def count_blank(path: Path, end: bytes) -> int:
    """Lines of a file that hold nothing but white space."""
    with open_bytes(path) as file:
        return sum(1 for _, _, raw in lines_of(file, end) if not raw.strip(b"\xef\xbb\xbf \t\r\n\f\v"))
