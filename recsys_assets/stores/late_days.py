"""Which days of a lake hold other rows than were cleaned, and which tables are older than a day's clean events."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from recsys_assets.contract import Reason
from recsys_assets.logic import late_days as logic
from recsys_assets.logic.rates import with_rate
from recsys_assets.settings import HomeConfig
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.retention import first_kept
from recsys_assets.tables import CLEAN_EVENTS, DELIVERY_AUDIT, LANDING_EVENTS, LANDING_RATES, REJECTED_EVENTS, Table

_NO_RATE: Reason = "currency_without_rate"


def stale_days(lake: Lake, config: HomeConfig, last: date) -> list[date]:
    """The shop's days up to ``last`` whose clean events are not what has landed, in order; no day too old to be kept.

    Rows may have come or been withdrawn since, or the exchange rate for want of which rows were rejected. A rate that
    was corrected changes no day by itself: its prices were computed, and published, at the rate of their time.
    """
    cleaned = lake.days(DELIVERY_AUDIT)
    first = max(config.first_day, first_kept(lake, config.tuning))
    # Parts and not the deliveries' own counts: of days that retention has dropped the records still tell.
    recorded = {delivery.file_id for delivery in lake.deliveries(LANDING_EVENTS)}
    landed = {
        day: recorded & {file.removesuffix(".parquet") for file in files}
        for day, files in lake.parts(LANDING_EVENTS.name).items()
    }
    audited: dict[date, set[str]] = {}
    audit = lake.scan(DELIVERY_AUDIT, [day for day in cleaned if day <= last]).select("event_date", "source_file")
    for day, file in audit.collect().iter_rows():
        audited.setdefault(day, set()).add(file)
    stale = {*logic.stale_days(landed, audited), *_with_rates_now(lake, config, cleaned)}
    return sorted(day for day in stale if first <= day <= last)


def _with_rates_now(lake: Lake, config: HomeConfig, cleaned: Sequence[date]) -> list[date]:
    """Days of rows that were rejected for want of a rate that is there now."""
    if not cleaned or not lake.days(LANDING_RATES):
        return []
    wanting = lake.scan(REJECTED_EVENTS, cleaned).filter(pl.col("reason") == _NO_RATE).select("event_date", "currency")
    rates = lake.landed_until(LANDING_RATES, cleaned[-1])
    found = with_rate(wanting.unique().collect(), pl.col("event_date"), rates, config.currency)
    return found.filter(pl.col("_rate").is_not_null())["event_date"].unique().to_list()


def outdated(lake: Lake, table: Table, days: Sequence[date]) -> list[date]:
    """Those of ``days`` on which ``table``, made of each day's clean events, is older than they are or not there."""
    cleaned = lake.written(CLEAN_EVENTS, days)
    made = lake.written(table, days)
    return sorted(day for day, at in cleaned.items() if made.get(day, -1) < at)
