"""Clean events → better knobs of the members, found on the validation window; not part of a night."""

import hashlib
import json
from dataclasses import asdict

import dagster as dg

from recsys_assets.assets.evaluation import evaluated
from recsys_assets.assets.features import PAST_EVENTS
from recsys_assets.assets.stage import stage
from recsys_assets.assets.tuned import FOLDER, WINNER
from recsys_assets.logic.split import windows
from recsys_assets.models.searching import Found, search
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.tracking import metric_name


@dg.asset(
    partitions_def=DAY,
    deps=[PAST_EVENTS, "users", "catalog"],
    description="Knobs of the members that a seeded search found; they hold until it is run again.",
)
def knob_search(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        window = windows(day, shop.tuning.evaluation.holdout_days)["validation"]
        known = evaluated(shop, day, shop.tuning.window_days)
        found = search(
            known.links(known.events, window.cutoff),
            window,
            known.recommendable(window.cutoff),
            shop.tuning,
            products=known.products(window.cutoff),
            threads=shop.settings.threads,
            progress=context.log.info,
        )
        if found is None:
            context.log.info("the shop is too young to search: its validation window has no sales")
            return dg.MaterializeResult(metadata=metadata(0))
        run_id = _track(context, shop, found)
        told = {"overrides": found.overrides, "tried": asdict(found)}
        shop.lake.put_text(FOLDER, day, WINNER, json.dumps(told, indent=1, sort_keys=True))
        lines = "\n".join(f"- {line}" for line in found.lines())
        return dg.MaterializeResult(
            metadata=metadata(
                len(found.trials), overrides=found.overrides, found=dg.MetadataValue.md(lines), mlflow_run=run_id
            )
        )


def _track(context: dg.AssetExecutionContext, shop: Shop, found: Found) -> str:
    """A tracked run of the search, and one below it for each trial and window."""
    about = {
        "day": day_of(context),
        "dagster_run_id": context.run_id,
        "settings_hash": hashlib.sha256(shop.tuning.model_dump_json().encode()).hexdigest()[:16],
    }
    with shop.tracking.run("search", **about, parameters=found.overrides) as whole:
        for place, trial in enumerate(found.trials):
            name = f"search {trial.member} {place}"
            with shop.tracking.run(name, **about, parameters=trial.overrides, parent=whole) as run:
                run.log_metrics({metric_name("ndcg", found.k, "validation", "new"): trial.figure})
        for one in found.windows:
            name, days = f"search window {one.days}", {"window_days": one.days}
            with shop.tracking.run(name, **about, parameters=days, parent=whole) as run:
                run.log_metrics({metric_name("ndcg", found.k, "validation", "all"): one.blend})
        return whole.run_id
