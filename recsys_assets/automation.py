"""When things run: the two jobs, the nightly schedule, and the policies that hold for all assets."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from recsys_assets.errors import NotFoundError, RefusedError, StoreError
from recsys_assets.partitions import ARCHIVE, DAY
from recsys_assets.resources import Shop

HISTORY = ("landing_events", "clean_events", "rejected_events", "delivery_audit", "sessions")

# One process per run: a step that starts a process of its own spends more time on imports than on most days' work.
history = dg.define_asset_job(
    "history",
    selection=dg.AssetSelection.assets(*HISTORY),
    partitions_def=DAY,
    executor_def=dg.in_process_executor,
    description="Landing to sessions, for a range of days in one run.",
)
daily = dg.define_asset_job(
    "daily",
    selection=dg.AssetSelection.all(),
    partitions_def=DAY,
    executor_def=dg.in_process_executor,
    description="Everything for one day, after which the day is live.",
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


# The live lists should never be older than a night that failed once.
_FRESH = {
    "generation": dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=27))
}


def with_policies(assets: Sequence[dg.AssetsDefinition]) -> Sequence[dg.AssetsDefinition]:
    """Owners, kinds and freshness, mapped once over all assets."""

    def policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        spec = spec.merge_attributes(kinds={"python"})
        fresh = _FRESH.get(spec.key.to_user_string())
        return spec.replace_attributes(freshness_policy=fresh) if fresh else spec

    return [asset.map_asset_specs(policy) for asset in assets]
