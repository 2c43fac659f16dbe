"""Plans and catalogue → the words beside every offer: from a language model where one is set, else from templates."""

import hashlib
from typing import Any

import dagster as dg
import polars as pl

from recsys_assets.assets.stage import stage
from recsys_assets.logic.copy_texts import ACCEPTED
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.copy import CopyDesk
from recsys_assets.tables import COPY

_NAMED = 20  # refusals that metadata shows


@dg.asset(name="copy", partitions_def=DAY, deps=["plans", "catalog"], description=COPY.what)
def copy_asset(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        desk = CopyDesk(shop.lake, shop.tuning, shop.settings)
        asked = desk.ask(day, context.run_id, context.log.info)
        found, calls = asked.day, asked.calls
        shop.lake.write(COPY, day, found.copy)
        run_id = _track(context, shop, calls) if calls.height else None
        return dg.MaterializeResult(
            metadata=metadata(
                found.copy.height,
                sources=dict(found.copy["source"].value_counts(sort=True).rows()),
                missing=len(found.missing),
                waiting=found.waiting,
                given_up=found.given_up,
                outlived=found.outlived,
                prompt_version=desk.prompt_version,
                problems=[asked.problem] if asked.problem else [],
                **_told(calls),
                **({"mlflow_run": run_id} if run_id else {}),
            )
        )


def _told(calls: pl.DataFrame) -> dict[str, Any]:
    """Tokens, latency and outcomes of every call of this run."""
    if not calls.height:
        return {"calls": 0}
    return {
        "calls": calls.height,
        "outcomes": dict(calls["outcome"].value_counts(sort=True).rows()),
        "tokens_in": int(calls["tokens_in"].sum()),
        "tokens_out": int(calls["tokens_out"].sum()),
        "money": round(float(calls["money"].sum()), 6),
        "latency_ms_median": float(calls["latency_ms"].quantile(0.5, "nearest") or 0.0),
        "latency_ms_p95": float(calls["latency_ms"].quantile(0.95, "nearest") or 0.0),
        "refused": dg.MetadataValue.md(
            "\n".join(
                f"- {row['outcome']} ({row['count']}): {row['says']}"
                for row in calls.filter(pl.col("outcome") != ACCEPTED)
                .group_by("outcome", "says")
                .agg(pl.len().alias("count"))
                .sort("count", "outcome", "says", descending=[True, False, False])
                .head(_NAMED)
                .iter_rows(named=True)
            )
        ),
    }


def _track(context: dg.AssetExecutionContext, shop: Shop, calls: pl.DataFrame) -> str:
    """A tracked run of the day's calls: what was asked of which model, and what came of it."""
    knobs = shop.tuning.copywriting
    run = shop.tracking.run(
        "copy",
        day=day_of(context),
        dagster_run_id=context.run_id,
        settings_hash=hashlib.sha256(knobs.model_dump_json().encode()).hexdigest()[:16],
        parameters={"model": shop.settings.llm_model, **knobs.model_dump()},
    )
    with run:
        told = _told(calls)
        figures = {name: value for name, value in told.items() if isinstance(value, int | float)}
        run.log_metrics(figures | {f"outcome/{name}": count for name, count in told["outcomes"].items()})
    return run.run_id
