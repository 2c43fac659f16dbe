"""Late days and retention on the files of a lake."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from recsys_assets.settings import Home, HomeConfig
from recsys_assets.stores.lake import Delivery, Lake, days_between
from recsys_assets.stores.late_days import outdated, stale_days
from recsys_assets.stores.retention import drop, expired, first_kept, gone
from recsys_assets.tables import (
    CLEAN_EVENTS,
    DELIVERY_AUDIT,
    LANDING_CATALOG,
    LANDING_EVENTS,
    LANDING_RATES,
    LISTS,
    REJECTED_EVENTS,
    SESSIONS,
    Table,
)
from recsys_assets.tuning import Tuning

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 10)
DAYS = days_between(FIRST, LAST)


@pytest.fixture
def config(home: Home) -> HomeConfig:
    return home.config.model_copy(update={"first_day": FIRST})


@pytest.fixture
def lake(home: Home) -> Lake:
    """Ten days of one delivery, all cleaned."""
    made = Lake(home.lake_url)
    land(made, "first", DAYS)
    for day in DAYS:
        clean(made, day, "first")
    return made


def land(lake: Lake, file_id: str, days: list[date], table: Table = LANDING_EVENTS, **values: str) -> Delivery:
    """A delivery of one row on each day."""
    for day in days:
        row = dict.fromkeys(table.columns) | {"event_date": day, "source_file": file_id, "source_line": 1}
        row |= values
        lake.write(table, day, pl.DataFrame([row], schema=table.columns), part=file_id)
    delivery = Delivery(
        file_id, table.name, "contract", f"{file_id}.csv", None, len(days), {str(day): 1 for day in days}, 1, 1,
        datetime.now(UTC).isoformat(),
    )  # fmt: skip
    lake.record(delivery)
    return delivery


def clean(lake: Lake, day: date, *files: str) -> None:
    lake.write(CLEAN_EVENTS, day, CLEAN_EVENTS.empty())
    rows = [{"event_date": day, "source_file": f, "rows": 1, "clean": 1, "rejected": 0, "duplicates": 0} for f in files]
    lake.write(DELIVERY_AUDIT, day, pl.DataFrame(rows, schema=DELIVERY_AUDIT.columns))


def test_what_lands_late_or_is_withdrawn_makes_its_days_stale(lake: Lake, config: HomeConfig) -> None:
    assert stale_days(lake, config, LAST) == []
    late = land(lake, "late", [DAYS[2], DAYS[7]])
    assert stale_days(lake, config, LAST) == [DAYS[2], DAYS[7]]
    assert stale_days(lake, config, DAYS[6]) == [DAYS[2]]
    clean(lake, DAYS[2], "first", "late")
    assert stale_days(lake, config, LAST) == [DAYS[7]]
    lake.withdraw(late)
    assert stale_days(lake, config, LAST) == [DAYS[2]]


def test_parts_without_a_record_make_no_day_stale(lake: Lake, config: HomeConfig) -> None:
    lake.write(LANDING_EVENTS, DAYS[3], LANDING_EVENTS.empty(), part="of an import that was killed")
    assert stale_days(lake, config, LAST) == []


def test_days_that_were_never_cleaned_are_stale_and_days_before_the_shop_are_none(
    lake: Lake, config: HomeConfig
) -> None:
    ahead = LAST + timedelta(1)
    land(lake, "next", [FIRST - timedelta(1), ahead])
    assert stale_days(lake, config, LAST) == []
    assert stale_days(lake, config, ahead) == [ahead]


def test_a_rate_that_lands_later_makes_the_days_stale_on_which_it_was_missed(lake: Lake, config: HomeConfig) -> None:
    for day, currency in [(DAYS[2], "USD"), (DAYS[7], "USD"), (DAYS[8], "XXX")]:
        row = {"event_date": day, "currency": currency, "reason": "currency_without_rate"}
        lake.write(REJECTED_EVENTS, day, pl.DataFrame([row], schema=REJECTED_EVENTS.columns))
    assert stale_days(lake, config, LAST) == []
    land(lake, "rates", [DAYS[5]], LANDING_RATES, currency="USD", rate="0.9")
    assert stale_days(lake, config, LAST) == [DAYS[7]]


def test_sessions_are_outdated_where_the_events_are_newer(lake: Lake) -> None:
    assert outdated(lake, SESSIONS, DAYS) == DAYS
    for day in DAYS:
        lake.write(SESSIONS, day, SESSIONS.empty())
    assert outdated(lake, SESSIONS, DAYS) == []
    clean(lake, DAYS[4], "first")
    assert outdated(lake, SESSIONS, DAYS) == [DAYS[4]]
    assert outdated(lake, SESSIONS, []) == []


def test_dropped_days_are_gone_stay_gone_and_are_counted(lake: Lake, config: HomeConfig) -> None:
    land(lake, "products", DAYS[:1], LANDING_CATALOG)
    for day in DAYS:
        lake.write(LISTS, day, LISTS.empty())
    tuning = Tuning(window_days=4, retention_days=4, keep_as_of_days=3)
    config = config.model_copy(update={"tuning": tuning})
    assert first_kept(lake, tuning) == DAYS[6]

    tables = {table.table: table for table in expired(lake, tuning)}

    assert {name: table.days for name, table in tables.items()} == {
        **dict.fromkeys(("landing_events", "clean_events", "delivery_audit"), tuple(DAYS[:6])),
        "lists": tuple(DAYS[:7]),
    }
    assert tables["landing_events"].files == 6
    assert tables["landing_events"].bytes == sum(
        sum(files.values()) for day, files in lake.parts("landing_events").items() if day < DAYS[6]
    )
    assert lake.days(CLEAN_EVENTS) == DAYS, "naming drops nothing"
    drop(lake, list(tables.values()))
    assert lake.days(CLEAN_EVENTS) == lake.days(LANDING_EVENTS) == DAYS[6:]
    assert lake.days(LISTS) == DAYS[7:]
    assert lake.days(LANDING_CATALOG) == DAYS[:1], "a product that was delivered long ago is still sold"
    assert expired(lake, tuning) == []
    # The record stays, so that the file is known; its dropped days are no late ones, whatever is kept from now on.
    assert [delivery.file_id for delivery in lake.deliveries(LANDING_EVENTS)] == ["first"]
    assert gone(lake, LANDING_EVENTS) == dict.fromkeys(DAYS[:6], 1)
    assert stale_days(lake, config, LAST) == []
    for_ever = config.model_copy(update={"tuning": Tuning(retention_days=0)})
    assert stale_days(lake, for_ever, LAST) == []
    # What comes even later than that lands, is cleaned by no night, and goes with the next one.
    land(lake, "ages late", [DAYS[1]])
    assert stale_days(lake, config, LAST) == []
    assert [(table.table, table.days) for table in expired(lake, tuning)] == [("landing_events", (DAYS[1],))]


def test_the_day_of_a_run_is_spared(lake: Lake) -> None:
    for day in DAYS:
        lake.write(LISTS, day, LISTS.empty())
    tuning = Tuning(keep_as_of_days=3)
    assert [table.days for table in expired(lake, tuning, spare=DAYS[2])] == [(*DAYS[:2], *DAYS[3:7])]
