"""`python -m recsys_assets_tests.assets.run_alert`: runs that fail, and ticks of the sensor, as stdin asks for them.

``fail REASON`` a run whose step ends in a sentence of ours, ``break REASON`` one whose step ends in a library's error,
``pass`` one that succeeds, ``tick`` what the daemon does every half minute. Each answers with one JSON line.
"""

import json
import sys

import dagster as dg


@dg.op(config_schema={"how": str, "reason": str})
def step(context: dg.OpExecutionContext) -> None:
    how, reason = context.op_config["how"], context.op_config["reason"]
    if how == "fail":
        raise dg.Failure(reason, allow_retries=False)
    if how == "break":
        raise ValueError(reason)


@dg.job
def nightly_work() -> None:
    step()


def main() -> None:
    from recsys_assets.automation import alert  # opens the home
    from recsys_assets.resources import Shop

    cursor = None
    with dg.DagsterInstance.ephemeral() as instance:
        for line in sys.stdin:
            how, _, reason = line.strip().partition(" ")
            if how == "tick":
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
