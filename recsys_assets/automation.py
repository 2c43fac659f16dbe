"""When things run: the two jobs, the nightly schedule, and the policies that hold for all assets."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg

from recsys_assets.assets.failures import tell
from recsys_assets.errors import NotFoundError, RefusedError, StoreError
from recsys_assets.partitions import ARCHIVE, DAY
from recsys_assets.resources import Shop
from recsys_assets.stores.alerts import note_undelivered
from recsys_assets.stores.alerts import ways as alert_ways
from recsys_assets.stores.lake import HISTORY
from recsys_assets.stores.live import live_words

SEARCH = ("knob_search",)  # of no night: what it found holds until it is asked again

# One process per run: a step that starts a process of its own spends more time on imports than on most days' work.
history = dg.define_asset_job(
    "history",
    selection=dg.AssetSelection.assets("landing_events", *HISTORY),
    partitions_def=DAY,
    executor_def=dg.in_process_executor,
    description="Landing to sessions and daily sales, for a range of days in one run.",
)
daily = dg.define_asset_job(
    "daily",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(*SEARCH),
    partitions_def=DAY,
    executor_def=dg.in_process_executor,
    description="Everything for one day, after which the newest day is live; a past one is computed and checked. The "
    "tag recsys/publish = yes or no of a run says otherwise.",
)

search = dg.define_asset_job(
    "search",
    selection=dg.AssetSelection.assets(*SEARCH),
    partitions_def=DAY,
    executor_def=dg.in_process_executor,
    description="Better knobs of the members, found on one day's validation window; they hold until it is run again.",
)

erase = dg.define_asset_job(
    "erase",
    selection=dg.AssetSelection.assets("erasure"),
    executor_def=dg.in_process_executor,
    description="Removes people who asked for it from the lake, exports and e-mails, and closes their receipts.",
    tags={"dagster/priority": "1"},  # before the days that wait
)

nightly = dg.build_schedule_from_partitioned_job(
    daily,
    name="nightly",
    hour_of_day=3,
    description="`daily` for yesterday, at three in the morning of the shop's time zone.",
    default_status=dg.DefaultScheduleStatus.STOPPED if ARCHIVE else dg.DefaultScheduleStatus.RUNNING,
)


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fills a Redis that was emptied or away from Postgres; the API itself never does.",
)
def warm_cache(shop: Shop) -> dg.SkipReason:
    """Nothing to run: it mends, and says what it did."""
    try:
        written = shop.publisher.warm()
    except (NotFoundError, RefusedError, StoreError) as error:  # nothing live, a publish runs, a store is away
        return dg.SkipReason(str(error))
    return dg.SkipReason(f"{written:,} values written" if written else "Redis is whole and up to date")


@dg.sensor(
    job=erase,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs `erase` when somebody waits for it.",
)
def erasure_requests(shop: Shop) -> dg.RunRequest | dg.SkipReason:
    """The same people are asked for once an hour: a sweep that fails fails again, and must not fill the queue."""
    try:
        waiting = shop.sweep.waiting()
    except (NotFoundError, StoreError) as error:
        return dg.SkipReason(str(error))
    if not waiting:
        return dg.SkipReason("nobody waits to be erased")
    names = hashlib.sha256(" ".join(sorted(waiting)).encode()).hexdigest()[:16]
    return dg.RunRequest(run_key=f"{names} {datetime.now(UTC):%Y-%m-%d %H}")


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells people about failed runs, over RECSYS_ALERT_WEBHOOK and RECSYS_ALERT_EMAIL.",
)
def alert(context: dg.SensorEvaluationContext, shop: Shop) -> dg.SkipReason:
    """Nothing to run. What cannot be delivered is logged, told by `recsys status`, and tried again by every tick."""
    settings = shop.settings
    ways = alert_ways(settings)
    live = partial(live_words, settings.postgres_url)
    told = tell(context.instance, context.cursor, ways, shop.home.config.shop_name, settings.dagster_url, live)
    context.update_cursor(told.cursor)
    with suppress(OSError):  # of a full disk, say: the tick's cursor must not be lost with it
        note_undelivered(shop.home.path, told.problem, told.lost, datetime.now(UTC))
    for lost in told.lost:
        context.log.error(f"lost, after a day of trying: {lost}")
    if told.problem:
        context.log.error(f"{told.problem}; the next tick tries again")
        return dg.SkipReason(told.problem)
    return dg.SkipReason(f"{told.sent} alerts sent" if ways else "no way is set to send alerts over")


# The live lists should never be older than a night that failed once.
_FRESH = {
    "generation": dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=27))
}


def with_policies(assets: Sequence[dg.AssetsDefinition]) -> Sequence[dg.AssetsDefinition]:
    """Owners, kinds and freshness, mapped once over all assets."""

    def policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        spec = spec if spec.kinds else spec.merge_attributes(kinds={"python"})
        fresh = _FRESH.get(spec.key.to_user_string())
        return spec.replace_attributes(freshness_policy=fresh) if fresh else spec

    return [asset.map_asset_specs(policy) for asset in assets]
