"""`recsys simulate`: its files pass through the platform without a rejected row."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from recsys_assets.cli import recsys
from recsys_assets.errors import SettingsError
from recsys_assets.importers.ingest import ingest
from recsys_assets.settings import Home, Source
from recsys_assets.stores.lake import Lake

ARGUMENTS = ["--users", "60", "--products", "24", "--days", "20", "--seed", "3"]


@pytest.mark.parametrize("layout", ["parquet", "csv", "jsonl"])
def test_every_row_is_clean_in_every_layout(layout: str, tmp_path: Path, make_home: Callable[..., Home]) -> None:
    run = CliRunner().invoke(recsys, ["simulate", str(tmp_path / "made"), *ARGUMENTS, "--format", layout, "--json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.output)
    home = make_home(first_day=date(2026, 1, 1))
    source = Source(format="contract", path=told["files"])
    reports = ingest(Lake(home.lake), home, source, now=datetime(2026, 3, 1, tzinfo=UTC))
    assert [report.rejected for report in reports if report.rejected] == []
    assert sum(report.clean for report in reports if report.table == "landing_events") == told["events"] > 100


def test_the_truth_lies_beside_the_files_and_everything_is_labelled(tmp_path: Path) -> None:
    run = CliRunner().invoke(recsys, ["simulate", str(tmp_path / "made"), *ARGUMENTS])
    assert run.exit_code == 0, run.output
    assert "synthetic events of 60 users" in run.output
    made = tmp_path / "made"
    assert "SYNTHETIC" in (made / "SYNTHETIC.txt").read_text()
    assert {path.name.split("-")[0] for path in made.rglob("*.*") if path.is_file()} == {"SYNTHETIC.txt", "synthetic"}
    users = pl.read_parquet(made / "truth" / "synthetic-users.parquet")
    assert users.height == 60
    assert {"favourite_category", "monthly_budget", "price_tier"} <= set(users.columns)
    orders = pl.read_parquet(made / "truth" / "synthetic-orders.parquet")
    events = pl.concat([pl.read_parquet(path) for path in sorted((made / "files").glob("*-events-*"))])
    assert orders["order_id"].is_unique().all()
    assert set(orders["order_id"]) == set(events.filter(pl.col("event_type") == "purchase")["order_id"])
    assert orders.columns == ["order_id", "user_id", "order_date", "intent", "trigger", "category"]
    assert json.loads((made / "truth" / "synthetic-parameters.json").read_text())["seed"] == 3


def test_equal_seeds_make_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        run = CliRunner().invoke(recsys, ["simulate", str(tmp_path / name), *ARGUMENTS])
        assert run.exit_code == 0, run.output
    written = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "other")
    }
    assert written["one"] == written["other"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not empty"):
        recsys(["simulate", str(tmp_path), *ARGUMENTS], standalone_mode=False)
