"""Records with values inside values: paths, lists that make rows, lists of keys and values; none is lost."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_assets.contract import EVENT_FIELDS
from recsys_assets.errors import SourceError
from recsys_assets.importers.nested import read_records, routes_of
from recsys_assets.importers.reports import FileReport
from recsys_assets_tests.importers.shop import Desk, jsonl, reasons

FLAT = """
kind = "events"
[columns]
event_time = "ts"
user_id = "uid"
product_id = "asin"
event_type = "verb"
"""
TRACKED = """
kind = "events"
[columns]
event_id = "id"
event_time = "at"
user_id = "who.id | who.mail"
product_id = "cart.lines[].sku | cart.sku"
quantity = "cart.lines[].n"
unit_price = "cart.lines[].price"
order_id = "cart.order"
event_type = "verb"
context = "facts[visit]"
"""


def take(desk: Desk, mapping: str, records: Sequence[dict[str, Any]]) -> FileReport:
    map = desk.put("shop.toml", mapping.encode())
    (report,) = desk.take(desk.put("day.jsonl", jsonl(records)), "mapped", map=map)
    return report


def tracked(verb: str = "purchase", **more: Any) -> dict[str, Any]:
    return {"id": "m-1", "at": "2024-05-01T10:00:00Z", "verb": verb, "who": {"id": "u-1"}} | more


def test_lines_with_other_names(desk: Desk) -> None:
    rows: list[dict[str, Any]] = [
        {"ts": "2024-05-01T10:00:00Z", "uid": "u-1", "asin": "B1", "verb": "view"},
        {"ts": "2024-05-01T10:05:00Z", "uid": 7, "asin": "B2", "verb": "purchase", "colour": "red"},
    ]
    report = take(desk, FLAT, rows)
    assert (report.clean, report.rejected, report.ignored) == (2, {}, ("colour",))
    landed = desk.landed()
    assert landed["product_id"].to_list() == ["B1", "B2"]
    assert landed["user_key"].to_list() == [desk.home.keys.user_key(who) for who in ("u-1", "7")]


def test_a_list_makes_a_row_of_each_element(desk: Desk) -> None:
    lines = [{"sku": "p-1", "n": 2, "price": 12.5}, {"sku": "p-2", "n": 1, "price": 3}]
    records = [
        tracked(cart={"order": "o-1", "lines": lines}, facts=[{"key": "visit", "value": {"s": None, "n": 7}}]),
        tracked("view", id="m-2", cart={"sku": "p-3", "lines": []}, facts=[]),
        tracked("view", id="m-3", who={"id": "", "mail": "a@example.org"}, cart={"sku": "p-4"}),
        tracked("view", id="m-4", cart=None),
    ]
    report = take(desk, TRACKED, records)
    assert report.counted == "4 lines = 4 records; 4 records made 5 rows"
    assert reasons(report) == {"product_missing": 1}
    landed = desk.landed()
    assert landed["event_id"].to_list() == ["m-1", "m-1-2", "m-2", "m-3", "m-4"]
    assert landed["product_id"].to_list() == ["p-1", "p-2", "p-3", "p-4", None]
    assert landed["unit_price_micros"].to_list() == [12_500_000, 3_000_000, None, None, None]
    assert landed["order_id"].to_list() == ["o-1", "o-1", None, None, None]
    assert landed["context"].to_list() == ["7", "7", None, None, None]
    assert landed["user_key"][3] == desk.home.keys.user_key("a@example.org")
    assert "a@example.org" not in str(landed.to_dicts())


def test_lists_within_lists(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(jsonl([{"a": [{"n": 1, "b": [{"x": "p"}, {"x": "q"}]}, {"n": 2, "b": []}]}, {"a": {"n": 3}}]))
    frame = read_records(path, {"a[].n": None, "a[].b[].x": None}).frame
    assert frame.select("source_line", "a[].n", "a[].b[].x").rows() == [
        (1, "1", "p"),
        (1, "1", "q"),
        (1, "2", None),
        (2, "3", None),  # one element without brackets around it
    ]


def test_lists_beside_each_other_and_broken_paths_are_refused(desk: Desk) -> None:
    path = desk.put("x.jsonl", b"{}\n")
    with pytest.raises(SourceError, match=r"a\[\] and b\[\] lie beside each other"):
        read_records(path, {"a[].x": None, "b[].y": None})
    for wrong in ("a..b", "a[", "a]b", ""):
        with pytest.raises(SourceError, match="is no path"):
            routes_of(wrong)


def test_what_cannot_be_read_is_a_row_with_a_reason(desk: Desk) -> None:
    good = json.dumps(tracked("view", cart={"sku": "p-1"})).encode()
    lines = [good, b"", b"{", b"[1]", b"\xff", good.replace(b'"p-1"', b'{"a": 1}'), good.replace(b'"u-1"', b"true")]
    map = desk.put("shop.toml", TRACKED.encode())
    (report,) = desk.take(desk.put("day.jsonl", b"\n".join(lines)), "mapped", map=map)
    assert report.counted == "7 lines = 6 records + 1 blank; 6 records made 6 rows"
    assert reasons(report) == {"json_malformed": 2, "not_utf8": 1, "wrong_type": 2}
    assert report.rejected["wrong_type"].line == 6


def test_a_path_that_no_record_has(desk: Desk) -> None:
    report = take(desk, TRACKED, [tracked("view", cart={"sku": "p-1"})])
    assert "no record has cart.order" in report.warnings
    assert "no record has who.id | who.mail" not in report.warnings
    with pytest.raises(SourceError, match=r"names the columns cart.lines.* the file has "):
        take(desk, TRACKED, [tracked("view", cart={"article": "p-1"})])


def test_a_name_with_a_point_in_it(desk: Desk) -> None:
    mapping = FLAT.replace('"uid"', '"user.id"')
    report = take(desk, mapping, [{"ts": "2024-05-01", "user.id": "u", "asin": "B", "verb": "view"}])
    assert report.clean == 1


def test_nested_parquet(desk: Desk) -> None:
    records = [
        {"at": datetime(2024, 5, 1, 10, tzinfo=UTC), "id": "m-1", "verb": "purchase", "who": {"id": 7, "mail": None},
         "cart": {"order": "o-1", "sku": None, "lines": [{"sku": "p-1", "n": 2, "price": 12.5},
                                                         {"sku": "p-2", "n": 1, "price": 3.0}]},
         "facts": [{"key": "visit", "value": {"s": None, "n": 9}}]},
        {"at": datetime(2024, 5, 1, 11, tzinfo=UTC), "id": "m-2", "verb": "view", "who": None,
         "cart": {"order": None, "sku": "p-3", "lines": []}, "facts": []},
    ]  # fmt: skip
    path = desk.put("day.parquet", b"")
    pl.DataFrame(records).write_parquet(path)
    (report,) = desk.take(path, "mapped", map=desk.put("shop.toml", TRACKED.encode()))
    assert report.counted == "2 records made 3 rows"
    assert reasons(report) == {"person_missing": 1}
    landed = desk.landed()
    columns = ("source_line", "product_id", "quantity", "unit_price_micros", "context")
    assert landed.select(columns).rows() == [
        (1, "p-1", 2, 12_500_000, "9"),
        (1, "p-2", 1, 3_000_000, "9"),
        (2, "p-3", None, None, None),
    ]
    assert str(landed["event_time"][0]) == "2024-05-01 10:00:00+00:00"


def test_lists_that_a_writer_of_parquet_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    wrapped = {"list": [{"element": {"id": "p"}}, {"element": {"id": "q"}}]}
    path.write_bytes(jsonl([{"items": wrapped, "params": {"list": [{"element": {"key": "k", "value": {"i": 7}}}]}}]))
    frame = read_records(path, {"items[].id": None, "params[k]": None}).frame
    assert frame.select("items[].id", "params[k]").rows() == [("p", "7"), ("q", "7")]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
SCALAR = st.none() | TEXT | st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(float)
_Made = tuple[list[str], list[dict[str, Any]], list[list[Any]]]
NAMES = st.text("abc", min_size=1, max_size=2)


@st.composite
def _records(draw: st.DrawFn) -> _Made:
    """Paths, records that hold values at them, and the rows that are right."""
    names = draw(st.lists(NAMES, min_size=2, max_size=4))
    outer, inner = names[:-1], names[-1]
    records, right = [], []
    for lists in draw(st.lists(st.lists(st.tuples(SCALAR, st.booleans()), max_size=4), min_size=1, max_size=6)):
        here = draw(SCALAR)
        elements = [{inner: value} if there or value is not None else {} for value, there in lists]
        nest: Any = {"rows": elements, "one": {inner: here}}
        for name in reversed(outer):
            nest = {name: nest, "other": [1, {"x": 2}]}
        records.append(nest)
        right += [[here, value] for value, _ in lists] or [[here, None]]
    before = ".".join(outer)
    return [f"{before}.one.{inner}", f"{before}.rows[].{inner}"], records, right


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_records())
def test_what_was_written_is_read(
    tmp_path: Path, made: tuple[list[str], list[dict[str, Any]], list[list[Any]]]
) -> None:
    paths, records, right = made
    path = tmp_path / "x.jsonl"
    path.write_bytes(jsonl(records))
    frame = read_records(path, dict.fromkeys(paths)).frame
    assert frame["problem"].null_count() == frame.height
    assert frame.select(paths).rows() == [tuple(None if v is None else _sent(v) for v in row) for row in right]


def _sent(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.recursive(SCALAR | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner))))
def test_no_record_is_lost(tmp_path: Path, values: list[Any]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n' + b"".join(json.dumps(value).encode() + b"\n" for value in values))
    fields = {"a.b": EVENT_FIELDS[0], "a[].c": EVENT_FIELDS[6]}
    frame = read_records(path, fields).frame
    assert set(frame["source_line"]) == set(range(1, len(values) + 2))
