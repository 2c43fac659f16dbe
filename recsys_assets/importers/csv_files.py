"""CSV, row by row: every line belongs to a row or is a named problem, whatever a stray quote spans.

A fast reader that gives up at the first bad line, or skips it in silence, cannot keep the promise that nothing is
lost; the standard library's parser can, at about half a million rows a second.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from recsys_assets.contract import MAX_LINE_BYTES
from recsys_assets.errors import SourceError, TableError
from recsys_assets.importers.base import RAW_COLUMNS
from recsys_assets.importers.csv_dialect import MYSQL_NULL, Csv
from recsys_assets.importers.csv_feed import Feed, Tally
from recsys_assets.importers.files import BROKEN, broken, open_bytes
from recsys_assets.importers.headers import (
    DELIMITERS,
    delimiter_of,
    demand_columns_in_bounds,
    list_names,
    looks_like_data,
    refuse_encoding,
)
from recsys_assets.importers.lines import Line, Rows, count_lines, line_end, lines_of

_CHUNK = 1 << 18  # rows that wait as Python strings, which take ten times the memory of a column
SEP = re.compile(rb"(?:\xef\xbb\xbf)?\"?sep=(.)\"?\r?\n?", re.IGNORECASE)  # how a spreadsheet names its delimiter
_UNNAMED, _TWICE = "(column {}, without a name)", "{} (column {}, named twice)"
_SHOWN = 3


@dataclass(frozen=True)
class CsvTable:
    """Text columns and `RAW_COLUMNS`; the lines as counted twice; what a reader should know."""

    frame: pl.DataFrame
    counted: str
    warnings: tuple[str, ...]


def read_table(path: Path, dialect: Csv, keep: Callable[[pl.DataFrame], pl.DataFrame] | None = None) -> CsvTable:
    """CSV with a header line → its rows; empty cells and ``dialect.null`` are null, blank lines no rows.

    A quoted field may hold line ends. A row that does not parse, has another number of fields than the header or
    repeats it, or spans lines that are rows by themselves, costs its first line only: reading goes on at the next one.
    ``keep`` gets the rows in chunks, as they are read, and returns those that stay. Columns without a name or with the
    same one bear a description instead, so that nothing asks for them.

    Raises:
        SourceError: the file is empty, cut short or damaged, or its header is unusable.
    """
    try:
        end = line_end(path)
        with open_bytes(path) as file:
            return _Reading(path, dialect, end, lines_of(file, end), keep).table()
    except BROKEN as error:
        raise broken(path, error) from error


class _Reading:
    """One file while it is read."""

    def __init__(
        self,
        path: Path,
        dialect: Csv,
        end: bytes,
        lines: Iterator[Line],
        keep: Callable[[pl.DataFrame], pl.DataFrame] | None,
    ) -> None:
        self.path, self.end, self.keep, self.tally = path, end, keep, Tally()
        plain = end == b"\n" and dialect.escape != "\\"
        decode = partial(str, encoding=dialect.encoding, errors="strict") if plain else self.decode
        self.feed = Feed(lines, decode, dialect.comment.encode(dialect.encoding), self.tally)
        self.dialect = dialect
        self._take_preamble()
        self._null = re.compile(
            rf"(?:(?<={re.escape(self.dialect.cut)})|^){re.escape(MYSQL_NULL)}(?={re.escape(self.dialect.cut)}|\r?\n?$)"
        )
        self.nulls = 0
        self.swallowed, self.repeated, self.escaped, self.torn = list[int](), list[int](), list[int](), list[int]()
        self.at = 1
        self.header = self._header()
        self.spaced = all(name.startswith(" ") for name in self.names[1:]) and len(self.names) > 1

    def decode(self, raw: bytes) -> str:
        text = raw.decode(self.dialect.encoding)
        if self.end == b"\r":
            text = text.replace("\r", "\n")
        if self.dialect.escape == "\\" and MYSQL_NULL in text:
            text, count = self._null.subn("", text)
            self.nulls += count
        return text

    def _take_preamble(self) -> None:
        """Lines before the header: those to skip, and `sep=;`."""
        for _ in range(self.dialect.skip):
            if next(self.feed.fresh, None) is not None:
                self.tally.before += 1
        line = next(self.feed.fresh, None)
        if line is None:
            return
        named = SEP.fullmatch(line[2])
        if named is None:
            self.feed.taken = [line]
            self.feed.give_back(0)
            return
        self.tally.before += 1
        cut = named[1].decode("latin-1")
        if self.dialect.delimiter not in (None, cut):
            raise SourceError(
                f"{self.path}:1: the file says sep={cut}, and [csv] delimiter is {self.dialect.delimiter!r}. "
                "Leave one of them out."
            )
        self.dialect = self.dialect.model_copy(update={"delimiter": cut})

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self.feed, **self.dialect.reading)

    def table(self) -> CsvTable:
        width, feed, tally, names = len(self.header), self.feed, self.tally, self.names
        rows, records, chunks = Rows(), list[list[str] | None](), list[pl.DataFrame]()
        reader = self._reader()
        try:
            while True:
                if len(records) == _CHUNK:
                    chunks.append(self._frame(rows, records))
                    rows, records = Rows(), []
                feed.next_row()
                problem, record = None, None
                try:
                    record = next(reader)
                except StopIteration:
                    break
                except csv.Error:
                    problem = "csv_malformed"
                if feed.problem is None and problem is None and record is not None:
                    if not record:
                        tally.blank += len(feed.taken)
                        continue
                    if len(record) == width and record != names and (len(feed.taken) == 1 or self._is_whole()):
                        number, offset, _ = feed.taken[0]
                        rows.add(number, offset)
                        records.append(record)
                        continue
                    if record == names:
                        self.repeated.append(feed.taken[0][0])
                feed.give_back()
                number, offset, raw = feed.taken[0]
                self.at = number
                if b'\\"' in raw and not self.dialect.escape:
                    self.escaped.append(number)
                if b"\r" in raw.rstrip(b"\r\n"):
                    self.torn.append(number)
                rows.add(number, offset, self._problem(raw) or "csv_malformed", raw)
                records.append(None)
                reader = self._reader()
        except BROKEN as error:
            raise broken(self.path, error, (rows.lines or [self.at])[-1] + 1) from error
        if not records and not chunks:
            raise SourceError(f"{self.path}: the file has a header and no rows. Deliver it again, or remove it.")
        tally.rows = len(records) + _CHUNK * len(chunks)
        counted = self._counted()
        frame = pl.concat([*chunks, self._frame(rows, records)] if records else chunks)
        return CsvTable(frame, counted, self._warnings())

    def _frame(self, rows: Rows, records: list[list[str] | None]) -> pl.DataFrame:
        blank = [""] * len(self.header)
        by_column = zip(*(record or blank for record in records), strict=True)
        frame = rows.frame({name: list(values) for name, values in zip(self.header, by_column, strict=True)})
        for null in self.dialect.null:
            self.nulls += int(frame.select(pl.sum_horizontal((pl.col(self.header) == null).sum())).item() or 0)
        frame = frame.with_columns(pl.col(self.header).replace(["", *self.dialect.null], None))
        return frame if self.keep is None else self.keep(frame)

    def _counted(self) -> str:
        there = count_lines(self.path, self.end)
        if there != self.tally.lines():
            raise TableError(
                f"{self.path}: {there:,} lines by their ends, but {self.tally.described()}. This is a bug."
            )
        return self.tally.described()

    def _warnings(self) -> tuple[str, ...]:
        made = []
        if self.end == b"\r":
            made.append("line ends are those of an old Mac, and are read as such")
        if self.nulls:
            made.append(f"{self.nulls:,} cells hold {' or '.join(self.dialect.null) or MYSQL_NULL}: read as missing")
        if self.swallowed:
            where = f"a quote stands alone at {_places(self.swallowed)}"
            made.append(f'{where}; where quotes mean nothing, a mapping file with [csv] quote = "" reads such rows')
        if self.torn:
            where = f"carriage returns stand inside {_places(self.torn)}"
            made.append(f"{where}, where more rows than one may be: save the file with one kind of line ends")
        if self.escaped:
            where = f'\\" stands at {_places(self.escaped)}'
            made.append(f'{where}; where MySQL wrote it, a mapping file with [csv] escape = "\\\\" reads such rows')
        if self.repeated:
            made.append(f"the header stands again at {_places(self.repeated)}")
        return tuple(made)

    def _is_whole(self) -> bool:
        """Whether a row of several lines is one: not lines that are rows by themselves, between two stray quotes."""
        texts = [self.decode(raw) for _, _, raw in self.feed.taken]
        first_is_row = texts[0].count(self.dialect.cut) >= len(self.header) - 1
        if first_is_row and any(self._is_row(text) for text in texts[1:]):
            self.swallowed.append(self.feed.taken[0][0])
            return False
        self.tally.further += len(texts) - 1
        return True

    def _is_row(self, text: str) -> bool:
        try:
            fields = next(csv.reader([text], **self.dialect.reading | {"strict": False}), [])
        except csv.Error:
            return True
        if len(fields) != len(self.header):
            return False
        prose = len(fields) > 1 and all(cell.startswith(" ") for cell in fields[1:])  # "milk, salt, sugar"
        return not prose or self.spaced

    def _problem(self, raw: bytes) -> str | None:
        if len(raw) > MAX_LINE_BYTES:
            return "line_too_long"
        try:
            raw.decode(self.dialect.encoding)
        except UnicodeDecodeError:
            return "not_utf8"
        return None

    def _header(self) -> list[str]:
        path, cut, feed = self.path, self.dialect.cut, self.feed
        feed.next_row()
        self.names: list[str] = []
        try:
            header = next(csv.reader(feed, **self.dialect.reading))
            while not header:
                self.tally.blank += len(feed.taken)
                feed.next_row()
                header = next(csv.reader(feed, **self.dialect.reading))
        except (csv.Error, StopIteration) as error:
            why = "no line is left for it" if isinstance(error, StopIteration) else str(error)
            raise SourceError(f"{path}:1: the header line cannot be read as CSV ({why}).") from error
        self.tally.before += len(feed.taken)
        self.at, first = feed.taken[0][0], feed.taken[0][2]
        refuse_encoding(path, first)
        if feed.problem == "line_too_long":
            raise SourceError(
                f"{path}:{self.at}: the header line is longer than {MAX_LINE_BYTES:,} bytes. Is this a CSV file?"
            )
        if feed.problem:
            raise SourceError(
                f"{path}:{self.at}: the header line is refused ({feed.problem}). Is this a CSV file in UTF-8?"
            )
        demand_columns_in_bounds(path, len(header))
        self.names = [header[0].removeprefix("\ufeff"), *header[1:]]
        header = [name.strip() for name in header]
        header[:1] = [name.removeprefix("\ufeff").strip().strip('"') for name in header[:1]]
        if len(header) == 1 and (other := delimiter_of(header[0], cut)):
            shown = "" if looks_like_data(header[0].split(other)) else f" {header[0][:200]!r}"
            raise SourceError(
                f"{path}:{self.at}: the header has one column{shown}: is the delimiter "
                f"{DELIMITERS.get(other, repr(other))}? "
                "Import with `mapped --map FILE`, where FILE says `[csv] delimiter`, or save the file with commas."
            )
        reserved = sorted(set(header) & set(RAW_COLUMNS))
        if reserved:
            raise SourceError(f"{path}:{self.at}: the column names {', '.join(reserved)} are reserved. Rename them.")
        return told_apart(header)


def told_apart(header: list[str]) -> list[str]:
    """Names of which each stands once, and none is empty.

    >>> told_apart(["", "a", "b", "b"])
    ['(column 1, without a name)', 'a', 'b (column 3, named twice)', 'b (column 4, named twice)']
    """
    times = Counter(header)
    return [
        _UNNAMED.format(place) if not name else _TWICE.format(name, place) if times[name] > 1 else name
        for place, name in enumerate(header, 1)
    ]


def refuse_twice(path: Path, columns: Collection[str], asked: Collection[str]) -> None:
    """Refuses a file in which two columns bear a name that is asked for.

    Raises:
        SourceError: naming them.
    """
    doubled = {found[1] for name in columns if (found := re.fullmatch(r"(.*) \(column \d+, named twice\)", name))}
    if twice := sorted(doubled & set(asked)):
        raise SourceError(f"{path}:1: the header names twice: {list_names(twice)}. Name each column once.")


def _places(lines: list[int]) -> str:
    more = f" and {len(lines) - _SHOWN:,} more" if len(lines) > _SHOWN else ""
    return f"line{'s' * (len(lines) > 1)} {', '.join(map(str, lines[:_SHOWN]))}{more}"
