import json
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsys_assets.commands import home as commands
from recsys_assets.errors import HomeError, SettingsError
from recsys_assets.settings import Home, Source, load_settings, open_home


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path / "a shop"))
    return tmp_path / "a shop"


def test_init_makes_a_home_and_says_where_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    arguments = ["--first-day", "2024-02-01", "--time-zone", "Europe/Berlin", "--source", "mapped=files/*.csv"]
    arguments += ["--map", "map.toml"]
    printed = CliRunner().invoke(commands.init, arguments, catch_exceptions=False).output
    assert f"{folder} is a home now" in printed
    assert f"Keep a copy of {folder / 'secret'}" in printed
    config = open_home(load_settings()).config
    assert (config.first_day, config.time_zone, config.currency) == (date(2024, 2, 1), "Europe/Berlin", "EUR")
    files, mapping = str(folder.parent / "files/*.csv"), str(folder.parent / "map.toml")
    assert config.sources == (Source(format="mapped", path=files, map=mapping),)
    again = CliRunner().invoke(commands.init, arguments, catch_exceptions=False).output
    assert "is a home already; it stays as it is" in again


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("mapped", "is not FORMAT=PATH"),
        ("=x", "is not FORMAT=PATH"),
        ("mapped=", "is not FORMAT=PATH"),
        ("csv=x", "'csv' is not a format; known are contract, mapped"),
    ],
)
def test_a_source_is_a_format_and_a_path(folder: Path, source: str, words: str) -> None:
    result = CliRunner().invoke(commands.init, ["--first-day", "2024-02-01", "--source", source])
    assert result.exit_code == 2
    assert words in result.output
    assert not folder.exists()


def test_a_databases_url_stays_as_it_is(folder: Path) -> None:
    sources = ["--source", "sql=postgresql://u@host/shop", "--source", "complete_journey=package"]
    CliRunner().invoke(commands.init, ["--first-day", "2024-02-01", *sources, "--source", "auto=files"])
    paths = [source.path for source in open_home(load_settings()).config.sources]
    assert paths == ["postgresql://u@host/shop", "package", str(Path("files").absolute())]


def test_a_second_init_says_which_options_it_ignored(folder: Path) -> None:
    first = ["--first-day", "2024-02-01", "--time-zone", "Europe/Berlin"]
    CliRunner().invoke(commands.init, first)
    later = [*first, "--name", "Corner", "--last-day", "2024-03-01", "--source", "auto=files"]
    printed = CliRunner().invoke(commands.init, later, catch_exceptions=False).output
    assert "Ignored: --last-day and --name and --source." in printed
    told = CliRunner().invoke(commands.init, [*later, "--json"], catch_exceptions=False).output
    assert json.loads(told)["ignored"] == ["--last-day", "--name", "--source"]
    # A zone that is not asked for is not the default's wish.
    same = CliRunner().invoke(commands.init, ["--first-day", "2024-02-01"], catch_exceptions=False).output
    assert "Ignored" not in same
    with pytest.raises(HomeError, match="time_zone is Europe/Berlin, not UTC"):
        CliRunner().invoke(commands.init, ["--first-day", "2024-02-01", "--time-zone", "UTC"], catch_exceptions=False)


def test_init_without_sources_says_what_comes_next(folder: Path) -> None:
    printed = CliRunner().invoke(commands.init, ["--first-day", "2024-02-01"], catch_exceptions=False).output
    assert "Next: `recsys ingest auto PATH --check`" in printed
    lost = CliRunner().invoke(commands.init, ["--first-day", "2024-02-01", "--map", "sales.toml"])
    assert (lost.exit_code, "--map is the mapping file of a --source" in lost.output) == (2, True)


def test_an_unknown_zone_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(SettingsError, match="Mars"):
        CliRunner().invoke(commands.init, ["--first-day", "2024-02-01", "--time-zone", "Mars"], catch_exceptions=False)


def test_without_a_home_every_command_says_what_to_do(folder: Path) -> None:
    for command in (commands.up, commands.down, commands.status):
        with pytest.raises(HomeError, match="run `recsys init`"):
            CliRunner().invoke(command, [], catch_exceptions=False)


def test_status_of_a_new_home_starts_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_HOME", str(home.path))
    printed = CliRunner().invoke(commands.status, [], catch_exceptions=False).output
    assert "nothing; `recsys up` starts everything" in printed
    assert "nothing has been published yet" in printed
    assert not (home.path / "postgres").exists()
    assert "nothing runs" in CliRunner().invoke(commands.down, [], catch_exceptions=False).output


@dataclass(frozen=True)
class Published:
    generation: int
    day: date
    created_at: datetime
    live: bool
    model_version: str


def test_status_names_the_live_generation(
    home: Home, monkeypatch: pytest.MonkeyPatch, database: Callable[[], str], redis_url: str
) -> None:
    url = database()
    monkeypatch.setenv("RECSYS_HOME", str(home.path))
    for name in ("RECSYS_POSTGRES_URL", "RECSYS_DAGSTER_POSTGRES_URL", "RECSYS_MLFLOW_POSTGRES_URL"):
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("RECSYS_REDIS_URL", redis_url)
    made = datetime.now(UTC) - timedelta(hours=3)
    known = [Published(1, date(2024, 1, 1), made, False, "old"), Published(2, date(2024, 1, 2), made, True, "blend-7")]
    # What is published is tested beside the publisher; here only how it is told.
    publisher = types.ModuleType("recsys_assets.stores.publishing")
    publisher.generations = lambda asked: known if asked == url else []  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, "recsys_assets.stores.publishing", publisher)
    printed = CliRunner().invoke(commands.status, [], catch_exceptions=False).output
    assert "generation 2 for 2024-01-02, model blend-7" in printed
    assert "published 3 h ago" in printed
    found = json.loads(CliRunner().invoke(commands.status, ["--json"], catch_exceptions=False).output)
    assert found["live"]["age_seconds"] >= 3 * 3600
    assert found["owner"] is None
