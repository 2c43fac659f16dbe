"""Old logs of Dagster's runs, out of its Postgres and its log files.

`DagsterInstance.delete_run` would take a run's materializations along: the days it made would show as never made, and
lineage would end there. So what happened to assets stays, with the start and the end of each run, and what only said
how the run went (log lines, steps, engine, resources) goes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg

from recsys_assets.errors import StoreError
from recsys_assets.stores.postgres import CONNECT_SECONDS

# Events of assets carry a key or a type of theirs (a check's have no key); Dagster still calls a run a pipeline there.
_CHATTER = """
    e.asset_key IS NULL AND (e.dagster_event_type IS NULL
    OR NOT starts_with(e.dagster_event_type, 'ASSET_') AND NOT starts_with(e.dagster_event_type, 'PIPELINE_'))
"""
_RUNS = f"""
    SELECT r.run_id FROM runs r
    WHERE r.status IN ('SUCCESS', 'FAILURE', 'CANCELED')
    AND coalesce(to_timestamp(r.end_time), r.update_timestamp AT TIME ZONE 'UTC') < %s
    AND EXISTS (SELECT FROM event_logs e WHERE e.run_id = r.run_id AND {_CHATTER})
"""


@dataclass(frozen=True)
class Pruned:
    """Finished runs whose logs went, and the rows that these were."""

    runs: int
    rows: int


def prune(dagster_url: str, before: datetime, delete_files: Callable[[str], None]) -> Pruned:
    """Drops the logs of runs that ended before a time; a database without tables of Dagster's has none.

    Args:
        dagster_url: Dagster's own database.
        before: with a time zone.
        delete_files: removes what the steps of one run (by id) wrote to their standard output and error.

    Raises:
        StoreError: the database does not answer.
    """
    try:
        with psycopg.connect(dagster_url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            if connection.execute("SELECT to_regclass('event_logs')").fetchone() == (None,):
                return Pruned(0, 0)
            runs = [run for (run,) in connection.execute(_RUNS, [before]).fetchall()]
            for run in runs:
                delete_files(run)  # first: what fails here is tried again, because the rows are still there
            deleted = connection.execute(f"DELETE FROM event_logs e WHERE e.run_id = ANY(%s) AND {_CHATTER}", [runs])
            return Pruned(len(runs), deleted.rowcount)
    except psycopg.OperationalError as error:
        told = str(error).splitlines()[0]
        raise StoreError(f"Postgres (RECSYS_DAGSTER_POSTGRES_URL) does not answer: {told}") from error
