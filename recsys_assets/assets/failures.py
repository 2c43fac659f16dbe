"""What a failed step or check of a run says, for people: at the terminal and in an alert."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recsys_assets.errors import StoreError
from recsys_assets.logic.alerts import Alert, Failure, reason, some

if TYPE_CHECKING:
    import dagster as dg

AT_ONCE = 5  # alerts per tick
TICK_SECONDS = 30.0  # after which no alert is begun: a tick is ended after a minute, and what it has sent forgotten
TRIES = 2_880  # ticks of half a minute, a day, after which an alert that nobody takes is lost and the next one's turn


@dataclass(frozen=True)
class StepFailure:
    """One step or check that failed. ``ours``: the reason is a sentence of this platform, not of a library's error.

    ``warning``: a check that stops nothing.
    """

    step: str
    reason: str
    ours: bool
    warning: bool = False


def failure_of(event: "dg.DagsterEvent") -> StepFailure | None:
    """What one event of a run says has failed; None where it says nothing of the kind."""
    if event.event_type_value == "ASSET_CHECK_EVALUATION":
        check = event.asset_check_evaluation_data
        if check.passed:
            return None
        name = f"check {check.check_name} of {check.asset_key.to_user_string()}"
        warning = check.severity.value == "WARN"
        return StepFailure(name, check.description or "failed", ours=True, warning=warning)
    if not event.is_step_failure:
        return None
    data, step = event.step_failure_data, event.step_key or ""
    if data.error is not None and data.error.cls_name == "DagsterAssetCheckFailedError":
        return None  # the check has said why
    if told := data.user_failure_data.description if data.user_failure_data else None:
        return StepFailure(step, told, ours=True)
    return StepFailure(step, reason_of(data.error), ours=False)


def reason_of(error: Any) -> str:
    """The innermost message of a step's error, without the frames around it."""
    if error is None:
        return "no reason was recorded"
    while error.cause is not None:
        error = error.cause
    return str(error.message).strip()


@dataclass(frozen=True)
class Told:
    """How far alerts have come: ``cursor`` for the next tick, how many were ``sent``, and what went wrong.

    ``lost`` are those that were given up now, a sentence each.
    """

    cursor: str
    sent: int
    problem: str | None
    lost: tuple[str, ...] = ()


def tell(
    instance: "dg.DagsterInstance",
    cursor: str | None,
    ways: Mapping[str, Callable[[Alert], None]],
    shop: str,
    dagster_url: str,
    live: Callable[[], str],
) -> Told:
    """Sends an alert for each run that failed since ``cursor``, oldest first, once over each way.

    The first time, nothing is sent: what failed before anybody asked is not news. Where a way does not take an alert,
    the cursor stays before it and remembers the ways that did; the next tick goes on there, `TRIES` times. So it does
    where this one has taken `TICK_SECONDS`. ``live`` says what is live.
    """
    from dagster import DagsterEventType, RunStatusChangeRecordsFilter

    if cursor is None or not ways:
        newest = instance.fetch_run_status_changes(DagsterEventType.RUN_FAILURE, limit=1).records
        return Told(_cursor(newest[0].storage_id if newest else 0), 0, None)
    state = json.loads(cursor)
    after, done, tries, sent = int(state["after"]), list(state["done"]), int(state.get("tries", 0)), 0
    lost: list[str] = []
    ends = time.monotonic() + TICK_SECONDS
    wanted = RunStatusChangeRecordsFilter(DagsterEventType.RUN_FAILURE, after_storage_id=after)
    for record in instance.fetch_run_status_changes(wanted, limit=AT_ONCE, ascending=True).records:
        run = instance.get_run_by_id(record.event_log_entry.run_id)
        if run is not None:
            alert = alert_of(instance, run, record.event_log_entry.message, shop, dagster_url, live())
            try:
                for name in [name for name in ways if name not in done]:
                    if time.monotonic() > ends:
                        return Told(_cursor(after, done, tries), sent, None, tuple(lost))
                    ways[name](alert)
                    done.append(name)
                sent += 1
            except StoreError as error:
                if tries + 1 < TRIES:
                    return Told(_cursor(after, done, tries + 1), sent, str(error), tuple(lost))
                lost.append(f"{alert.title}, run {run.run_id}: {error}")
        after, done, tries = record.storage_id, [], 0
    return Told(_cursor(after), sent, None, tuple(lost))


def _cursor(after: int, done: list[str] | None = None, tries: int = 0) -> str:
    return json.dumps({"after": after, "done": done or [], "tries": tries})


def alert_of(
    instance: "dg.DagsterInstance", run: "dg.DagsterRun", message: str, shop: str, dagster_url: str, live: str
) -> Alert:
    """What to say about a failed run."""
    from dagster import DagsterEventType

    kinds = {DagsterEventType.STEP_FAILURE, DagsterEventType.ASSET_CHECK_EVALUATION}
    events = [e.event_log_entry.dagster_event for e in instance.get_records_for_run(run.run_id, of_type=kinds).records]
    found = [failure for event in events if event is not None and (failure := failure_of(event))]
    # What only warned did not fail the run.
    failures = [Failure(each.step, reason(each.reason, each.ours)) for each in found if not each.warning]
    tags = run.tags
    first = tags.get("dagster/asset_partition_range_start") or tags.get("dagster/partition") or ""
    last = tags.get("dagster/asset_partition_range_end") or first
    return Alert(
        shop=shop,
        job=run.job_name,
        day=first if first == last else f"{first} to {last}",
        run_id=run.run_id,
        failures=some(failures) or (Failure("run", reason(message, ours=True)),),
        live=live,
        url=f"{dagster_url.rstrip('/')}/runs/{run.run_id}" if dagster_url else "",
    )
