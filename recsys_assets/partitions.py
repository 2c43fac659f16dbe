"""The day. Every table is partitioned by it and by nothing else."""

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg

from recsys_assets.settings import load_settings, open_home

# Dagster decorates assets at import, so the day is made here once: a code location serves one home.
_HOME = open_home(load_settings()).config

DAY = dg.DailyPartitionsDefinition(
    start_date=_HOME.first_day.isoformat(),
    end_date=(_HOME.last_day + timedelta(1)).isoformat() if _HOME.last_day else None,
    timezone=_HOME.time_zone,
)

# The shop's files have ended (the demo's year): there is no night to run for.
ARCHIVE = _HOME.last_day is not None

# A range of days in one run; as-of assets run once per day instead.
RANGE_IN_ONE_RUN = dg.BackfillPolicy.single_run()


def upstream_window(days: int) -> dg.TimeWindowPartitionMapping:
    """As-of day D reads the ``days`` days that end with D."""
    return dg.TimeWindowPartitionMapping(start_offset=1 - days, allow_nonexistent_upstream_partitions=True)


def window_of(context: dg.AssetExecutionContext) -> Sequence[date]:
    """The days of this run, in order."""
    return [date.fromisoformat(key) for key in context.partition_keys]


def days_back(window: Sequence[date], late_days: int) -> int:
    """How far before its days a run redoes what has changed: ``late_days``, and not at all before a range."""
    return late_days if len(window) == 1 else 0


def day_of(context: dg.AssetExecutionContext) -> date:
    """The one day of this run."""
    return date.fromisoformat(context.partition_key)
