"""Event and catalogue files of the shop → landing."""

from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from recsys_assets.assets.stage import report_days, stage
from recsys_assets.importers.night import ingest_sources
from recsys_assets.partitions import DAY, RANGE_IN_ONE_RUN, window_of
from recsys_assets.resources import Shop
from recsys_assets.tables import LANDING_EVENTS


@dg.asset(partitions_def=DAY, backfill_policy=RANGE_IN_ONE_RUN)
def landing_events(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    """Every row of every file that the home's sources name, parsed; new files are imported, known ones are not."""
    with stage() as metadata:
        lake, log = shop.lake, context.log
        reports = ingest_sources(lake, shop.home, now=datetime.now(UTC), progress=log.info, warn=log.warning)
        new = [report for report in reports if not report.already_delivered]
        window = window_of(context)
        changed = {
            date.fromisoformat(day) for report in new if report.table == LANDING_EVENTS.name for day in report.changed
        }
        window = [*sorted(day for day in changed if day < window[0]), *window]
        per_day = lake.scan_landed(LANDING_EVENTS, window).group_by("event_date").agg(_rows=pl.len()).collect()
        return report_days(
            context,
            "landing_events",
            dict.fromkeys(window, 0) | dict(per_day.iter_rows()),
            metadata,
            files_known=len(reports) - len(new),
            files_imported=len(new),
            rows_imported=sum(report.rows for report in new),
        )
