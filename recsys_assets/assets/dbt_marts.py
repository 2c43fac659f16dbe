"""The models of dbt_project as assets, its data tests as their checks.

Both are read from dbt's manifest here. dagster-dbt would do that too, but it imports all of dbt, which adds two
seconds and 60 MB to every process that loads these definitions, to each run's own among them.
"""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
from psycopg import sql

from recsys_assets.assets.stage import stage
from recsys_assets.local.dbt import Outcome, dbt, manifest, write_docs
from recsys_assets.partitions import DAY
from recsys_assets.resources import Shop
from recsys_assets.stores.postgres import Connection, Postgres

_ID = "dbt/unique_id"
Node = dict[str, Any]

_MANIFEST: dict[str, dict[str, Node]] = json.loads(manifest().read_text())
_MODELS = [node for node in _MANIFEST["nodes"].values() if node["resource_type"] == "model"]
_TESTS = [node for node in _MANIFEST["nodes"].values() if node["resource_type"] == "test"]


def _asset_of(unique_id: str) -> str:
    """Asset of a model, or the one that a source's ``meta.asset`` names as its maker."""
    if source := _MANIFEST["sources"].get(unique_id):
        return str(source["meta"]["asset"])
    return str(_MANIFEST["nodes"][unique_id]["name"])


def _spec(model: Node) -> dg.AssetSpec:
    columns = [dg.TableColumn(name, description=column["description"]) for name, column in model["columns"].items()]
    schema = dg.TableSchema(columns)
    return dg.AssetSpec(
        model["name"],
        deps=[_asset_of(above) for above in model["depends_on"]["nodes"]],
        description=model["description"].strip(),
        metadata={"dagster/table_name": f"{model['schema']}.{model['name']}", "dagster/column_schema": schema},
        kinds={"dbt", "postgres"},
        partitions_def=DAY,
        skippable=True,
    )


def _check_spec(test: Node) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        test["name"],
        # A test on two models says in its meta whose it is.
        asset=test["meta"].get("asset") or _asset_of(test["attached_node"]),
        description=test["description"].strip() or None,
        metadata={_ID: test["unique_id"]},
        blocking=True,
    )


@dg.multi_asset(
    name="marts", specs=[_spec(model) for model in _MODELS], check_specs=[_check_spec(test) for test in _TESTS]
)
def marts(context: dg.AssetExecutionContext, shop: Shop) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Makes the views, tests what they show, and writes their documentation when the project has changed."""
    with stage() as metadata:
        url = shop.settings.postgres_url
        with Postgres(url).connect() as connection:
            # Unit tests try the SQL on rows of their own: they are this repository's tests, not a night's.
            outcomes = dbt(shop.home, url, ("build", "--exclude-resource-type", "unit_test"))
            for outcome in outcomes:  # in dbt's order, in which what a model reads comes before it
                model = _MANIFEST["nodes"][outcome.unique_id]
                if model["resource_type"] == "model" and outcome.status == "success":
                    rows = _rows(connection, model["schema"], model["name"])
                    seconds = dg.MetadataValue.float(round(outcome.seconds, 2))
                    yield dg.MaterializeResult(asset_key=model["name"], metadata=metadata(rows) | {"seconds": seconds})
        of_check = {outcome.unique_id: outcome for outcome in outcomes}
        for check in context.assets_def.check_specs:
            yield _result(check, of_check[check.metadata[_ID]])
        if failed := [outcome for outcome in outcomes if outcome.status == "error"]:
            raise dg.Failure("; ".join(f"{one.unique_id}: {one.message}" for one in failed), allow_retries=False)
        write_docs(shop.home, url)


def _rows(connection: Connection, schema: str, view: str) -> int:
    count = sql.SQL("SELECT count(*) AS rows FROM {}").format(sql.Identifier(schema, view))
    found = connection.execute(count).fetchone()
    assert found is not None
    return int(found["rows"])


def _result(check: dg.AssetCheckSpec, outcome: Outcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=outcome.status == "pass",
        description=outcome.message or outcome.status,
        metadata={"rows_that_break_it": outcome.failures, "seconds": round(outcome.seconds, 2)},
    )
