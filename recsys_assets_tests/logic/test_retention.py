from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recsys_assets.logic.retention import KEPT, STANDING, expired, horizon
from recsys_assets.stores.lake import days_between
from recsys_assets.tables import TABLES
from recsys_assets.tuning import Tuning

NEWEST = date(2017, 12, 31)
YEAR = days_between(date(2017, 1, 1), NEWEST)


@given(st.integers(1, 800), st.integers(1, 400))
def test_so_many_days_are_kept_and_the_newest_always(retention_days: int, computed: int) -> None:
    days = days_between(NEWEST - timedelta(computed - 1), NEWEST)
    first = horizon(days, retention_days)
    assert len([day for day in days if day >= first]) == min(retention_days, computed)
    gone = expired({"clean_events": days}, first=first, keep_as_of_days=0)
    assert gone.get("clean_events", []) == [day for day in days if day < first]


def test_what_is_made_as_of_a_day_is_kept_by_number_of_days_that_were_made() -> None:
    monthly = [date(2017, month, 1) for month in range(1, 13)]
    found = {"lists": monthly, "models/als": monthly, "clean_events": YEAR}
    gone = expired(found, first=date.min, keep_as_of_days=3)
    assert gone == {"lists": monthly[:-3], "models/als": monthly[:-3]}
    assert expired(found, first=date.min, keep_as_of_days=0) == {}
    # A year that somebody rebuilds stays until the next night, but nothing outlives its events.
    spared = expired(found, first=date.min, keep_as_of_days=3, spare=monthly[0])
    assert spared["lists"] == monthly[1:-3]
    assert monthly[0] in expired(found, first=date(2017, 6, 1), keep_as_of_days=3, spare=monthly[0])["lists"]


def test_every_table_either_stands_or_has_an_age() -> None:
    assert set(TABLES) == set(STANDING) | (set(KEPT) & set(TABLES))
    assert {"landing_events", "clean_events", "rejected_events", "sessions"} <= set(KEPT)


def test_knobs_that_would_drop_what_is_read_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"window_days \(365\) .* retention_days \(90\)"):
        Tuning(retention_days=90)
    with pytest.raises(ValidationError, match=r"keep_as_of_days \(2\) .* keep_generations \(3\)"):
        Tuning(keep_as_of_days=2)
    assert Tuning(retention_days=90, window_days=90).retention_days == 90
    assert Tuning(retention_days=0, keep_as_of_days=0).window_days == 365
