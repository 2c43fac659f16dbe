"""Clean events → better knobs of the members, adopted where a window of its own says so; not part of a night."""

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import dagster as dg

from recsys_assets.assets.evaluation import evaluated
from recsys_assets.assets.features import PAST_EVENTS
from recsys_assets.assets.stage import Metadata, stage
from recsys_assets.logic.search import Overrides, Searched, in_force, not_by_hand, overridden
from recsys_assets.logic.split import Window, windows
from recsys_assets.models.searching import Found, Verdict, judged, search
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.searches import Searches
from recsys_assets.stores.tracking import metric_name


@dg.asset(
    partitions_def=DAY,
    deps=[PAST_EVENTS, "users", "catalog"],
    description="Knobs of the members that a seeded search found; they hold where a window of its own says so.",
)
def knob_search(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        window = windows(day, shop.tuning.evaluation.holdout_days)["validation"]  # the test's is never looked at
        earlier, kept = window.before(), Searches(shop.lake)
        before = in_force(kept.all(), day - timedelta(1), window.until)
        present = not_by_hand(shop.tuning, before.overrides) if before else {}
        known = evaluated(shop, day, shop.tuning.window_days)
        found = search(
            known.links(known.events, earlier.cutoff),
            earlier,
            known.recommendable(earlier.cutoff),
            shop.tuning,
            present=present,
            products=known.products(earlier.cutoff),
            threads=shop.settings.threads,
            progress=context.log.info,
        )
        if found is None:
            return _kept(context, shop, window, present, None, None, metadata)
        verdict = None
        if found.overrides:
            verdict = judged(
                known.events,
                window,
                known.recommendable,
                overridden(shop.tuning, present),
                overridden(shop.tuning, present | found.overrides),
                links=known.links,
                products=known.products,
                threads=shop.settings.threads,
                progress=context.log.info,
            )
        return _kept(context, shop, window, present, found, verdict, metadata)


def _kept(
    context: dg.AssetExecutionContext,
    shop: Shop,
    window: Window,
    present: Overrides,
    found: Found | None,
    verdict: Verdict | None,
    metadata: Metadata,
) -> dg.MaterializeResult[None]:
    """Records and tells what was found."""
    earlier = window.before()
    lines, said, run_id = list[str](), "", ""
    if found is None:
        said = (
            f"nothing was searched: the shop is too young, its window of {_days(earlier)} has no sales after days to "
            "learn from"
        )
    else:
        lines = [f"chosen on {_days(earlier)}, {found.people:,} people", *found.lines()]
        said = "nothing to adopt: no other knobs did better than the present ones"
        run_id = _track(context, shop, found)
        if found.overrides:
            said = f"not adopted: nobody bought anything on {_days(window)}, where the winners would be judged"
    if verdict is not None:
        said = f"judged on {_days(window)}: {verdict}"
    adopted = verdict is not None and verdict.adopted
    overrides = present | (found.overrides if found else {})
    figures = {} if verdict is None else asdict(verdict)
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    record = Searched(day_of(context), at, adopted, overrides, window.until, figures, said, (*lines, said))
    Searches(shop.lake).record(record, asdict(found) if found else {})
    context.log.info(said)
    return dg.MaterializeResult(
        metadata=metadata(
            len(found.trials) if found else 0,
            overrides=overrides,
            adopted=adopted,
            found=dg.MetadataValue.md("\n".join(f"- {line}" for line in record.says)),
            mlflow_run=run_id,
        )
    )


def _days(window: Window) -> str:
    return f"{window.cutoff + timedelta(1)} to {window.until}"


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
