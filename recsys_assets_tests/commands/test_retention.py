import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from recsys_assets.commands import home as home_commands
from recsys_assets.commands import ingest, retention, run
from recsys_assets.errors import SettingsError
from recsys_assets.settings import Home
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import CLEAN_EVENTS, LANDING_EVENTS

DAYS = [date(2024, 3, day) for day in (1, 2, 5)]
FIRST_KEPT = date(2024, 3, 3)
LINES = ["event_type,event_time,user_id,product_id,quantity,unit_price"]
LINES += [f"purchase,{day}T12:00:00Z,person {day},p1,{quantity},1.50" for day in DAYS for quantity in (0, 1)]


@pytest.fixture
def shop(make_home: Callable[..., Home], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An archive of five days that keeps three; its one file, of three days, is not imported yet."""
    home = make_home(first_day=DAYS[0], last_day=DAYS[-1])
    with (home.path / "home.toml").open("a") as file:
        file.write("\n[tuning]\nretention_days = 3\nwindow_days = 3\n")
    (tmp_path / "shop.csv").write_text("\n".join(LINES) + "\n")
    monkeypatch.setenv("RECSYS_HOME", str(home.path))
    lake = Lake(home.lake_url)
    for day in DAYS:
        lake.write(CLEAN_EVENTS, day, CLEAN_EVENTS.empty())
    return home


def called(command: click.Command, *words: object) -> str:
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False).output


def test_old_days_are_named_dropped_and_told_of(shop: Home, tmp_path: Path) -> None:
    lake, show = Lake(shop.lake_url), ingest.rejected.commands["show"]
    landed = called(ingest.ingest_command, "contract", tmp_path / "shop.csv")
    assert f"4 rows are of days before {FIRST_KEPT}, which retention_days does not keep" in landed
    assert called(show).count("quantity_zero") == 3

    named = called(retention.retention_command, "--check")
    assert "landing_events          2 days         2 files" in named
    assert f"would be dropped; events are kept from {FIRST_KEPT} on" in named
    assert lake.days(LANDING_EVENTS) == DAYS

    told = json.loads(called(retention.retention_command, "--json"))
    assert (told["first_day_kept"], told["dropped"]) == (str(FIRST_KEPT), True)
    assert [(table["table"], table["days"]) for table in told["tables"]] == [
        (name, [str(day) for day in DAYS[:2]]) for name in ("landing_events", "clean_events")
    ]
    assert lake.days(LANDING_EVENTS) == lake.days(CLEAN_EVENTS) == DAYS[2:]
    assert called(retention.retention_command) == f"nothing to drop; events are kept from {FIRST_KEPT} on\n"

    shown = called(show)
    assert shown.count("quantity_zero") == 1
    assert "4 landed rows of 2 days from 2024-03-01 to 2024-03-02 were dropped (retention_days)" in shown
    assert "2 landed rows of 2024-03-01 were dropped" in called(show, "--day", DAYS[0])
    assert "dropped" not in called(show, "--day", DAYS[2])
    # The file is known: it brings nothing back.
    assert "had already landed" in called(ingest.ingest_command, "contract", tmp_path / "shop.csv")
    assert lake.days(LANDING_EVENTS) == DAYS[2:]


def test_days_that_are_not_what_has_landed_are_in_the_status(shop: Home, tmp_path: Path) -> None:
    assert "days   every earlier day is what has landed" in called(home_commands.status)
    called(ingest.ingest_command, "contract", tmp_path / "shop.csv")
    assert f"days   1 earlier day ({DAYS[2]}) is not what has landed: `recsys run history --changed`" in called(
        home_commands.status
    )
    assert json.loads(called(home_commands.status, "--json"))["changed_days"] == [str(DAYS[2])]


def test_changed_days_name_themselves(shop: Home) -> None:
    with pytest.raises(SettingsError, match="leave --from and --to out"):
        called(run.history, "--changed", "--from", DAYS[0])
    assert "every day is what has landed; nothing to run" in called(run.history, "--changed")
