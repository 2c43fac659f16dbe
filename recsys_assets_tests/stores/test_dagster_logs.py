"""Dagster's own storage on a real Postgres, before and after its old logs went."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recsys_assets.errors import StoreError
from recsys_assets.settings import CHECKOUT
from recsys_assets.stores.dagster_logs import Pruned, prune

pytestmark = pytest.mark.filterwarnings("ignore")  # of Dagster, where a job is defined
DAYS = ["2024-03-01", "2024-03-02", "2024-03-03"]
LATE = "2024-02-20"
LATER = timedelta(hours=1)


@pytest.fixture
def url(database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Dagster's database, as the home's own dagster.yaml opens it."""
    made = database()
    (tmp_path / "dagster.yaml").write_text((CHECKOUT / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_LOCAL_ARTIFACTS", str(tmp_path))
    monkeypatch.setenv("DAGSTER_COMPUTE_LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("RECSYS_DAGSTER_POSTGRES_URL", made)
    return made


@pytest.fixture
def instance(url: str) -> Iterator[Any]:
    import dagster as dg

    with dg.DagsterInstance.get() as found:
        yield found


def ran(instance: Any, day: str, *, fails: bool = False) -> str:
    """A run of two assets, one of which writes a late day too; its id."""
    import dagster as dg

    partitions = dg.DailyPartitionsDefinition("2024-01-01")

    @dg.asset(partitions_def=partitions, check_specs=[dg.AssetCheckSpec("sound", asset="cleaned")])
    def cleaned(context: dg.AssetExecutionContext) -> Iterator[Any]:
        context.log.info("a line of the log")
        print("a line of standard output")  # noqa: T201  what a compute log holds
        context.log_event(dg.AssetMaterialization("cleaned", partition=LATE, metadata={"dagster/row_count": 3}))
        yield dg.MaterializeResult(metadata={"dagster/row_count": 7})
        yield dg.AssetCheckResult(passed=True)

    @dg.asset(partitions_def=partitions, deps=[cleaned])
    def made() -> None:
        if fails:
            raise ValueError("on purpose")

    definitions = dg.Definitions(assets=[cleaned, made], jobs=[dg.define_asset_job("daily")])
    result = definitions.resolve_job_def("daily").execute_in_process(
        instance=instance, tags={"dagster/partition": day}, raise_on_error=False
    )
    assert result.success is not fails
    return str(result.run_id)


def seen(instance: Any) -> dict[str, Any]:
    """What the UI's pages of assets, partitions, checks and runs are made of."""
    import dagster as dg

    told: dict[str, Any] = {}
    for name in ("cleaned", "made"):
        key = dg.AssetKey(name)
        latest = instance.get_latest_materialization_event(key)
        assert latest is not None
        history = instance.fetch_materializations(key, limit=100).records
        told[name] = (
            sorted(instance.get_materialized_partitions(key)),
            latest.run_id,
            latest.asset_materialization.partition,
            [(record.partition_key, record.run_id, record.asset_materialization.metadata) for record in history],
            instance.get_status_by_partition(key, [LATE, *DAYS], dg.DailyPartitionsDefinition("2024-01-01")),
        )
    check = dg.AssetCheckKey(dg.AssetKey("cleaned"), "sound")
    told["checks"] = [
        (record.run_id, record.status)
        for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=100)
    ]
    told["runs"] = [(run.run_id, run.status, run.tags) for run in instance.get_runs()]
    return told


def test_logs_go_and_what_happened_to_assets_stays(instance: Any, url: str, tmp_path: Path) -> None:
    runs = [ran(instance, DAYS[0]), ran(instance, DAYS[1], fails=True), ran(instance, DAYS[2])]
    with psycopg.connect(url, autocommit=True) as connection:

        def rows() -> int:
            found = connection.execute("SELECT count(*) FROM event_logs").fetchone()
            assert found is not None
            return int(found[0])

        # The last run is young: it ends an hour after the time from which logs stay.
        border = datetime.now(UTC) + LATER
        connection.execute("UPDATE runs SET end_time = end_time + 7200 WHERE run_id = %s", [runs[2]])
        before, all_rows = seen(instance), rows()
        deleted: list[str] = []

        pruned = prune(url, border, deleted.append)

        assert pruned.runs == 2
        assert sorted(deleted) == sorted(runs[:2])
        assert rows() == all_rows - pruned.rows
        assert pruned.rows > rows() / 4
        assert seen(instance) == before
        for run in runs[:2]:
            kept = {record.event_log_entry.dagster_event_type for record in instance.get_records_for_run(run).records}
            assert {kind.value.partition("_")[0] for kind in kept if kind} == {"ASSET", "PIPELINE"}
            assert instance.get_run_stats(run).end_time is not None
        young = [record.event_log_entry.user_message for record in instance.get_records_for_run(runs[2]).records]
        assert any("a line of the log" in message for message in young)
        assert prune(url, border, deleted.append) == Pruned(0, 0)


def test_the_files_of_a_run_go_with_its_logs(instance: Any, url: str, tmp_path: Path) -> None:
    old = ran(instance, DAYS[0])
    assert list((tmp_path / "logs" / old).rglob("*.out"))
    manager = instance.compute_log_manager
    prune(url, datetime.now(UTC) + LATER, lambda run: manager.delete_logs(prefix=[run]))
    assert not (tmp_path / "logs" / old).exists()
    assert not list((tmp_path / "logs").iterdir())


def test_a_database_without_dagsters_tables_has_no_logs(database: Callable[[], str]) -> None:
    assert prune(database(), datetime.now(UTC), lambda _: None) == Pruned(0, 0)


def test_a_database_that_is_away_is_named_by_its_setting(database: Callable[[], str]) -> None:
    with pytest.raises(StoreError, match=r"RECSYS_DAGSTER_POSTGRES_URL\) does not answer"):
        prune(database() + "_not", datetime.now(UTC), lambda _: None)
