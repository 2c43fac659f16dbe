"""When a day's models began to learn: what the receipts of erasures want to know."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

import dagster as dg


def learnt_at(instance: dg.DagsterInstance, names: Iterable[str], day: date) -> datetime | None:
    """When the first of the runs began that last made a day of these assets, UTC; None: one is not known.

    Whoever was erased before it has no part in them.
    """
    began = []
    for name in names:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[day.isoformat()])
        made = instance.fetch_materializations(wanted, limit=1).records
        run = instance.get_run_record_by_id(made[0].run_id) if made else None
        if run is None or run.start_time is None:
            return None
        began.append(run.start_time)
    return datetime.fromtimestamp(min(began), UTC)
