"""`recsys run`: the jobs as real Dagster runs, with one line per asset while they work."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from recsys_assets.commands.home import context
from recsys_assets.errors import RefusedError, SettingsError
from recsys_assets.local.up import Platform, platform
from recsys_assets.settings import Home

if TYPE_CHECKING:
    import dagster as dg

POLL_SECONDS = 0.2
RUN_SERVICES = ("dagster-webserver", "dagster-daemon")


@dataclass(frozen=True)
class Stage:
    """One table that a run has written. ``metadata`` is the asset's, as plain values."""

    asset: str
    rows: int
    seconds: float
    metadata: Mapping[str, Any]


def launch(running: Platform, job: str, days: tuple[date, date], say: Callable[[str], None]) -> list[Stage]:
    """Runs a job over a range of days the way the UI does, waits for it, and says what each stage wrote.

    Raises:
        RefusedError: the run failed; the message holds each failed step's reason and the run's id.
    """
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

    first, last = (day.isoformat() for day in days)
    tags = {"dagster/partition": first}
    if first != last:
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    say(f"{job} for {first}" + (f" to {last}" if first != last else ""))
    host, _, port = running.address("dagster-webserver").removeprefix("http://").partition(":")
    client = DagsterGraphQLClient(host, port_number=int(port))
    try:
        run_id = client.submit_job_execution(job, tags=tags)
    except DagsterGraphQLClientError as error:
        raise RefusedError(
            f"Dagster does not take the run of {job}: {error}. Why its definitions do not load stands in "
            f"dagster-webserver.log in the home's folder logs."
        ) from error
    try:
        return _followed(run_id, job, running, say)
    except (KeyboardInterrupt, SystemExit):
        with contextlib.suppress(DagsterGraphQLClientError):  # it ended by itself, or is about to with its services
            client.terminate_run(run_id)
        raise


def _followed(run_id: str, job: str, running: Platform, say: Callable[[str], None]) -> list[Stage]:
    import dagster as dg

    watch = _Watch(say)
    with dg.DagsterInstance.get() as instance:
        cursor, finished, run = None, False, None
        while not finished:
            running.check()
            run = instance.get_run_by_id(run_id)
            finished = run is not None and run.is_finished  # read before the events, so that none is missed
            page = instance.get_records_for_run(run_id, cursor=cursor)
            cursor = page.cursor
            for record in page.records:
                if record.event_log_entry.dagster_event is not None:
                    watch.note(record.event_log_entry.dagster_event)
            if not finished and not page.records:
                time.sleep(POLL_SECONDS)
    if run is None or not run.is_success:
        raise RefusedError(
            f"run {run_id} of {job} failed; what was live stays live.\n  "
            + "\n  ".join(watch.failures or ["see the run's page in the Dagster UI (`recsys up`)"])
        )
    return list(watch.stages.values())


class _Watch:
    """Gathers what a run's events say of each asset; a range of days is one event per day and asset."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.stages: dict[str, Stage] = {}
        self.failures: list[str] = []
        self._say = say
        self._told: set[str] = set()

    def note(self, event: "dg.DagsterEvent") -> None:
        """Takes one event of the run, in order."""
        if event.is_step_materialization:
            made = event.step_materialization_data.materialization
            metadata: dict[str, Any] = {name: value.value for name, value in made.metadata.items()}
            asset = made.asset_key.to_user_string()
            before = self.stages.get(asset, Stage(asset, 0, 0.0, {}))
            rows = before.rows + int(metadata.get("dagster/row_count") or 0)
            seconds = before.seconds + metadata.get("seconds", 0.0)
            self.stages[asset] = Stage(asset, rows, seconds, {**before.metadata, **metadata})
        elif event.event_type_value == "STEP_START":
            if sys.stdout.isatty():  # a line that the step's result overwrites
                print(f"  {event.step_key} …".ljust(60), end="\r", flush=True)
        elif event.is_step_success:
            for asset in [asset for asset in self.stages if asset not in self._told]:
                stage = self.stages[asset]
                self._say(f"  {asset:<18} {stage.rows:>11,} rows {stage.seconds:>7.1f} s")
                self._told.add(asset)
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            if not check.passed:
                asset = check.asset_key.to_user_string()
                self.failures.append(f"check {check.check_name} of {asset}: {check.description}")
        elif event.event_type_value == "STEP_UP_FOR_RETRY":
            self._say(f"  {event.step_key}: trying again after {_reason(event.step_retry_data.error)}")
        elif event.is_step_failure:
            data = event.step_failure_data
            if data.error is not None and data.error.cls_name == "DagsterAssetCheckFailedError":
                return  # the check has said why
            told = data.user_failure_data.description if data.user_failure_data else None
            self.failures.append(f"{event.step_key}: {told or _reason(data.error)}")
        elif event.is_run_failure and not self.failures:
            self.failures.append(event.message or "")


def _reason(error: Any) -> str:
    """The innermost message of a step's error, without the frames around it."""
    if error is None:
        return "no reason was recorded"
    while error.cause is not None:
        error = error.cause
    return str(error.message).strip()


def yesterday(home: Home, now: datetime) -> date:
    """The last whole day of the shop; of an archive, its last one."""
    newest = now.astimezone(ZoneInfo(home.config.time_zone)).date() - timedelta(1)
    return min(newest, home.config.last_day) if home.config.last_day else newest


def _day(given: datetime | None, default: date, home: Home) -> date:
    day = given.date() if given else default
    if not home.config.first_day <= day <= yesterday(home, datetime.now(UTC)):
        raise SettingsError(
            f"{day} is not a whole day of this shop: its days go from {home.config.first_day} "
            f"to {yesterday(home, datetime.now(UTC))}."
        )
    return day


@click.group()
def run() -> None:
    """Run a job and watch it; the Dagster UI shows the run too."""


DAY = click.DateTime(["%Y-%m-%d"])


@run.command()
@click.option("--from", "first", type=DAY, help="First day; default: the shop's first day.")
@click.option("--to", "last", type=DAY, help="Last day; default: yesterday.")
def history(first: datetime | None, last: datetime | None) -> None:
    """Landing to sessions, for a range of days in one run."""
    settings, home = context()
    begin = _day(first, home.config.first_day, home)
    end = _day(last, yesterday(home, datetime.now(UTC)), home)
    if end < begin:
        raise SettingsError(f"--to {end} is before --from {begin}.")
    with platform(settings, home, RUN_SERVICES, click.echo) as running:
        launch(running, "history", (begin, end), click.echo)


@run.command()
@click.option("--day", type=DAY, help="Which day; default: yesterday.")
def daily(day: datetime | None) -> None:
    """Everything for one day, after which the day is live."""
    settings, home = context()
    as_of = _day(day, yesterday(home, datetime.now(UTC)), home)
    with platform(settings, home, RUN_SERVICES, click.echo) as running:
        launch(running, "daily", (as_of, as_of), click.echo)


COMMANDS = (run,)
