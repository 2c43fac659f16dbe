"""Random tables in random dialects of CSV, read back through a mapping file: equal, or refused; never fewer rows."""

import csv
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_assets.errors import SourceError
from recsys_assets.importers.base import Piece, Raw
from recsys_assets.importers.mapped import MappedImporter

COLUMNS = ("when", "who", "what", "note")
MAPPING = """
kind = "events"
[columns]
event_time = "when"
user_id = "who"
product_id = "what"
context = "note"
[constants]
event_type = "view"
"""
# What dialects are made of, in any order, and what no encoding has.
TEXT = st.text(st.sampled_from("abäß7 ,;|\t\"'\\#=N-\n"), max_size=12)
WORD = st.text(st.sampled_from(list("abc7-_")), min_size=1, max_size=6)


@dataclass(frozen=True)
class Dialect:
    """How a table is written."""

    delimiter: str
    quote: str
    escape: str
    encoding: str
    end: str
    quoting: Literal[0, 1, 2, 3]
    before: int
    comment: str

    @property
    def table(self) -> str:
        """The table `[csv]` that says it."""
        said = {"delimiter": self.delimiter, "quote": self.quote, "escape": self.escape, "encoding": self.encoding}
        lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
        return "\n".join(
            ["[csv]", *lines, f"skip = {self.before}", f"comment = {json.dumps(self.comment)}", "null = []"]
        )

    def write(self, rows: list[tuple[str, ...]]) -> bytes:
        """The table's bytes."""
        out = io.StringIO()
        writer = csv.writer(
            out,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            escapechar=self.escape or None,
            doublequote=not self.escape,
            lineterminator=self.end,
            quoting=self.quoting if self.quote else csv.QUOTE_NONE,
        )
        writer.writerows([COLUMNS, *rows])
        return (f"a title{self.end}" * self.before + out.getvalue()).encode(self.encoding)


DIALECTS = st.builds(
    Dialect,
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quote=st.sampled_from(['"', "'", ""]),
    escape=st.sampled_from(["", "\\"]),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-8-sig"]),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    before=st.integers(0, 2),
    comment=st.sampled_from(["", "#"]),
)
ROWS = st.lists(st.tuples(st.just("2024-05-01"), WORD, WORD, TEXT), min_size=1, max_size=8)


def read(data: bytes, tables: str) -> Raw:
    with tempfile.TemporaryDirectory() as folder:
        path, map = Path(folder, "day.csv"), Path(folder, "shop.toml")
        path.write_bytes(data)
        map.write_text(MAPPING + tables, encoding="utf-8")
        return MappedImporter().read(Piece((path,)), map, None)


@given(rows=ROWS, dialect=DIALECTS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_table_comes_back_as_it_was_written(rows: list[tuple[str, ...]], dialect: Dialect) -> None:
    try:
        data = dialect.write(rows)
    except (csv.Error, UnicodeEncodeError):  # the dialect has no way to write this text
        return
    try:
        frame = read(data, dialect.table).frame
    except SourceError:
        return
    good = frame.filter(frame["problem"].is_null())
    read_back = list(good.select("event_time", "user_id", "product_id", "context").iter_rows())
    written = [(who, what, note or None) for _, who, what, note in rows]
    assert frame.height >= len(rows)
    found = [row[1:] for row in read_back]
    if frame["problem"].null_count() == frame.height:
        assert found == written
    else:
        assert set(found) <= set(written)


@given(lines=st.lists(st.text(st.sampled_from(list('ab,"\n\r\\;'))), min_size=1, max_size=12), dialect=DIALECTS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_line_of_any_file_is_lost(lines: list[str], dialect: Dialect) -> None:
    """Rows, and lines that are none, are all lines of the file: whatever was written into it."""
    data = (dialect.delimiter.join(COLUMNS) + "\n" + "\n".join(lines)).encode()
    try:
        raw = read(data, dialect.table.replace(f"skip = {dialect.before}", "skip = 0"))
    except SourceError:
        return
    ends = data.count(b"\n") + (not data.endswith(b"\n"))
    assert raw.counted.startswith(f"{ends:,} lines = {raw.frame.height:,} rows")


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_stray_quotes_in_any_number_lose_nothing(count: int) -> None:
    notes = ['"note' if n % 7 == 3 else "note" for n in range(7 * count)]
    rows = [f"2024-05-01,u-{n},p-{n},{note}\n" for n, note in enumerate(notes)]
    raw = read(("when,who,what,note\n" + "".join(rows)).encode(), "")
    assert raw.frame.height == 7 * count
    good = raw.frame.filter(raw.frame["problem"].is_null())
    assert all(user[2:] == product[2:] for user, product in good.select("user_id", "product_id").iter_rows())
