"""`recsys run` and Dagster's UI as a person uses them: its own services, real runs, Ctrl-C."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recsys_assets.commands.run import RUN_SERVICES, daily, launch
from recsys_assets.errors import RefusedError, SettingsError
from recsys_assets.local.processes import wait_until
from recsys_assets.local.state import read_state
from recsys_assets.local.up import Platform, platform
from recsys_assets.settings import CHECKOUT, Home, Settings, Source
from recsys_assets.stores.publishing import generations
from recsys_assets_tests.assets import made_shop


@pytest.fixture
def shop(make_home: Callable[..., Home], tmp_path: Path) -> Home:
    made_shop.write(tmp_path / "files")
    return make_home(
        first_day=made_shop.FIRST,
        last_day=made_shop.LAST,
        sources=(Source(format="contract", path=str(tmp_path / "files")),),
    )


def recsys(home: Home, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "recsys_assets.cli", *words],
        cwd=CHECKOUT,
        env={"RECSYS_HOME": str(home.path), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def left_behind(home: Home) -> dict[int, str]:
    """Process id and command line of each living process that works in the home."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(home.path).encode() in (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def test_killed_then_whole_then_a_day_that_is_none_then_ctrl_c(shop: Home) -> None:
    with recsys(shop, "run", "history", "--to", "2024-03-20") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "landing_events" in line:
                break
        for pid in left_behind(shop):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    with recsys(shop, "run", "history", "--to", "2024-03-20") as process:
        printed = process.communicate()[0]
    assert process.returncode == 0, printed
    assert "had been killed; it is marked as failed" in printed  # or it would hold up the queue
    assert "history for 2024-03-01 to 2024-03-20" in printed
    assert "clean_events" in printed
    assert left_behind(shop) == {}

    with recsys(shop, "run", "daily", "--day", "2025-01-01") as process:
        printed = process.communicate()[0]
    assert process.returncode == 1
    assert "2025-01-01 is not a whole day of this shop: its days go from 2024-03-01 to 2024-04-11." in printed
    assert "Traceback" not in printed

    with recsys(shop, "run", "history") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "history for" in line:
                break
        assert read_state(shop.path) is not None
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130, rest
    assert "interrupted" in rest
    assert "Traceback" not in rest
    assert left_behind(shop) == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--day", "2024-03-05", "--from", "2024-03-04"], "--day is one day, --from and --to are several"),
        (["--to", "2024-03-05"], "--to needs --from"),
        (["--from", "2024-03-05", "--to", "2024-03-04"], "--to 2024-03-04 is before --from 2024-03-05"),
        (["--from", "2023-03-05"], "2023-03-05 is not a whole day of this shop"),
    ],
)
def test_days_of_daily_that_make_no_sense_are_refused_before_anything_starts(
    shop: Home, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setenv("RECSYS_HOME", str(shop.path))
    with pytest.raises(SettingsError, match=said):
        CliRunner().invoke(daily, words, catch_exceptions=False)
    assert not (shop.path / "postgres").exists()


def graphql(running: Platform, query: str) -> Any:
    """What the UI's own endpoint answers."""
    request = urllib.request.Request(
        f"{running.address('dagster-webserver')}/graphql",
        json.dumps({"query": query}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["data"]


def runs(running: Platform) -> list[dict[str, str]]:
    """Newest first."""
    found: list[dict[str, str]] = graphql(running, "{runsOrError{... on Runs{results{runId jobName status}}}}")[
        "runsOrError"
    ]["results"]
    return found


@pytest.mark.filterwarnings("ignore")  # of Dagster's GraphQL client and of what it stands on
def test_in_the_ui_a_failure_is_rerun_and_a_range_is_backfilled(
    shop: Home, tmp_path: Path, make_settings: Callable[..., Settings]
) -> None:
    broken = tmp_path / "files" / "events-2024-03-05.csv"
    whole = broken.read_text()
    broken.write_text("")
    with platform(make_settings(), shop, RUN_SERVICES, print) as running:
        with pytest.raises(RefusedError, match=r"landing_events: .*events-2024-03-05\.csv.*empty"):
            launch(running, "history", (made_shop.FIRST, made_shop.LAST), print)
        failed = runs(running)[0]
        assert failed["status"] == "FAILURE"

        broken.write_text(whole)
        again = graphql(
            running,
            f"""mutation {{launchRunReexecution(
                reexecutionParams: {{parentRunId: "{failed["runId"]}", strategy: FROM_FAILURE}}
            ) {{__typename}}}}""",
        )
        assert again["launchRunReexecution"]["__typename"] == "LaunchRunSuccess"
        assert wait_until(lambda: runs(running)[0]["status"] == "SUCCESS", 90, every=0.5)

        days = json.dumps([f"2024-03-0{number}" for number in (1, 2, 3)])
        begun = graphql(
            running,
            f"""mutation {{launchPartitionBackfill(
                backfillParams: {{assetSelection: [{{path: ["sessions"]}}], partitionNames: {days}}}
            ) {{__typename}}}}""",
        )
        assert begun["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess"
        assert wait_until(lambda: len(runs(running)) == 3 and runs(running)[0]["status"] == "SUCCESS", 120, every=0.5)


@pytest.mark.filterwarnings("ignore")  # of Dagster's GraphQL client and of what it stands on
def test_a_backfill_of_past_days_in_the_ui_is_green_and_publishes_none(
    shop: Home, make_settings: Callable[..., Settings]
) -> None:
    days = json.dumps([(made_shop.LAST - timedelta(back)).isoformat() for back in (2, 1)])
    with platform(make_settings(), shop, RUN_SERVICES, print) as running:
        launch(running, "history", (made_shop.FIRST, made_shop.LAST), print)
        (place,) = graphql(running, "{repositoriesOrError{... on RepositoryConnection{nodes{name location{name}}}}}")[
            "repositoriesOrError"
        ]["nodes"]
        begun = graphql(
            running,
            f"""mutation {{launchPartitionBackfill(backfillParams: {{
                selector: {{partitionSetName: "daily_partition_set", repositorySelector: {{
                    repositoryName: "{place["name"]}", repositoryLocationName: "{place["location"]["name"]}"
                }}}}, partitionNames: {days}
            }}) {{... on LaunchBackfillSuccess {{backfillId}} ... on PythonError {{message}}}}}}""",
        )["launchPartitionBackfill"]

        def status() -> str:
            query = f"""{{partitionBackfillOrError(backfillId: "{begun["backfillId"]}")
                {{... on PartitionBackfill {{status}}}}}}"""
            return str(graphql(running, query)["partitionBackfillOrError"]["status"])

        assert wait_until(lambda: status().startswith(("COMPLETED", "FAILED")), 400, every=1.0)
        assert status() == "COMPLETED_SUCCESS"
        assert [run["status"] for run in runs(running) if run["jobName"] == "daily"] == ["SUCCESS", "SUCCESS"]
        assert generations(running.servers.postgres_url) == []
