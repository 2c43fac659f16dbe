"""`python -m recsys_assets_tests.assets.run_alert`: runs that fail, and ticks of the sensor, as stdin asks for them.

``fail REASON`` a run whose step ends in a sentence of ours, ``break REASON`` one whose step ends in a library's error,
``pass`` one that succeeds, ``tick`` what the daemon does every half minute, ``patience N`` that an alert is
lost after so many, ``hurry SECONDS`` that a tick begins none after so many. Each answers with one JSON line.
"""

import json
import sys
from collections.abc import Iterator

import dagster as dg


@dg.asset(config_schema={"how": str, "reason": str}, check_specs=[dg.AssetCheckSpec("odd", asset="step")])
def step(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """A check that only warns, and then what was asked for."""
    yield dg.AssetCheckResult(check_name="odd", passed=False, severity=dg.AssetCheckSeverity.WARN, description="odd")
    how, reason = context.op_execution_context.op_config["how"], context.op_execution_context.op_config["reason"]
    if how == "fail":
        raise dg.Failure(reason, allow_retries=False)
    if how == "break":
        raise ValueError(reason)
    yield dg.MaterializeResult()


JOB = dg.define_asset_job("nightly_work", [step])


def main() -> None:
    from recsys_assets.assets import failures
    from recsys_assets.automation import alert  # opens the home
    from recsys_assets.resources import Shop

    cursor, nightly_work = None, dg.Definitions([step], jobs=[JOB]).resolve_job_def("nightly_work")
    with dg.DagsterInstance.ephemeral() as instance:
        for line in sys.stdin:
            how, _, reason = line.strip().partition(" ")
            if how == "patience":
                failures.TRIES = int(reason)
                print(json.dumps({}), flush=True)
            elif how == "hurry":
                failures.TICK_SECONDS = float(reason)
                print(json.dumps({}), flush=True)
            elif how == "tick":
                with dg.build_sensor_context(instance, cursor, resources={"shop": Shop()}) as context:
                    skipped = alert(context)
                    cursor = context.cursor
                assert isinstance(skipped, dg.SkipReason)
                print(json.dumps({"said": skipped.skip_message}), flush=True)
            else:
                config = {"ops": {"step": {"config": {"how": how, "reason": reason}}}}
                tags = {"dagster/partition": "2024-03-01"}
                done = nightly_work.execute_in_process(config, instance=instance, tags=tags, raise_on_error=False)
                print(json.dumps({"run_id": done.run_id}), flush=True)


if __name__ == "__main__":
    main()
