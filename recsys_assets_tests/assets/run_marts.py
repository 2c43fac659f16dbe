"""`python -m recsys_assets_tests.assets.run_marts DAY`: the marts alone, for the home of RECSYS_HOME.

Prints one JSON line: whether the run succeeded, and per failed check what it says.
"""

import json
import sys

import dagster as dg


def main(day: str) -> None:
    from recsys_assets.assets.dbt_marts import marts  # opens the home
    from recsys_assets.resources import Shop

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [marts], partition_key=day, instance=instance, resources={"shop": Shop()}, raise_on_error=False
        )
    evaluations = result.get_asset_check_evaluations()
    rows = {
        made.asset_key.to_user_string(): made.metadata["dagster/row_count"].value
        for made in result.asset_materializations_for_node("marts")
    }
    failed = {e.check_name: e.metadata["rows_that_break_it"].value for e in evaluations if not e.passed}
    print(json.dumps({"success": result.success, "checks": len(evaluations), "failed": failed, "rows": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
