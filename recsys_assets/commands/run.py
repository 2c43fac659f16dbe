"""`recsys run`: the jobs as real Dagster runs, with one line per asset while they work."""

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from recsys_assets.assets.failures import failure_of, reason_of
from recsys_assets.commands.home import context, yesterday
from recsys_assets.commands.output import JSON, WholeHelps, announcer, print_line
from recsys_assets.commands.search import found_on, told
from recsys_assets.errors import RefusedError, SettingsError
from recsys_assets.local.up import Platform, platform
from recsys_assets.logic.late_days import ranges
from recsys_assets.logic.publication import TAG, Wish
from recsys_assets.settings import Home, Settings
from recsys_assets.stores.lake import Lake, days_between
from recsys_assets.stores.late_days import stale_days
from recsys_assets.stores.live import live_day, live_words
from recsys_assets.tables import LANDING_EVENTS

if TYPE_CHECKING:
    import dagster as dg

POLL_SECONDS = 0.2
Days = tuple[date, date]
RUN_SERVICES = ("dagster-webserver", "dagster-daemon")


@dataclass(frozen=True)
class Stage:
    """One table that a run has written. ``metadata`` is the asset's, as plain values."""

    asset: str
    rows: int
    seconds: float
    metadata: Mapping[str, Any]


def launch(
    running: Platform,
    job: str,
    days: Days | None,
    say: Callable[[str], None],
    wish: Wish | None = None,
) -> list[Stage]:
    """Runs a job over a range of days (None: of no day) the way the UI does, waits, and says what each stage wrote.

    ``wish``: whether somebody wants the day published.

    Raises:
        RefusedError: the run failed; the message holds each failed step's reason and the run's id.
    """
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

    first, last = (day.isoformat() for day in days) if days else ("", "")
    tags = {"dagster/partition": first} if days else {}
    tags |= {TAG: wish} if wish else {}
    if first != last:
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    say(job + (f" for {first}" if days else "") + (f" to {last}" if first != last else ""))
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
            f"run {run_id} of {job} failed; {live_words(running.servers.postgres_url)}.\n  "
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
                room = shutil.get_terminal_size().columns - 1
                print(f"  {event.step_key} …"[:room].ljust(min(room, 60)), end="\r", flush=True)
        elif event.is_step_success:
            for asset in [asset for asset in self.stages if asset not in self._told]:
                stage = self.stages[asset]
                self._say(f"  {asset:<21} {stage.rows:>9,} rows {stage.seconds:>7.1f} s")
                self._told.add(asset)
        elif event.event_type_value == "STEP_UP_FOR_RETRY":
            self._say(f"  {event.step_key}: trying again after {reason_of(event.step_retry_data.error)}")
        elif failure := failure_of(event):
            told = f"{failure.step}: {failure.reason}"
            if failure.warning:
                self._say(f"  warning: {told}")
            else:
                self.failures.append(told)
        elif event.is_run_failure and not self.failures:
            self.failures.append(event.message or "")


def _day(given: datetime | None, default: date, home: Home) -> date:
    day = given.date() if given else default
    if not home.config.first_day <= day <= yesterday(home, datetime.now(UTC)):
        raise SettingsError(
            f"{day} is not a whole day of this shop: its days go from {home.config.first_day} "
            f"to {yesterday(home, datetime.now(UTC))}."
        )
    return day


@click.group(cls=WholeHelps)
def run() -> None:
    """Run a job and watch it; the Dagster UI shows the run too."""


DAY = click.DateTime(["%Y-%m-%d"])


@run.command()
@click.option("--from", "first", type=DAY, help="First day; default: the shop's first day.")
@click.option("--to", "last", type=DAY, help="Last day; default: yesterday.")
@click.option("--changed", is_flag=True, help="Instead: every day that is not what has landed, and no other.")
@JSON
def history(first: datetime | None, last: datetime | None, changed: bool, as_json: bool) -> None:
    """Landing to sessions, for a range of days in one run."""
    settings, home = context()
    if changed:
        if first or last:
            raise SettingsError("--changed finds the days by itself: leave --from and --to out.")
        days = stale_days(Lake(home.lake_url), home.config, yesterday(home, datetime.now(UTC)))
        if not days:
            announcer(as_json)("every day is what has landed; nothing to run")
        _run(settings, home, "history", ranges(days), as_json)
        return
    begin = _day(first, home.config.first_day, home)
    end = _day(last, yesterday(home, datetime.now(UTC)), home)
    if end < begin:
        raise SettingsError(f"--to {end} is before --from {begin}.")
    _run(settings, home, "history", [(begin, end)], as_json)


@run.command()
@click.option("--day", type=DAY, help="Which day; default: yesterday.")
@click.option("--from", "first", type=DAY, help="First day of several, each computed by a run of its own.")
@click.option("--to", "last", type=DAY, help="Last day of several; default: yesterday. It alone may go live.")
@click.option(
    "--publish/--no-publish",
    "publish",
    default=None,
    help="Publish it though a later day is live, or compute and check it only; default: publish what is not older.",
)
@JSON
def daily(
    *, day: datetime | None, first: datetime | None, last: datetime | None, publish: bool | None, as_json: bool
) -> None:
    """Everything for one day, after which it is live where no later day is; or for several days."""
    settings, home = context()
    if day and (first or last):
        raise SettingsError("--day is one day, --from and --to are several: name one of the two.")
    if last and not first:
        raise SettingsError("--to needs --from, the first of the days.")
    newest = yesterday(home, datetime.now(UTC))
    begin = _day(first or day, newest, home)
    end = _day(last, newest, home) if first else begin
    if end < begin:
        raise SettingsError(f"--to {end} is before --from {begin}.")
    wish: Wish | None = None if publish is None else "yes" if publish else "no"
    say = announcer(as_json)
    with platform(settings, home, RUN_SERVICES, say) as running:
        if not (first or day) and live_day(running.servers.postgres_url) is None:
            begin = end = _first_day(home, newest, say)
        days = [(each, each) for each in days_between(begin, end)]
        before: list[Wish | None] = ["no"] * (len(days) - 1)
        _runs(running, "daily", days, as_json, [*before, wish])


def _first_day(home: Home, newest: date, say: Callable[[str], None]) -> date:
    """The day of the first lists: the newest with events, because files of a shop that tries us have often ended."""
    landed = [day for day in Lake(home.lake_url).days(LANDING_EVENTS) if home.config.first_day <= day <= newest]
    if not landed or landed[-1] == newest:
        return newest
    say(f"nothing is live yet, and no events are there after {landed[-1]}: the lists of that day are made")
    return landed[-1]


@run.command()
@click.option("--day", type=DAY, help="On which computed day's validation window; default: yesterday.")
@JSON
def search(day: datetime | None, as_json: bool) -> None:
    """Look for better knobs of the models; they hold where a window of its own says that they are better."""
    settings, home = context()
    as_of = _day(day, yesterday(home, datetime.now(UTC)), home)
    _run(settings, home, "search", [(as_of, as_of)], as_json)
    found = found_on(home, as_of)
    if as_json:
        print_line({"search": found})
    elif found:
        for line in found["says"]:
            click.echo(f"  {line}")
        if found["adopted"]:
            click.echo(f"from {as_of} on: {told(found['overrides'])}; `recsys search undo` takes it back")


@run.command()
@JSON
def erase(as_json: bool) -> None:
    """Remove people who asked to be erased from the lake, exports and e-mails; `recsys up` does so by itself."""
    settings, home = context()
    _run(settings, home, "erase", [None], as_json)


def _run(settings: Settings, home: Home, job: str, days: Sequence[Days | None], as_json: bool) -> None:
    if days:
        with platform(settings, home, RUN_SERVICES, announcer(as_json)) as running:
            _runs(running, job, days, as_json)


def _runs(
    running: Platform, job: str, days: Sequence[Days | None], as_json: bool, wishes: Sequence[Wish | None] = ()
) -> None:
    """One run after the other; ``wishes`` stand beside the days. The last line says what is live and what is next."""
    say, stages = announcer(as_json), list[Stage]()
    for some, wish in zip_longest(days, wishes):
        stages = launch(running, job, some, say, wish)
        if as_json:
            told = {"first_day": some[0], "last_day": some[1]} if some else {}
            print_line({"job": job, **told, "stages": stages_json(stages)})
    if not as_json:
        say(_ending(job, days[-1], stages, live_words(running.servers.postgres_url)))


def _ending(job: str, days: Days | None, stages: Sequence[Stage], live: str) -> str:
    """What is live after a run, and what to try next."""
    why = next((stage.metadata.get("why") for stage in stages if stage.asset == "generation"), None)
    if why and days:
        again = f"`recsys run daily --day {days[1]} --publish`"
        return f"{days[1]} is computed and checked, and not published: {why}. {again} publishes it."
    following = {
        "history": "`recsys run daily` computes the newest day and publishes its lists.",
        "daily": "`recsys show USER` prints a person's list; `recsys up` serves all lists, and runs every night.",
        "search": "`recsys search` says what was found.",
        "erase": "`recsys requests` lists what people have asked for.",
    }
    return f"{live}. Next: {following[job]}"


def stages_json(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Asset, rows and seconds of what a run wrote."""
    return [{"asset": stage.asset, "rows": stage.rows, "seconds": round(stage.seconds, 2)} for stage in stages]


COMMANDS = (run,)
