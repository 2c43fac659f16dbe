"""When a day's models began to learn, as Dagster knows it."""

from datetime import UTC, date, datetime

import dagster as dg

from recsys_assets.assets.learnt import learnt_at

DAY = dg.DailyPartitionsDefinition("2024-01-01")
NAMES = ("interactions", "als", "item_cf")
FIRST, SECOND = date(2024, 3, 1), date(2024, 3, 2)


def stub(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, partitions_def=DAY)
    def made() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult()

    return made


def test_it_is_the_first_run_of_all_that_had_a_part() -> None:
    everything = [stub(name) for name in NAMES]
    with dg.DagsterInstance.ephemeral() as instance:

        def run(assets: list[dg.AssetsDefinition], day: date) -> datetime:
            began = datetime.now(UTC)
            assert dg.materialize(assets, partition_key=day.isoformat(), instance=instance).success
            return began

        assert learnt_at(instance, NAMES, FIRST) is None
        first = run(everything, FIRST)
        found = learnt_at(instance, NAMES, FIRST)
        assert found is not None
        assert found >= first
        run(everything, SECOND)
        second = run(everything[:-1], FIRST)  # one model is as old as it was
        assert learnt_at(instance, NAMES, FIRST) == found
        run(everything[-1:], FIRST)
        again = learnt_at(instance, NAMES, FIRST)
        assert again is not None
        assert again >= second
