"""Records with values inside values (JSON Lines, nested Parquet) → text columns, named by paths.

A path is the names on the way, with points between them: `properties.product_id`. `products[]` is a list that makes a
row of each of its elements: `products[].sku`. `event_params[ga_session_id]` is a list of keys and values, of which the
value of that key is taken; of a value that is an object, the first member that is there. Between `|` stand paths of
which the first one with a value counts. A name that the record itself has is taken as it stands, points and all.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import polars as pl

from recsys_assets.contract import MAX_LINE_BYTES, Field, Reason
from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS
from recsys_assets.importers.files import BROKEN, broken, open_bytes
from recsys_assets.importers.headers import refuse_encoding
from recsys_assets.importers.lines import Rows, line_end, lines_of
from recsys_assets.importers.text import DECODER, counted_lines, json_problem, refuse_array

_STEP = re.compile(r"([^\[\]]+)(?:\[([^\[\]]*)\])?")
_KEYS, _VALUE = ("key", "name"), "value"
_NESTED = ("list", "object")
_MANY = "event_id"  # ends in -2, -3, … in the further rows of a record


class WrongTypeError(ValueError):
    """A list or object stands where one value belongs."""


@dataclass(frozen=True)
class Step:
    """One name of a path; `rows`: each element of its list is a row, `key`: the entry of its list that is taken."""

    name: str
    rows: bool = False
    key: str | None = None


Route = tuple[Step, ...]


def routes_of(path: str) -> tuple[Route, ...]:
    """The ways that a path names, best first.

    >>> routes_of("items[].id")
    ((Step(name='items', rows=True, key=None), Step(name='id', rows=False, key=None)),)

    Raises:
        SourceError: it is no path.
    """
    routes = []
    for way in path.split("|"):
        found = [_STEP.fullmatch(part.strip()) for part in re.split(r"\.(?![^\[]*\])", way)]
        steps = tuple(Step(m[1], m[2] == "", m[2] or None) for m in found if m)
        if len(steps) < len(found):
            raise SourceError(
                f"{path!r} is no path into a record. Write names with points between them, `list[].name` for a row per "
                "element, or `list[key]` for a list of keys and values."
            )
        routes.append(steps)
    return tuple(routes)


class Paths:
    """The columns that are asked for, each a path with the field that it fills (None: any value will do)."""

    def __init__(self, asked: Mapping[str, Field | None]) -> None:
        self.asked = asked
        self.routes = {path: routes_of(path) for path in asked}
        self.ways = {
            path: [(_list_of(route), route[len(_list_of(route)) :]) for route in routes]
            for path, routes in self.routes.items()
        }
        self.met = set[str]()

    @cached_property
    def lists(self) -> list[tuple[str, ...]]:
        """The lists that make rows, outer ones first.

        Raises:
            SourceError: two of them lie beside each other.
        """
        found = {names for routes in self.routes.values() for route in routes for names in _lists(route)}
        ordered = sorted(found, key=lambda names: (len(names), names))
        for outer, inner in pairwise(ordered):
            if inner[: len(outer)] != outer:
                both = " and ".join(".".join(names) + "[]" for names in (outer, inner))
                raise SourceError(f"{both} lie beside each other: only one list, and lists in it, can make rows.")
        return ordered

    def rows(self, record: dict[str, Any]) -> list[dict[str, str | None]]:
        """The rows of one record, at least one.

        Raises:
            WrongTypeError: a list or object stands where one value belongs.
        """
        made = [self._row(record, elements) for elements in self._elements(record)]
        for path, field in self.asked.items():
            if field is not None and field.name == _MANY:
                for number, row in enumerate(made[1:], 2):
                    row[path] = None if row[path] is None else f"{row[path]}-{number}"
        return made

    def _elements(self, record: dict[str, Any]) -> list[dict[tuple[str, ...], Any]]:
        """Per row, the element of each list."""
        rows: list[dict[tuple[str, ...], Any]] = [{(): record}]
        for names in self.lists:
            longer = []
            for row in rows:
                outer = max((known for known in row if names[: len(known)] == known), key=len)
                value = row[outer]
                for name in names[len(outer) :]:
                    value = value.get(name) if isinstance(value, dict) else None
                value = _bare(value)
                longer += [row | {names: element} for element in (value if isinstance(value, list) else [value])]
                if value == []:
                    longer.append(row | {names: None})
            rows = longer
        return rows

    def _row(self, record: dict[str, Any], elements: dict[tuple[str, ...], Any]) -> dict[str, str | None]:
        made: dict[str, str | None] = {}
        for path, field in self.asked.items():
            value = record[path] if path in record else self._first(path, elements)
            if path in record:
                self.met.add(path)
            made[path] = as_text(value, field)
        return made

    def _first(self, path: str, elements: dict[tuple[str, ...], Any]) -> Any:
        for names, steps in self.ways[path]:
            value, there = elements[names], True
            for step in steps:
                there = there and isinstance(value, dict) and step.name in value
                value = value[step.name] if there else None
                value = value if step.key is None else _entry(value, step.key)
            if there and (value is not None or not steps or steps[-1].key is None):
                self.met.add(path)
            if value is not None and value != "":
                return value
        return None


def _list_of(route: Route) -> tuple[str, ...]:
    """Names that lead to the innermost list of a route that makes rows; none where no list does."""
    return max(_lists(route), key=len, default=())


def _lists(route: Route) -> list[tuple[str, ...]]:
    """Names that lead to each list of a route that makes rows."""
    names = tuple(step.name for step in route)
    return [names[: place + 1] for place, step in enumerate(route) if step.rows]


def _entry(entries: Any, key: str) -> Any:
    """The value of a key in a list of keys and values.

    >>> _entry([{"key": "page", "value": {"string_value": None, "int_value": 7}}], "page")
    7
    """
    entries = _bare(entries)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and key in (entry.get(name) for name in _KEYS):
            value = entry.get(_VALUE)
            return next((v for v in value.values() if v is not None), None) if isinstance(value, dict) else value
    return None


def _bare(value: Any) -> Any:
    """A list without the wrapping that some writers of Parquet leave around lists.

    >>> _bare({"list": [{"element": {"key": "page"}}]})
    [{'key': 'page'}]
    """
    if not isinstance(value, dict) or value.keys() != {"list"} or not isinstance(value["list"], list):
        return value
    wrapped = all(isinstance(one, dict) and one.keys() == {"element"} for one in value["list"])
    return [one["element"] for one in value["list"]] if wrapped else value


def as_text(value: Any, field: Field | None) -> str | None:
    """One value as landing parses it; an empty text is none.

    Raises:
        WrongTypeError: it is a list, an object or a truth value, and the field wants another.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        if field is None or field.type == "boolean":
            return "true" if value else "false"
        raise WrongTypeError
    if isinstance(value, (list, dict)):
        if field is None or field.type in _NESTED:
            return json.dumps(value, ensure_ascii=False, default=str)
        raise WrongTypeError
    if isinstance(value, bytes):
        return value.decode()
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


@dataclass(frozen=True)
class Records:
    """Text columns named by their paths and `RAW_COLUMNS`; how lines, records and rows add up; what was not met."""

    frame: pl.DataFrame
    counted: str
    absent: tuple[str, ...]
    names: tuple[str, ...]  # of the records themselves


def read_records(path: Path, asked: Mapping[str, Field | None]) -> Records:
    """JSON Lines, one object per line; one that cannot be read is one row with a problem. Blank lines are no records.

    Raises:
        SourceError: the file is empty, cut short or damaged, or a path is none.
    """
    paths, rows, columns = Paths(asked), Rows(), {name: list[str | None]() for name in asked}
    names, records, number = dict[str, None](), 0, 0
    try:
        with open_bytes(path) as file:
            for number, offset, raw in lines_of(file, line_end(path)):
                if number == 1:
                    refuse_encoding(path, raw)
                line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
                if len(raw) <= MAX_LINE_BYTES and not line.strip():
                    continue
                if not records:
                    refuse_array(path, number, line)
                records += 1
                problem, made = _made(line, paths, names)
                for row in made:
                    rows.add(number, offset, problem, raw if problem else None)
                    for name, column in columns.items():
                        column.append(row.get(name))
    except BROKEN as error:
        raise broken(path, error, number + 1) from error
    if not records:
        raise SourceError(f"{path}: the file holds no rows. Deliver it again, or remove it.")
    counted = f"{counted_lines(path, records, 'records')}; {_made_of(records, len(rows.lines))}"
    absent = tuple(name for name in asked if name not in paths.met)
    return Records(rows.frame(columns), counted, absent, tuple(sorted(names)))


def _made(line: bytes, paths: Paths, names: dict[str, None]) -> tuple[Reason | None, list[dict[str, str | None]]]:
    if len(line) > MAX_LINE_BYTES:
        return "line_too_long", [{}]
    try:
        text = line.decode().strip()
        record = DECODER.decode(text)
        if not isinstance(record, dict):
            return "json_malformed", [{}]
        names.update(dict.fromkeys(record))
        made = paths.rows(record)
        if "\\ud" in text or "\\uD" in text:  # an escaped half of a surrogate pair is no character
            "".join(value or "" for row in made for value in row.values()).encode()
    except WrongTypeError:
        return "wrong_type", [{}]
    except (ValueError, RecursionError) as error:
        return json_problem(error), [{}]
    return None, made


def _made_of(records: int, rows: int) -> str:
    return f"{records:,} records made {rows:,} rows"


def flatten(sent: pl.DataFrame, asked: Mapping[str, Field | None]) -> Records:
    """Rows of a Parquet file, of which some columns hold lists and structures; plain columns keep their dtype.

    Raises:
        SourceError: a path is none.
    """
    paths = Paths(asked)
    own = [name for name, field in asked.items() if field is not None and field.name == _MANY]
    plain = [name for name in asked if name in sent.columns and not sent.schema[name].is_nested() and name not in own]
    inner = Paths({name: field for name, field in asked.items() if name not in plain})
    tops = {step.name for routes in inner.routes.values() for route in routes for step in route[:1]} | set(inner.asked)
    places, problems, columns = list[int](), list[str | None](), {name: list[str | None]() for name in inner.asked}
    for place, record in enumerate(sent.select(name for name in sent.columns if name in tops).iter_rows(named=True)):
        problem, made = _guarded(inner.rows, record)
        for row in made:
            places.append(place)
            problems.append(problem)
            for name, column in columns.items():
                column.append(row.get(name))
    rows = pl.Series(places, dtype=pl.UInt32)
    series = [sent[name].gather(rows) if name in plain else pl.Series(name, columns[name], pl.String) for name in asked]
    raw = {
        "source_line": rows.cast(pl.Int64) + 1,
        "source_offset": pl.Series([None], dtype=pl.Int64).new_from_index(0, len(rows)),
        "problem": pl.Series(problems, dtype=pl.String),
        "_line": pl.Series([None], dtype=pl.String).new_from_index(0, len(rows)),
    }
    frame = pl.DataFrame([*series, *(raw[name].alias(name) for name in RAW_COLUMNS)])
    absent = tuple(name for name in paths.asked if name not in plain and name not in inner.met)
    return Records(frame, _made_of(sent.height, len(rows)), absent, tuple(sent.columns))


def _guarded(
    rows: Callable[[dict[str, Any]], list[dict[str, str | None]]], record: dict[str, Any]
) -> tuple[Reason | None, list[dict[str, str | None]]]:
    try:
        return None, rows(record)
    except WrongTypeError:
        return "wrong_type", [{}]
    except UnicodeDecodeError:
        return "not_utf8", [{}]


def leaves(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The paths of a record's values, each with a value.

    >>> list(leaves({"a": {"b": 1}, "c": [{"d": 2}, {"d": 3}]}))
    [('a.b', 1), ('c[].d', 2)]
    """
    for name, value in record.items():
        inner = value[0] if isinstance(value, list) and value else value
        rows = "[]" if isinstance(value, list) else ""
        if isinstance(inner, dict):
            yield from leaves(inner, f"{before}{name}{rows}.")
        else:
            yield f"{before}{name}{rows}", inner


def head_of_records(path: Path, most: int, wanted: Callable[[str], bool]) -> pl.DataFrame:
    """The first records of JSON Lines as rows, with every path that they have; only one list can make rows.

    Of several lists it is the one with a path that is ``wanted``, else the first.
    """
    records = list[dict[str, Any]]()
    with open_bytes(path) as file:
        for _, _, raw in islice(lines_of(file, line_end(path)), most):
            with suppress(ValueError, RecursionError):  # reading the file names what is wrong with a line
                record = DECODER.decode(raw.decode().removeprefix("\ufeff").strip())
                records += [record] if isinstance(record, dict) else []
    names = list(dict.fromkeys(name for record in records for name, _ in leaves(record)))
    lists = sorted((name for name in names if "[]" in name), key=wanted, reverse=True)
    best = lists[0].rpartition("[]")[0] if lists else ""
    kept = [name for name in names if "[]" not in name or name.rpartition("[]")[0] == best]
    paths = Paths(dict.fromkeys(name for name in kept if _is_path(name)))
    rows = [row for record in records for row in paths.rows(record)]
    return pl.DataFrame([pl.Series(name, [row[name] for row in rows], dtype=pl.String) for name in paths.asked])


def _is_path(name: str) -> bool:
    try:
        return bool(routes_of(name))
    except SourceError:
        return False
