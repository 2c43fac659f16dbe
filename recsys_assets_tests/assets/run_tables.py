"""`python -m recsys_assets_tests.assets.run_tables daily DAY LAST`: as-of tables of a day where later ones are there.

Events of all days of the home of RECSYS_HOME up to LAST, then what as-of tables of DAY are made of, without what
publishes. Prints what `run_job` does, of the latter, or of the former where it failed.
"""

import json
import sys

import dagster as dg

from recsys_assets_tests.assets.made_shop import FIRST
from recsys_assets_tests.assets.run_job import run


def main(job: str, day: str, last: str) -> None:
    from recsys_assets.definitions import defs  # opens the home
    from recsys_assets.tables import TABLES

    graph = defs().resolve_asset_graph()
    made = {key.to_user_string() for key in graph.get_all_asset_keys()}
    tables = sorted(made & {name for name, table in TABLES.items() if table.partition == "as_of"})
    needed = dg.AssetSelection.assets(*tables).upstream().required_multi_asset_neighbors()
    told = run("history", str(FIRST), last)
    if told["success"]:
        told = run(job, day, day, sorted(needed.resolve(graph)))
    print(json.dumps(told, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
