"""Clean events → choices from the validation window, figures of the test window (promise 6)."""

import json
from collections.abc import Iterator
from datetime import date

import dagster as dg
import polars as pl

from recsys_assets.assets.features import PAST_EVENTS, past_events
from recsys_assets.assets.stage import stage
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.identities import identities, merged
from recsys_assets.logic.split import windows
from recsys_assets.models.evaluation import evaluate
from recsys_assets.partitions import DAY, day_of
from recsys_assets.plots import markdown_image, metrics_by_model
from recsys_assets.resources import Shop
from recsys_assets.tables import CATALOG, COMPARISONS, EVALUATION, IDENTITIES

ENOUGH_PEOPLE = 30  # of fewer, an interval over people says nothing


def recommendable(shop: Shop, day: date) -> list[str]:
    """Product ids that may be listed on ``day``."""
    known = shop.lake.read(CATALOG, day).filter(pl.col.not_recommendable.is_null())
    return known["product_id"].sort().to_list()


def _events(shop: Shop, day: date) -> pl.DataFrame:
    """The window's events under the links that were known before any held-out day (promise 6)."""
    events, known = past_events(shop, day), shop.lake.read(IDENTITIES, day)
    if known.is_empty():
        return events
    cutoff = windows(day, shop.tuning.evaluation.holdout_days)["validation"].cutoff
    before = identities(events, cutoff, shop.tuning.window_days)
    return merged(events, before.join(known, on="anon_key", how="semi"))  # without those of the erased


def read_choices(shop: Shop, day: date) -> Choices:
    """What the validation window of ``day`` chose."""
    return Choices.from_json(json.loads(shop.lake.get_text("choices", day, "choices.json")))


@dg.asset(
    partitions_def=DAY,
    deps=[PAST_EVENTS, "identities", "catalog"],
    description="Figures of every model on days it has not seen, and what the validation window chose.",
    check_specs=[
        dg.AssetCheckSpec(
            "published_is_no_worse_than_popularity",
            asset="evaluation",
            blocking=True,
            description="On the test window, paired: the interval of NDCG@10 must not lie below 0.",
        )
    ],
)
def evaluation(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day = day_of(context)
        result = evaluate(
            _events(shop, day),
            day,
            recommendable(shop, day),
            shop.tuning,
            threads=shop.settings.threads,
            progress=context.log.info,
        )
        shop.lake.write(EVALUATION, day, result.metrics)
        shop.lake.write(COMPARISONS, day, result.comparisons)
        choices = json.dumps(result.choices.to_json(), indent=1, sort_keys=True)
        shop.lake.put_text("choices", day, "choices.json", choices)
        plot = metrics_by_model(result.metrics)
        yield dg.MaterializeResult(
            metadata=metadata(
                result.metrics.height,
                repeats_allowed=result.choices.repeats_allowed,
                repeat_weight=result.choices.repeat_weight,
                als_regularization=result.choices.als_regularization,
                ndcg_at_10=dg.MetadataValue.md(markdown_image(plot, "NDCG@10 by model")),
            )
        )
        worse = result.comparisons.filter(
            (pl.col.split == "test")
            & (pl.col.model == "published")
            & (pl.col.baseline == "popularity")
            & (pl.col.metric == "ndcg")
            & (pl.col.k == 10)
            & (pl.col.high < 0)
            & (pl.col.people >= ENOUGH_PEOPLE)
        )
        yield dg.AssetCheckResult(
            passed=worse.is_empty(),
            description="published lists lose against popularity" if worse.height else "no worse, or too young to tell",
            metadata={"compared": result.comparisons.height},
        )
