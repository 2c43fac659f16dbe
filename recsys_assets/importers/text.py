"""JSON Lines and CSV, line by line: every line is a row or a named problem, with its number and byte offset.

A fast reader that gives up at the first bad line, or skips it in silence, cannot keep the promise that nothing is
lost; the standard library's parsers can, at about half a million rows a second.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from recsys_assets.contract import MAX_LINE_BYTES, Field, Reason
from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS
from recsys_assets.importers.files import BROKEN, broken, open_bytes
from recsys_assets.importers.headers import (
    DELIMITERS,
    delimiter_of,
    demand_columns_in_bounds,
    describe_header,
    looks_like_data,
    refuse_encoding,
)

_SKIP = 1 << 20
_FIRST_LINES = 100
_CHUNK = 1 << 18  # rows that wait as Python strings, which take ten times the memory of a column


@dataclass
class _Rows:
    """Columns as they grow."""

    lines: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    problems: list[str | None] = field(default_factory=list)
    texts: list[str | None] = field(default_factory=list)

    def add(self, line: int, offset: int, problem: str | None = None, raw: bytes | None = None) -> None:
        self.lines.append(line)
        self.offsets.append(offset)
        self.problems.append(problem)
        self.texts.append(None if raw is None else raw.decode("latin-1"))

    def frame(self, columns: dict[str, list[Any]]) -> pl.DataFrame:
        values: tuple[list[Any], ...] = (self.lines, self.offsets, self.problems, self.texts)
        series = [pl.Series(name, made, dtype=pl.String) for name, made in columns.items()]
        for (name, dtype), made in zip(RAW_COLUMNS.items(), values, strict=True):
            series.append(pl.Series(name, made, dtype=dtype))
        return pl.DataFrame(series)


def _lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset, bytes of each line; of one over the limit only its start, with one byte too many."""
    offset, number = 0, 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        size = len(line)
        if size > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while rest := file.readline(_SKIP):
                size += len(rest)
                if rest.endswith(b"\n"):
                    break
        yield number, offset, line
        offset += size


def _number(text: str) -> str:
    return text


# Numbers stay the text that was sent, so that no price passes through a binary float.
_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_number)
_NESTED = ("list", "object")


class _WrongTypeError(ValueError):
    pass


def _scalar(value: Any, of: Field | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        if of is None or of.type == "boolean":
            return "true" if value else "false"
        raise _WrongTypeError
    if of is None or of.type in _NESTED:
        return json.dumps(value, ensure_ascii=False)
    raise _WrongTypeError


def read_jsonl(path: Path, fields: dict[str, Field]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """One JSON object per line → text columns of those ``fields`` that are met and `RAW_COLUMNS`; the other keys.

    Blank lines are no rows. The fields' types say where a list, an object or a truth value may stand.

    Raises:
        SourceError: the file is empty, cut short or damaged.
    """
    rows, columns, ignored, number = _Rows(), dict[str, list[Any]](), set[str](), 0
    try:
        with open_bytes(path) as file:
            for number, offset, raw in _lines(file):
                line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
                if number == 1:
                    refuse_encoding(path, raw)
                if len(raw) > MAX_LINE_BYTES:
                    rows.add(number, offset, "line_too_long", raw)
                    continue
                if line.isspace() or not line:
                    continue
                try:
                    values = _object(line, fields)
                except (ValueError, RecursionError) as error:
                    rows.add(number, offset, _json_problem(error), raw)
                    continue
                at = len(rows.lines)
                for name, value in values.items():
                    column = columns.get(name)
                    if column is None:
                        if name not in fields:
                            ignored.add(name)
                            continue
                        column = columns[name] = []
                    column.extend([None] * (at - len(column)))
                    column.append(value)
                rows.add(number, offset)
    except BROKEN as error:
        raise broken(path, error, number + 1) from error
    total = len(rows.lines)
    if total == 0:
        raise SourceError(f"{path}: the file holds no rows. Deliver it again, or remove it.")
    for column in columns.values():
        column.extend([None] * (total - len(column)))
    return rows.frame(columns), tuple(sorted(ignored))


def first_keys(path: Path) -> set[str]:
    """Keys of the objects among a file's first lines: what it describes, before its values are judged."""
    keys = set[str]()
    try:
        with open_bytes(path) as file:
            for _, _, raw in islice(_lines(file), _FIRST_LINES):
                with suppress(ValueError, RecursionError):  # reading the file names what is wrong with a line
                    values = json.loads(raw.removeprefix(b"\xef\xbb\xbf"))
                    keys |= set(values) if isinstance(values, dict) else set()
    except BROKEN as error:
        raise broken(path, error) from error
    return keys


def _json_problem(error: Exception) -> Reason:
    if isinstance(error, UnicodeError):
        return "not_utf8"
    return "wrong_type" if isinstance(error, _WrongTypeError) else "json_malformed"


def _object(line: bytes, fields: dict[str, Field]) -> dict[str, str | None]:
    text = line.decode().strip()
    values = _DECODER.decode(text)
    if not isinstance(values, dict):
        raise ValueError
    made = {name: _scalar(value, fields.get(name)) for name, value in values.items()}
    if "\\ud" in text or "\\uD" in text:  # an escaped half of a surrogate pair is no character
        for key_or_value in (*made.keys(), *made.values()):
            (key_or_value or "").encode()
    return made


class _Feed:
    """Physical lines for `csv.reader`, which remembers those of the row that is being read."""

    def __init__(self, lines: Iterator[tuple[int, int, bytes]], decode: Callable[[bytes], str]) -> None:
        self._fresh = lines
        self._decode = decode
        self._again: list[tuple[int, int, bytes]] = []  # reversed
        self.taken: list[tuple[int, int, bytes]] = []
        self.problem: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._fresh)
        self.taken.append(line)
        raw = line[2]
        if len(raw) > MAX_LINE_BYTES:
            self.problem = "line_too_long"
            return "\n"
        try:
            return self._decode(raw)
        except UnicodeDecodeError:
            self.problem = "not_utf8"
            return raw.decode("latin-1")

    def next_row(self) -> None:
        self.taken = []
        self.problem = None

    def give_back(self) -> None:
        """All lines of the row but its first are read again, as rows of their own."""
        self._again.extend(reversed(self.taken[1:]))
        del self.taken[1:]


def read_csv(
    path: Path,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    keep: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> pl.DataFrame:
    """CSV with a header line → text columns and `RAW_COLUMNS`; empty cells are null, blank lines no rows.

    A quoted field may hold newlines. A row that does not parse, or has another number of fields than the header,
    costs its first line only: reading goes on at the next one. ``keep`` gets the rows in chunks, as they are read, and
    returns those that stay.

    Raises:
        SourceError: the file is empty, cut short or damaged, or its header is unusable.
    """

    def decode(raw: bytes) -> str:
        return raw.decode(encoding)

    def made() -> pl.DataFrame:
        blank = [""] * width
        by_column = zip(*(record or blank for record in records), strict=True)
        frame = rows.frame({name: list(values) for name, values in zip(header, by_column, strict=True)})
        frame = frame.with_columns(pl.col(header).replace("", None))
        return frame if keep is None else keep(frame)

    rows, records, number = _Rows(), list[list[str] | None](), 0
    chunks: list[pl.DataFrame] = []
    try:
        with open_bytes(path) as file:
            feed = _Feed(_lines(file), decode)
            header = _header(path, feed, delimiter)
            width = len(header)
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
            while True:
                if len(records) == _CHUNK:
                    chunks.append(made())
                    rows, records = _Rows(), []
                feed.next_row()
                problem: str | None = None
                record: list[str] | None = None
                try:
                    record = next(reader)
                except StopIteration:
                    break
                except csv.Error:
                    problem = "csv_malformed"
                    reader = csv.reader(feed, delimiter=delimiter, strict=True)
                if feed.problem is None and problem is None and record is not None:
                    if not record:
                        continue
                    if len(record) == width:
                        number, offset, _ = feed.taken[0]
                        rows.add(number, offset)
                        records.append(record)
                        continue
                feed.give_back()
                number, offset, raw = feed.taken[0]
                rows.add(number, offset, _first_line_problem(raw, decode) or "csv_malformed", raw)
                records.append(None)
                reader = csv.reader(feed, delimiter=delimiter, strict=True)
    except BROKEN as error:
        raise broken(path, error, number + 1) from error
    if not records and not chunks:
        raise SourceError(f"{path}: the file has a header and no rows. Deliver it again, or remove it.")
    return pl.concat([*chunks, made()] if records else chunks)


def _first_line_problem(raw: bytes, decode: Callable[[bytes], str]) -> str | None:
    if len(raw) > MAX_LINE_BYTES:
        return "line_too_long"
    try:
        decode(raw)
    except UnicodeDecodeError:
        return "not_utf8"
    return None


def _header(path: Path, feed: _Feed, delimiter: str) -> list[str]:
    try:
        header = next(csv.reader(feed, delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration) as error:
        raise SourceError(f"{path}:1: the header line cannot be read as CSV ({error}).") from error
    refuse_encoding(path, feed.taken[0][2])
    if feed.problem == "line_too_long":
        raise SourceError(f"{path}:1: the header line is longer than {MAX_LINE_BYTES:,} bytes. Is this a CSV file?")
    if feed.problem:
        raise SourceError(f"{path}:1: the header line is refused ({feed.problem}). Is this a CSV file in UTF-8?")
    demand_columns_in_bounds(path, len(header))
    header = [name.strip() for name in header]
    header[:1] = [name.removeprefix("\ufeff").strip().strip('"') for name in header[:1]]
    if len(header) == 1 and (other := delimiter_of(header[0], delimiter)):
        shown = "" if looks_like_data(header[0].split(other)) else f" {header[0][:200]!r}"
        raise SourceError(
            f"{path}:1: the header has one column{shown}: is the delimiter {DELIMITERS.get(other, repr(other))}? "
            "Import with `mapped --map FILE`, where FILE says `[csv] delimiter`, or save the file with commas."
        )
    twice = sorted(name for name, times in Counter(header).items() if times > 1)
    if twice or not all(header):
        what = describe_header(twice, "the header line names twice: ") if twice else "the header line has an empty name"
        raise SourceError(f"{path}:1: {what}. Every column needs a name of its own.")
    reserved = sorted(set(header) & set(RAW_COLUMNS))
    if reserved:
        raise SourceError(f"{path}:1: the column names {', '.join(reserved)} are reserved. Rename them.")
    return header
