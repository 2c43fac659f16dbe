"""Cleaning: every row ends in one place, and neither order nor files decide which."""

import dataclasses
import random
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.identity import KeyRing
from recsys_assets.logic.events import Cleaned, clean
from recsys_assets.logic.landing import LandingRules, land
from recsys_assets.tables import CLEAN_EVENTS, DELIVERY_AUDIT, LANDING_EVENTS, LANDING_RATES, REJECTED_EVENTS

RULES = LandingRules(
    keys=KeyRing(b"a secret for the tests"),
    first_day=date(2024, 1, 1),
    time_zone="UTC",
    currency="EUR",
    now=datetime(2024, 6, 1, tzinfo=UTC),
    search_term_floor=5,
    undated=date(2024, 1, 1),
)
_RAW: dict[str, type[pl.DataType]] = {
    "source_line": pl.Int64,
    "source_offset": pl.Int64,
    "problem": pl.String,
    "_line": pl.String,
}
_TEXT = ("event_id", "event_type", "event_time", "user_id", "product_id", "quantity", "unit_price", "rating")


def landed(rows: list[dict[str, Any]], file: str = "f") -> pl.DataFrame:
    """A file of these rows, as it lands."""
    full = [
        dict.fromkeys(_TEXT) | {"problem": None, "_line": None} | row | {"source_line": n, "source_offset": None}
        for n, row in enumerate(rows, 1)
    ]
    frame = pl.DataFrame(full, schema={**dict.fromkeys(_TEXT, pl.String), **_RAW})
    return land(frame, "events", file, RULES)


def row(**change: str | None) -> dict[str, Any]:
    return {
        "event_type": "purchase",
        "event_time": "2024-05-01T10:00:00Z",
        "user_id": "u",
        "product_id": "p",
        "quantity": "1",
        "unit_price": "2.00",
    } | change


def cleaned_of(rows: pl.DataFrame) -> Cleaned:
    return clean(rows, LANDING_RATES.empty(), "EUR")


def reasons(rows: list[dict[str, Any]]) -> list[str]:
    return cleaned_of(landed(rows)).rejected["reason"].to_list()


def test_no_rows() -> None:
    cleaned = cleaned_of(LANDING_EVENTS.empty())
    assert cleaned.clean.schema == pl.Schema(CLEAN_EVENTS.columns)
    assert cleaned.rejected.schema == pl.Schema(REJECTED_EVENTS.columns)
    assert cleaned.audit.schema == pl.Schema(DELIVERY_AUDIT.columns)


@pytest.mark.parametrize(
    ("change", "quantity", "flag"),
    [
        ({}, 1, None),
        ({"quantity": None}, 1, None),
        ({"unit_price": "0"}, 1, "price_zero"),
        ({"unit_price": None}, 1, "price_missing"),
        ({"event_type": "return", "quantity": "-3"}, -3, None),
        ({"event_type": "return", "quantity": "3"}, -3, "return_turned"),
        ({"event_type": "return", "quantity": None}, -1, None),
        ({"event_type": "view", "quantity": None, "unit_price": None}, None, None),
    ],
)
def test_units_and_flags(change: dict[str, str | None], quantity: int | None, flag: str | None) -> None:
    made = cleaned_of(landed([row(**change)])).clean
    assert made.select("quantity", "flag").rows() == [(quantity, flag)]


def test_a_search_needs_no_product() -> None:
    assert reasons([row(event_type="search", product_id=None), row(event_type="view", product_id=None)]) == [
        "product_missing"
    ]


def test_the_first_reason_wins() -> None:
    assert reasons([row(event_time="x", quantity="0", user_id=None)]) == ["event_time_unreadable"]
    assert reasons([row(event_type="x", quantity="0", user_id=None)]) == ["event_type_unknown"]


def test_one_event_id_with_two_contents_keeps_the_smaller_hash() -> None:
    rows = [row(event_id="e", quantity=q) for q in ("1", "2", "3", "3")]
    cleaned = cleaned_of(landed(rows))
    hashes = landed(rows)["row_hash"].to_list()
    assert len(set(hashes)) == 3
    assert cleaned.clean["quantity"].to_list() == [(1, 2, 3)[hashes.index(min(hashes))]]
    assert cleaned.rejected["reason"].to_list() == ["event_id_conflict"] * 2
    assert cleaned.audit.row(0)[2:] == (4, 1, 2, 1)


def test_an_invalid_row_does_not_push_a_valid_one_out() -> None:
    cleaned = cleaned_of(landed([row(event_id="e", quantity="0"), row(event_id="e", quantity="5")]))
    assert cleaned.clean["quantity"].to_list() == [5]
    assert cleaned.rejected["reason"].to_list() == ["quantity_zero"]


def test_a_row_that_came_too_early_counts_when_it_comes_again() -> None:
    early = landed([row(), row(event_time="2024-06-03T00:00:00Z", event_id="e")]).with_columns(
        event_date=date(2024, 6, 3)
    )
    rules = dataclasses.replace(RULES, now=datetime(2024, 6, 3, tzinfo=UTC))
    again = early.with_columns(problem=pl.lit(None, dtype=pl.String), source_file=pl.lit("g"))
    assert rules.now > RULES.now
    assert early["problem"].to_list() == [None, "event_time_in_future"]
    cleaned = cleaned_of(pl.concat([early, again]))
    assert cleaned.clean.height == 2
    assert cleaned.audit.select(pl.col("rows", "clean", "rejected", "duplicates").sum()).row(0) == (4, 2, 0, 2)


def test_a_window_gives_what_its_days_give() -> None:
    rows = landed([row(event_time=f"2024-05-0{1 + n % 3}T0{n}:00:00Z", event_id=f"e{n % 4}") for n in range(9)])
    whole = cleaned_of(rows)
    days = [cleaned_of(rows.filter(pl.col("event_date") == day)) for day in sorted(rows["event_date"].unique())]
    for name in ("clean", "rejected", "audit"):
        assert getattr(whole, name).equals(pl.concat([getattr(day, name) for day in days]))


_ROWS = st.lists(
    st.builds(
        row,
        event_id=st.sampled_from([None, None, "e1", "e2", "", "x" * 200]),
        event_type=st.sampled_from(["purchase", "view", "return", "bought", None]),
        event_time=st.sampled_from(
            ["2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z", "2024-05-02", "1970-01-01", "x", None]
        ),
        user_id=st.sampled_from(["u", "v", None, ""]),
        quantity=st.sampled_from(["1", "0", "-1", "1.5", None]),
        unit_price=st.sampled_from(["2", "0", "-1", "nan", None]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(rows=_ROWS, seed=st.integers(0, 2**32 - 1), cuts=st.integers(1, 4))
def test_nothing_is_lost_however_rows_are_delivered(rows: list[dict[str, Any]], seed: int, cuts: int) -> None:
    """Promise 1: shuffled lines, files delivered again, rows of all files in any order: the same clean events."""
    draw = random.Random(seed)
    once = cleaned_of(landed(rows, "whole"))
    shuffled = draw.sample(rows, len(rows))
    again = [landed(shuffled, "shuffled"), *(landed(shuffled, f"again {n}") for n in range(cuts))]
    delivered = pl.concat([landed(rows, "whole"), *again])
    cleaned = cleaned_of(delivered.sample(fraction=1, shuffle=True, seed=seed))
    assert cleaned.clean.equals(once.clean)
    assert cleaned.audit["rows"].sum() == delivered.height == len(rows) * (2 + cuts)
    for which in (once, cleaned):
        assert which.audit.filter(pl.col("rows") != pl.sum_horizontal("clean", "rejected", "duplicates")).is_empty()
        assert which.audit["clean"].sum() == which.clean.height
        assert which.audit["rejected"].sum() == which.rejected.height
        assert which.clean.select(pl.struct("event_date", "event_id").is_duplicated().any()).item() is False


@settings(max_examples=60, deadline=None)
@given(rows=_ROWS, seed=st.integers(0, 2**32 - 1))
def test_files_that_share_rows_give_what_one_file_gives(rows: list[dict[str, Any]], seed: int) -> None:
    """Rows with ids of their own may be spread over files at will."""
    draw = random.Random(seed)
    named = [
        made | {"event_id": made["event_id"] or f"e-{n}", "event_time": "2024-05-01"} for n, made in enumerate(rows)
    ]
    named = [made | {"event_id": made["event_id"][:128]} for made in named]
    files = [[made for made in named if draw.random() < 0.6] for _ in range(3)] + [named]
    spread = pl.concat([landed(file, f"f{n}") for n, file in enumerate(files) if file])
    cleaned = cleaned_of(spread)
    assert cleaned.clean.equals(cleaned_of(landed(named)).clean)
    assert (
        cleaned.audit.select((pl.col("clean") + pl.col("rejected") + pl.col("duplicates")).sum()).item()
        == spread.height
    )
