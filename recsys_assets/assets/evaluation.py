"""Clean events → choices from the validation window, figures of the test window (promise 6)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial

import dagster as dg
import polars as pl

from recsys_assets.assets.features import PAST_EVENTS, catalog_as_of, links, opted_out
from recsys_assets.assets.quality import spec
from recsys_assets.assets.reference import reference
from recsys_assets.assets.stage import stage
from recsys_assets.assets.tuned import searched, tuned
from recsys_assets.errors import NotFoundError
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.identities import merged, of_somebody
from recsys_assets.logic.outliers import usable
from recsys_assets.logic.people_order import called_by_number, numbers
from recsys_assets.logic.promotion import Compared, no_worse
from recsys_assets.logic.search import Undone, knob
from recsys_assets.logic.split import origins, windows
from recsys_assets.models.calibration import calibration_markdown
from recsys_assets.models.choosing import choice_k
from recsys_assets.models.evaluation import Evaluation, evaluate
from recsys_assets.models.recipe import FILE as RECIPE
from recsys_assets.models.recipe import Recipe
from recsys_assets.partitions import DAY, day_of
from recsys_assets.plots import gains_by_history, markdown_image, metrics_by_model
from recsys_assets.resources import Shop
from recsys_assets.stores.lake import days_between
from recsys_assets.stores.live import live
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.searches import Searches
from recsys_assets.tables import CALIBRATION, CATALOG, CLEAN_EVENTS, COMPARISONS, EVALUATION, SLICES
from recsys_assets.tuning import Tuning


def recommendable(shop: Shop, day: date) -> list[str]:
    """Product ids that may be listed on ``day``."""
    return offered(shop.lake.read(CATALOG, day))


def offered(catalog: pl.DataFrame) -> list[str]:
    """Product ids that table CATALOG lets be listed, in order."""
    return catalog.filter(pl.col.not_recommendable.is_null())["product_id"].sort().to_list()


@dataclass(frozen=True)
class Evaluated:
    """What windows of the past are made of: each as it was known at the end of its own cut-off (promise 6)."""

    events: pl.DataFrame
    links: Callable[[pl.DataFrame | pl.LazyFrame, date], pl.DataFrame]
    products: Callable[[date], pl.DataFrame]

    def recommendable(self, cutoff: date) -> list[str]:
        """Product ids that could be listed at the end of ``cutoff``."""
        return offered(self.products(cutoff))


def evaluated(shop: Shop, day: date, window_days: int) -> Evaluated:
    """Of the windows of ``day``, each of which looks back ``window_days`` at most.

    People have numbers instead of keys, so that two homes with the same files find the same figures.
    """
    knobs = shop.tuning.evaluation
    oldest = windows(origins(day, knobs.holdout_days, knobs.origins)[-1], knobs.holdout_days)["validation"].before()
    first = max(oldest.cutoff - timedelta(window_days - 1), shop.home.config.first_day)
    events = usable(shop.lake.scan(CLEAN_EVENTS, days_between(first, day))).collect()
    known, out, numbered = links(shop), opted_out(shop, events), numbers(events)

    def linked(given: pl.DataFrame | pl.LazyFrame, cutoff: date) -> pl.DataFrame:
        of, seen = known(given, cutoff), given.lazy().collect()
        return called_by_number(of_somebody(merged(seen, of), of, out), numbered)

    return Evaluated(events, linked, cache(partial(catalog_as_of, shop)))


def _worse_by_search(shop: Shop, day: date, result: Evaluation, live: Recipe, knobs: Tuning) -> str:
    """Puts the search in force aside where its knobs, which the live lists have not, make worse lists; why, or ''.

    The gate would refuse the day, and every one after it; without the search it goes on by the knobs before.
    """
    found = searched(shop, day)
    if found is None or all(knob(live.tuning, name) == knob(knobs, name) for name in found.overrides):
        return ""
    compared = Compared.among(result.comparisons, result.metrics, "ndcg", choice_k(knobs))
    verdict = no_worse("champion", compared, knobs.promotion.margin)
    if verdict.ok:
        return ""
    why = f"set aside by the night of {day}: {verdict.says}"
    Searches(shop.lake).undo(Undone(day, found.day, datetime.now(UTC).isoformat(timespec="microseconds"), why))
    return f"the search of {found.day} is {why}"


def read_choices(shop: Shop, day: date) -> Choices:
    """What the validation window of ``day`` chose."""
    return Choices.from_json(json.loads(shop.lake.get_text("choices", day, "choices.json")))


def champion(shop: Shop) -> tuple[Recipe | None, str]:
    """By what the live lists are made, and in words which model that is, or why it is not known."""
    found = live(Postgres(shop.settings.postgres_url), people=0, places=0)
    if found is None:
        return None, "nothing is live yet"
    recipe, why_not = recipe_of(shop, found.model_version)
    return recipe, f"{found.model_version} is live and {why_not}" if why_not else found.model_version


def recipe_of(shop: Shop, version: str) -> tuple[Recipe | None, str]:
    """By what a registered version makes lists, or why that is not known."""
    try:
        folder = shop.tracking.fetch(int(version.rpartition("/")[2]))
        return Recipe.from_text((folder / RECIPE).read_text(encoding="utf-8")), ""
    except (FileNotFoundError, NotFoundError) as error:
        return None, f"cannot be made again: {error}"


@dg.asset(
    partitions_def=DAY,
    deps=[PAST_EVENTS, "users", "catalog"],
    description="Figures of every model on days it has not seen, and what the validation window chose.",
    check_specs=[
        spec("evaluation", "nothing_of_the_future_is_seen", "What models learn from is the same without later days."),
        dg.AssetCheckSpec(
            "figures_can_be_believed",
            asset="evaluation",
            description="No model finds more than can be found, or nearly all of what is new to people.",
        ),
    ],
)
def evaluation(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        recipe, named = champion(shop)
        context.log.info(f"champion: {named}")
        held_on_to = reference(shop, day)
        fixed = recipe_of(shop, held_on_to.version)[0] if held_on_to else None
        context.log.info(f"reference: {held_on_to or 'nothing went live yet'}")
        longest = max(shop.tuning.window_days, *(one.tuning.window_days for one in (recipe, fixed) if one), 0)
        known = evaluated(shop, day, longest)

        def measured(knobs: Tuning) -> Evaluation:
            return evaluate(
                known.events,
                day,
                known.recommendable,
                knobs,
                links=known.links,
                products=known.products,
                champion=recipe,
                reference=fixed,
                older=lambda last: tuned(shop, last),
                threads=shop.settings.threads,
                progress=context.log.info,
            )

        knobs = tuned(shop, day)
        result = measured(knobs)
        while recipe is not None and (worse := _worse_by_search(shop, day, result, recipe, knobs)):
            context.log.info(worse)
            knobs = tuned(shop, day)
            result = measured(knobs)
        lake.write(EVALUATION, day, result.metrics)
        lake.write(COMPARISONS, day, result.comparisons)
        lake.write(SLICES, day, result.slices)
        lake.write(CALIBRATION, day, result.calibration)
        choices = json.dumps(result.choices.to_json(), indent=1, sort_keys=True)
        lake.put_text("choices", day, "choices.json", choices)
        plots = {
            "ndcg_at_10": (metrics_by_model(result.metrics), "NDCG@10 by model"),
            "gain_by_history": (gains_by_history(result.slices), "Gain over popularity by length of history"),
        }
        yield dg.MaterializeResult(
            metadata=metadata(
                result.metrics.height,
                kind=result.choices.kind,
                choice_ndcg=dict(result.choices.figures),
                repeats_allowed=result.choices.repeats_allowed,
                repeat_weight=result.choices.repeat_weight,
                als_regularization=result.choices.als_regularization,
                champion=named,
                calibration=dg.MetadataValue.md(calibration_markdown(result.calibration)),
                **{name: dg.MetadataValue.md(markdown_image(png, alt)) for name, (png, alt) in plots.items()},
            )
        )
        yield dg.AssetCheckResult(
            check_name="nothing_of_the_future_is_seen",
            passed=not result.leaks,
            description="; ".join(result.leaks) or "the same without the days after each cut-off",
        )
        yield dg.AssetCheckResult(
            check_name="figures_can_be_believed",
            passed=not result.doubts,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(result.doubts) or "none is too good to be true",
        )
