"""JSON Lines and CSV, line by line: every line is a row or a named problem, with its number and byte offset.

A fast reader that gives up at the first bad line, or skips it in silence, cannot keep the promise that nothing is
lost; the standard library's parsers can, at about half a million rows a second.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from recsys_assets.contract import MAX_LINE_BYTES, Field, Reason
from recsys_assets.errors import SourceError, TableError
from recsys_assets.importers.csv_dialect import Csv
from recsys_assets.importers.csv_files import read_table
from recsys_assets.importers.files import BROKEN, broken, open_bytes
from recsys_assets.importers.headers import refuse_encoding
from recsys_assets.importers.lines import Rows, count_blank, count_lines, line_end, lines_of

_FIRST_LINES = 100


def _number(text: str) -> str:
    return text


# Numbers stay the text that was sent, so that no price passes through a binary float.
DECODER = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_number)
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
    rows, columns, ignored, number = Rows(), dict[str, list[Any]](), set[str](), 0
    try:
        with open_bytes(path) as file:
            for number, offset, raw in lines_of(file, line_end(path)):
                line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
                if number == 1:
                    refuse_encoding(path, raw)
                if len(raw) > MAX_LINE_BYTES:
                    rows.add(number, offset, "line_too_long", raw)
                    continue
                if line.isspace() or not line:
                    continue
                if not rows.lines:
                    refuse_array(path, number, line)
                try:
                    values = _object(line, fields)
                except (ValueError, RecursionError) as error:
                    rows.add(number, offset, json_problem(error), raw)
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


def refuse_array(path: Path, number: int, line: bytes) -> None:
    """Refuses a file that is one JSON array.

    Raises:
        SourceError: saying how to write it as lines.
    """
    if line.lstrip().startswith(b"["):
        raise SourceError(
            f"{path}:{number}: the file is a JSON array. Write one object per line, without brackets around them and "
            "commas between them (`jq -c '.[]'` does)."
        )


def counted_lines(path: Path, rows: int, what: str = "rows") -> str:
    """The lines of JSON Lines by their ends and by what they hold, for people.

    Raises:
        TableError: ``rows`` does not agree with them.
    """
    end = line_end(path)
    lines, blank = count_lines(path, end), count_blank(path, end)
    said = f"{lines:,} lines = {rows:,} {what}" + (f" + {blank:,} blank" if blank else "")
    if lines != rows + blank:
        raise TableError(f"{path}: {said} does not add up. This is a bug.")
    return said


def first_keys(path: Path) -> set[str]:
    """Keys of the objects among a file's first lines: what it describes, before its values are judged."""
    keys, seen = set[str](), False
    try:
        with open_bytes(path) as file:
            for number, _, raw in islice(lines_of(file, line_end(path)), _FIRST_LINES):
                line = raw.removeprefix(b"\xef\xbb\xbf").strip()
                if line and not seen:
                    refuse_array(path, number, line)
                seen = seen or bool(line)
                with suppress(ValueError, RecursionError):  # reading the file names what is wrong with a line
                    values = json.loads(line)
                    keys |= set(values) if isinstance(values, dict) else set()
    except BROKEN as error:
        raise broken(path, error) from error
    return keys


def json_problem(error: Exception) -> Reason:
    """Why a line is no record."""
    if isinstance(error, UnicodeError):
        return "not_utf8"
    return "wrong_type" if isinstance(error, _WrongTypeError) else "json_malformed"


def _object(line: bytes, fields: dict[str, Field]) -> dict[str, str | None]:
    text = line.decode().strip()
    values = DECODER.decode(text)
    if not isinstance(values, dict):
        raise ValueError
    made = {name: _scalar(value, fields.get(name)) for name, value in values.items()}
    if "\\ud" in text or "\\uD" in text:  # an escaped half of a surrogate pair is no character
        for key_or_value in (*made.keys(), *made.values()):
            (key_or_value or "").encode()
    return made


def read_csv(
    path: Path,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    keep: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> pl.DataFrame:
    """The rows of `csv_files.read_table`."""
    return read_table(path, Csv(delimiter=delimiter, encoding=encoding), keep).frame
