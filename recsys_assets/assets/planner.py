"""What people did → a planner, held against what needs none and tracked in MLflow."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import cache, partial

import dagster as dg
import polars as pl

from recsys_assets.assets.features import PAST_EVENTS, catalog_as_of, links, opted_out
from recsys_assets.assets.models import folder_name
from recsys_assets.assets.quality import spec
from recsys_assets.assets.stage import stage
from recsys_assets.logic.baskets import planned_products
from recsys_assets.logic.outliers import usable
from recsys_assets.logic.people_order import called_by_number, numbers
from recsys_assets.logic.plans import row_of
from recsys_assets.models.leaks import state_leaks
from recsys_assets.models.planning import Known, Learned, learn, states_by
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.lake import days_between
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, PLAN_FIGURES, PRICE_TIERS

NAME = "planner"
PLANNING_FILE = "planning.json"  # what the API needs to plan for a visit


def products_of(shop: Shop, day: date) -> pl.DataFrame:
    """What plans know of each product of a day's catalogue."""
    knobs, lake = shop.tuning.planner, shop.lake
    return planned_products(
        lake.read(CATALOG, day), lake.read(PRICE_TIERS, day), knobs.category_depth, knobs.gift_words
    )


def events_of_origins(shop: Shop, day: date) -> pl.DataFrame:
    """Clean events of the days that ``planner.origins`` asks for, up to ``day``."""
    knobs = shop.tuning
    oldest = day - timedelta(knobs.planner.horizon_days * knobs.planner.origins + knobs.window_days - 1)
    first = max(oldest, shop.home.config.first_day)
    return usable(shop.lake.scan(CLEAN_EVENTS, days_between(first, day))).collect()


def known_at(shop: Shop, day: date, events: pl.DataFrame, numbered: pl.DataFrame) -> Callable[[date], Known]:
    """A day → what was known at its end; nothing after ``day`` is read.

    People have numbers instead of keys, so that two homes with the same files learn the same: ``numbered`` is `numbers`
    of ``events``, which are `events_of_origins` up to ``day``, or of more.
    """
    knobs = shop.tuning
    known, out, catalogs = links(shop), opted_out(shop, events), cache(partial(catalog_as_of, shop))

    def at(past: date) -> Known:
        found = Known.by(past, events, known, out, catalogs(past), catalogs(day), knobs)
        return replace(found, events=called_by_number(found.events, numbered))

    return at


@dg.asset(
    partitions_def=DAY,
    deps=[PAST_EVENTS, "identities", "users", "catalog", "price_tiers", "repurchase_cycles"],
    description="What people are after next, learned from their baskets so far; each part is held against baselines.",
    check_specs=[
        spec(NAME, "nothing_of_the_future_is_seen", "What is learned of a past day is the same without later ones."),
        dg.AssetCheckSpec(
            "no_part_falls_back",
            asset=NAME,
            description="Trees still beat their baselines at every part of a plan that they made on the day before.",
        ),
    ],
)
def planner(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        events = events_of_origins(shop, day)
        numbered = numbers(events)
        known = known_at(shop, day, events, numbered)
        learned = learn(known, day, shop.tuning, shop.settings.threads, context.log.info)
        # The oldest and the newest: every other one is made by the same lines.
        wrong = state_leaks(
            [*learned.states[:1], *learned.states[1:][-1:]],
            lambda past: states_by(
                known_at(shop, past, events.filter(pl.col("event_date") <= past), numbered)(past), past, shop.tuning
            ),
        )
        lake.write(PLAN_FIGURES, day, learned.figures)
        with lake.new_folder(folder_name(NAME), day) as folder:
            learned.planner.save(folder)
            terms, new = learned.planner.terms, learned.planner.new
            told = {"day": day.isoformat(), "terms": terms.to_json(), "new": row_of(new, terms)}
            (folder / PLANNING_FILE).write_text(json.dumps(told), encoding="utf-8")
        run_id = _track(context, shop, learned)
        lines = "\n".join(f"- {'✓' if one.passed else '✗'} {one.says}" for one in learned.verdicts)
        yield dg.MaterializeResult(
            metadata=metadata(
                learned.figures.height,
                examples=learned.examples,
                made_by=dict(terms.made_by),
                found=dg.MetadataValue.md(lines or "The shop is too young for trees: its habits plan."),
                mlflow_run=run_id,
            )
        )
        yield dg.AssetCheckResult(
            check_name="nothing_of_the_future_is_seen",
            passed=not wrong,
            description="; ".join(wrong) or "the same without the days after each",
        )
        lost = _lost(shop, day, terms.made_by)
        why = [one.says for one in learned.verdicts if one.part in lost]
        yield dg.AssetCheckResult(
            check_name="no_part_falls_back",
            passed=not lost,
            severity=dg.AssetCheckSeverity.WARN,  # habits make that part, and the day goes on
            description="; ".join(why) or "trees make " + (", ".join(_by_trees(terms.made_by)) or "no part, as before"),
        )


def _by_trees(made_by: Mapping[str, str]) -> list[str]:
    return sorted(part for part, by in made_by.items() if by == "trees")


def _lost(shop: Shop, day: date, made_by: Mapping[str, str]) -> list[str]:
    """Parts that trees made on the newest computed day before, and make no more."""
    folder = folder_name(NAME)
    before = [made for made, files in shop.lake.parts(folder).items() if made < day and PLANNING_FILE in files]
    if not before:
        return []
    told = json.loads(shop.lake.get_text(folder, max(before), PLANNING_FILE))
    return [part for part in _by_trees(told["terms"]["made_by"]) if made_by.get(part) != "trees"]


def _track(context: dg.AssetExecutionContext, shop: Shop, learned: Learned) -> str:
    """A tracked run with the knobs, what each part is made by, and its figures beside those of the baselines."""
    knobs = shop.tuning.planner
    run = shop.tracking.run(
        NAME,
        day=day_of(context),
        dagster_run_id=context.run_id,
        settings_hash=hashlib.sha256(knobs.model_dump_json().encode()).hexdigest()[:16],
        parameters={**knobs.model_dump(), **{f"made_by.{k}": v for k, v in learned.planner.terms.made_by.items()}},
    )
    with run:
        run.log_metrics(
            {
                f"{row['target']}/{row['metric']}/{row['model']}/{row['user_type']}": row["value"]
                for row in learned.figures.filter(pl.col("value").is_finite()).iter_rows(named=True)
            }
        )
    return run.run_id
