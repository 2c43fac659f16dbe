from datetime import date
from pathlib import Path

import polars as pl
import pytest

from recsys_assets.errors import NotFoundError, TableError
from recsys_assets.stores.lake import Delivery, Lake, days_between
from recsys_assets.tables import DELIVERY_AUDIT, Table

MONDAY, TUESDAY, WEDNESDAY = days_between(date(2017, 1, 2), date(2017, 1, 4))


def audit(*rows: tuple[date, str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"event_date": d, "source_file": f, "rows": n, "clean": n, "rejected": 0, "duplicates": 0}
            for d, f, n in rows
        ],
        schema=DELIVERY_AUDIT.columns,
    )


def test_every_day_of_the_window_is_replaced_also_by_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write_daily(DELIVERY_AUDIT, [MONDAY, TUESDAY], audit((MONDAY, "a", 1), (TUESDAY, "a", 2)))
    written = lake.write_daily(DELIVERY_AUDIT, [MONDAY, TUESDAY], audit((TUESDAY, "b", 3)))
    assert written == {MONDAY: 0, TUESDAY: 1}
    assert (
        lake.scan(DELIVERY_AUDIT, [MONDAY, TUESDAY, WEDNESDAY]).collect().to_dicts()
        == audit((TUESDAY, "b", 3)).to_dicts()
    )
    assert lake.days(DELIVERY_AUDIT) == [MONDAY, TUESDAY]


def test_a_row_of_another_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="2017-01-04"):
        Lake(tmp_path).write_daily(DELIVERY_AUDIT, [MONDAY], audit((WEDNESDAY, "a", 1)))


def test_a_wrong_column_is_named(tmp_path: Path) -> None:
    frame = audit((MONDAY, "a", 1)).with_columns(pl.col.rows.cast(pl.Int32)).drop("clean")
    with pytest.raises(TableError, match=r"rows is Int32 instead of Int64; clean is missing"):
        Lake(tmp_path).write(DELIVERY_AUDIT, MONDAY, frame)


def test_a_day_that_was_never_written_names_its_asset(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="asset delivery_audit"):
        Lake(tmp_path).read(DELIVERY_AUDIT, MONDAY)


def test_only_parts_of_recorded_deliveries_count(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    landing = Table("landing_events", "daily", (), DELIVERY_AUDIT.columns, "")
    lake.write(landing, MONDAY, audit((MONDAY, "whole", 1)), part="whole")
    lake.write(landing, MONDAY, audit((MONDAY, "killed", 1)), part="killed")
    delivery = Delivery("whole", landing.name, "contract", "f.csv", None, 1, {"2017-01-02": 1}, 9, 9, "now")
    lake.record(delivery)
    assert lake.scan_landed(landing, [MONDAY]).collect()["source_file"].to_list() == ["whole"]
    assert list(lake.deliveries(landing)) == [delivery]
