"""The lake, registered models and Dagster's logs → the same without what is older than the home keeps it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg

from recsys_assets.assets.stage import stage
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.dagster_logs import prune
from recsys_assets.stores.retention import drop, expired, first_kept


@dg.asset(
    partitions_def=DAY,
    deps=["generation", "erasure"],
    description="What the night dropped, being older than the home keeps it: days of tables, models, logs of runs.",
)
def retention(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        tables = expired(shop.lake, shop.tuning, spare=day_of(context))
        drop(shop.lake, tables)
        ended_before = datetime.now(UTC) - timedelta(shop.tuning.dagster_log_days)
        logs = prune(shop.settings.dagster_postgres_url, ended_before, _log_files(context))
        return dg.MaterializeResult(
            metadata=metadata(
                sum(len(table.days) for table in tables),
                first_day_kept=first_kept(shop.lake, shop.tuning).isoformat(),
                days={table.table: len(table.days) for table in tables},
                files={table.table: table.files for table in tables},
                bytes={table.table: table.bytes for table in tables},
                bytes_of_registered_models=shop.tracking.drop_arrays(shop.tuning.keep_as_of_days),
                runs_pruned=logs.runs,
                log_rows_dropped=logs.rows,
            )
        )


def _log_files(context: dg.AssetExecutionContext) -> Callable[[str], None]:
    """Removes what the steps of a run wrote, wherever this instance keeps that."""
    manager = context.instance.compute_log_manager
    return lambda run_id: manager.delete_logs(prefix=[run_id])
