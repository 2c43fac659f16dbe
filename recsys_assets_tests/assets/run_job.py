"""`python -m recsys_assets_tests.assets.run_job JOB FIRST LAST [TAG=VALUE …]`: one job, for the home of RECSYS_HOME.

Prints one JSON line: whether it succeeded, each failed step's reason and what an alert would say of it, and per asset
what its materializations say.
"""

import json
import sys
from typing import Any

import dagster as dg


def run(
    job: str, first: str, last: str, only: list[dg.AssetKey] | None = None, more: dict[str, str] | None = None
) -> dict[str, Any]:
    """What a job told, or a run of ``only`` these of its assets; ``more`` are further tags."""
    from recsys_assets.assets.failures import alert_of
    from recsys_assets.definitions import defs  # opens the home

    tags = {"dagster/partition": first}
    if first != last:
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    tags |= more or {}
    with dg.DagsterInstance.ephemeral() as instance:
        result = (
            defs()
            .resolve_job_def(job)
            .execute_in_process(instance=instance, tags=tags, raise_on_error=False, asset_selection=only)
        )
        ended = instance.get_run_by_id(result.run_id)
        assert ended is not None
        alert = "" if result.success else alert_of(instance, ended, "", "our shop", "", "nothing is live yet").text()
    told: dict[str, Any] = {
        "success": result.success,
        "alert": alert,
        "failures": [
            event.step_failure_data.user_failure_data.description
            if event.step_failure_data.user_failure_data
            else event.step_failure_data.error_display_string
            for event in result.filter_events(lambda event: event.is_step_failure)
        ],
        "checks": {
            evaluation.check_name: [evaluation.passed, evaluation.description]
            for evaluation in result.get_asset_check_evaluations()
        },
        "assets": {},
    }
    for event in result.filter_events(lambda event: event.is_step_materialization):
        made = event.step_materialization_data.materialization
        values = {name: value.value for name, value in made.metadata.items()}
        told["assets"].setdefault(made.asset_key.to_user_string(), {})[made.partition] = values
    return told


def main(job: str, first: str, last: str, *tags: str) -> None:
    """Each of ``tags`` is ``name=value``."""
    more = dict(tag.split("=", 1) for tag in tags)
    print(json.dumps(run(job, first, last, more=more), default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
