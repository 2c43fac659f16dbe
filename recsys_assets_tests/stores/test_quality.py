from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_assets.errors import TableError
from recsys_assets.identity import KeyRing
from recsys_assets.stores.quality import Expectation, validate_events
from recsys_assets.tables import CLEAN_EVENTS

FIRST, LAST = date(2017, 3, 1), date(2017, 3, 2)
KEYS = KeyRing(b"a secret of 16 bytes")
GOOD: dict[str, Any] = {
    "event_type": "purchase",
    "event_time": datetime(2017, 3, 1, 23, 30, tzinfo=UTC),
    "user_key": KEYS.user_key("7"),
    "session_id": KEYS.session_key("7"),
    "product_id": "milk",
    "quantity": 2,
    "unit_price_micros": 1_990_000,
    "event_date": LAST,  # half past midnight in Berlin
}
# What each rule catches, planted in one row of five.
PLANTED: dict[str, dict[str, Any]] = {
    "event_id_is_set": {"event_id": None},
    "event_id_is_unique": {"event_id": "e1"},
    "event_type_is_set": {"event_type": None},
    "event_type_is_known": {"event_type": "teleport"},
    "event_time_is_set": {"event_time": None},
    "event_date_is_set": {"event_date": None},
    "event_date_in_window": {"event_date": date(2017, 2, 28)},
    "event_date_near_event_time": {"event_time": datetime(2017, 2, 28, tzinfo=UTC)},
    "person_is_set": {"user_key": None},
    "purchase_has_product": {"product_id": None},
    "quantity_is_not_zero": {"quantity": 0},
    "unit_price_not_negative": {"unit_price_micros": -1},
    "list_price_not_negative": {"list_price_micros": -1},
    "rating_from_1_to_5": {"rating": 5.5},
}


def events(changes: Mapping[int, Mapping[str, Any]], rows: int = 5) -> pl.DataFrame:
    made = [{"event_id": f"e{n}"} | GOOD | dict(changes.get(n, {})) for n in range(rows)]
    return CLEAN_EVENTS.conform(
        pl.concat([CLEAN_EVENTS.empty(), pl.DataFrame(made, schema_overrides=CLEAN_EVENTS.columns)], how="diagonal")
    )


def failed(verdicts: list[Expectation]) -> dict[str, str]:
    return {verdict.name: verdict.observed for verdict in verdicts if not verdict.ok}


def test_good_events_pass_and_have_pages(tmp_path: Path) -> None:
    docs = tmp_path / "data docs"
    verdicts = validate_events(events({1: {"user_key": None, "anon_key": KEYS.anon_key("c")}}), docs, (FIRST, LAST))
    assert failed(verdicts) == {}
    assert {verdict.name for verdict in verdicts} == {"has_rows", *PLANTED}
    assert verdicts[0].observed == "5 rows"
    assert "Data Docs" in (docs / "index.html").read_text()
    assert len(list(docs.glob("validations/**/*.html"))) == 1


def test_each_rule_catches_what_was_planted_for_it_and_only_that(tmp_path: Path) -> None:
    for name, change in PLANTED.items():
        caught = failed(validate_events(events({3: change}), tmp_path / "docs", (FIRST, LAST)))
        # A second "e1" makes two rows that are not unique.
        assert caught == {name: f"{2 if name == 'event_id_is_unique' else 1} of 5 rows break it"}


def test_a_sample_still_sees_the_one_bad_row_and_the_far_twin(tmp_path: Path) -> None:
    frame = events({777: {"quantity": 0}, 4_999: {"event_id": "e11"}}, rows=5_000)
    caught = failed(validate_events(frame, tmp_path / "docs", (FIRST, LAST), sample_rows=100))
    assert caught == {
        "event_id_is_unique": "2 of 5,000 rows break it",
        "quantity_is_not_zero": "1 of 5,000 rows break it",
    }


def test_the_verdicts_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    frame = events({3: {"quantity": 0}, 4: {"rating": 0.0}, 7: {"event_id": "e1"}}, rows=40)
    verdicts = [
        validate_events(rows, tmp_path / "docs", (FIRST, LAST), sample_rows=10) for rows in (frame, frame.reverse())
    ]
    assert verdicts[0] == verdicts[1]


def test_a_day_without_events_warns_and_breaks_nothing(tmp_path: Path) -> None:
    verdicts = validate_events(CLEAN_EVENTS.empty(), tmp_path / "docs", (FIRST, LAST))
    assert [(verdict.name, verdict.severity) for verdict in verdicts if not verdict.ok] == [("has_rows", "warn")]
    assert (tmp_path / "docs/index.html").exists()


def test_no_key_and_no_shop_value_stands_in_any_page_or_verdict(tmp_path: Path) -> None:
    bad = dict(enumerate(PLANTED.values(), start=2))
    bad[19] = {"user_key": "k" * 32, "product_id": "secret-product", "quantity": 0}
    docs = tmp_path / "docs"
    verdicts = validate_events(events(bad, rows=20), docs, (FIRST, LAST))
    assert len(failed(verdicts)) == len(PLANTED)
    needles = [GOOD["user_key"], GOOD["session_id"], "k" * 32, "secret-product", "teleport"]
    everything = [path.read_bytes() for path in docs.rglob("*") if path.is_file()] + [repr(verdicts).encode()]
    assert not [needle for needle in needles for content in everything if needle.encode() in content]


def test_new_pages_replace_the_old_ones_and_leave_nothing_beside(tmp_path: Path) -> None:
    for _ in range(2):
        validate_events(events({}), tmp_path / "docs", (FIRST, LAST))
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]
    assert len(list((tmp_path / "docs").glob("validations/**/*.html"))) == 1


def test_another_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="clean_events"):
        validate_events(pl.DataFrame({"event_id": ["a"]}), tmp_path / "docs", (FIRST, LAST))


def test_validation_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    validate_events(events({}), tmp_path / "docs", (FIRST, LAST))
    assert capfd.readouterr() == ("", "")
