"""The gate before the flip: today's lists against the live ones, and every reason against the events (promise 7)."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import polars as pl

from recsys_assets.assets.features import PAST_EVENTS, events_of_people
from recsys_assets.assets.models import load_blend
from recsys_assets.assets.publication import publication_of
from recsys_assets.assets.quality import spec
from recsys_assets.assets.reference import reference
from recsys_assets.assets.stage import stage
from recsys_assets.logic.audit import Audit, audit, audit_sources
from recsys_assets.logic.choices import EVERYBODY
from recsys_assets.logic.price_tiers import product_tiers
from recsys_assets.logic.promotion import Compared, ListFacts, Verdict, churn, decide, judge, table
from recsys_assets.models.choosing import choice_k
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.live import live
from recsys_assets.stores.postgres import Postgres
from recsys_assets.tables import CATALOG, COMPARISONS, EVALUATION, INTERACTIONS, LISTS, PRICE_TIERS, PROMOTION, STEPS


@dg.asset(
    partitions_def=DAY,
    deps=[
        "lists", "evaluation", "blend", "catalog", "price_tiers", PAST_EVENTS, "identities", "interactions", "steps",
    ],
    description=PROMOTION.what,
    check_specs=[
        spec("promotion", "may_go_live", "No worse than what is live, and as many, as varied and as dear lists as it."),
        spec("promotion", "reasons_are_true", "Reasons that are recomputed from clean events are those of the lists."),
        spec("promotion", "sources_are_true", "A product's model_source is the rule, or the member, that is loudest."),
    ],
)  # fmt: skip
def promotion(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day = day_of(context)
        lists = shop.lake.read(LISTS, day)
        verdicts, against = _judged(shop, day, lists)
        reasons, sources = _audited(shop, day, lists)
        told = table(verdicts)
        shop.lake.write(PROMOTION, day, told)
        yield dg.MaterializeResult(
            metadata=metadata(
                told.height,
                compared_with=against,
                rules=dg.MetadataValue.md("\n".join(f"- {'✓' if one.ok else '✗'} {one.says}" for one in verdicts)),
                reasons_recomputed=reasons.checked,
            )
        )
        decision = decide(verdicts, against, day in shop.tuning.promotion.accept_days)
        wish = publication_of(context, shop)
        yield dg.AssetCheckResult(
            check_name="may_go_live",
            passed=decision.passed,
            # What is not to be published has no gate to pass: it may well differ from what is live.
            severity=dg.AssetCheckSeverity.ERROR if decision.stops and wish.publishes else dg.AssetCheckSeverity.WARN,
            description=decision.says if wish.publishes else f"not to be published: {wish.why}. {decision.says}",
        )
        yield dg.AssetCheckResult(check_name="reasons_are_true", passed=not reasons.false, description=str(reasons))
        yield dg.AssetCheckResult(check_name="sources_are_true", passed=not sources.false, description=str(sources))


def _judged(shop: Shop, day: date, lists: pl.DataFrame) -> tuple[list[Verdict], str]:
    """What each rule says, and what the lists were held against."""
    knobs, lake = shop.tuning.promotion, shop.lake
    served = lists.filter(pl.col.position <= knobs.places).select("person_key", "product_id", "price_micros")
    catalog = lake.read(CATALOG, day)
    tiers = product_tiers(catalog, lake.read(PRICE_TIERS, day)).select("product_id", "price_tier")
    compared = Compared.among(lake.read(COMPARISONS, day), lake.read(EVALUATION, day), "ndcg", choice_k(shop.tuning))
    found = live(Postgres(shop.settings.postgres_url), knobs.people, knobs.places)
    people = lists["person_key"].n_unique()
    if found is None:
        today = ListFacts.of(served, catalog, tiers)
        return judge(compared, today, None, None, (people, None), knobs), "what is popular: nothing is live"
    same = served.join(found.served.select("person_key").unique(), on="person_key", how="semi")
    theirs = found.served.join(same.select("person_key").unique(), on="person_key", how="semi")
    verdicts = judge(
        compared,
        ListFacts.of(same, catalog, tiers),
        ListFacts.of(theirs, catalog, tiers),
        churn(same, theirs),
        (people, found.people),
        knobs,
        {"champion": found.model_version, "reference": str(reference(shop, day) or "none is recorded yet")},
    )
    return verdicts, f"generation {found.generation} for {found.day} ({found.model_version})"


def _audited(shop: Shop, day: date, lists: pl.DataFrame) -> tuple[Audit, Audit]:
    """Reasons and sources of some people: the first ones by key, and keys are drawn by a secret."""
    tuning = shop.tuning
    some = lists["person_key"].unique().sort().head(tuning.promotion.audit_people)
    theirs = lists.filter(pl.col.person_key.is_in(some.to_list()))
    blend = load_blend(shop, day)
    weights = {EVERYBODY: blend.weights, **blend.by_type}
    sources = audit_sources(theirs, weights, _baskets(shop, day, some), blend.types, tuning.pins)
    model = blend.models["item_cf"]
    assert isinstance(model, ItemCf)
    names, near = model.product_ids.tolist(), model.similarity.tocsr()
    neighbours = {
        product: [names[column] for column in near[row].nonzero()[1].tolist()] for row, product in enumerate(names)
    }
    reasons = audit(
        theirs,
        events_of_people(shop, day),
        dict(shop.lake.read(CATALOG, day).select("product_id", "category").iter_rows()),
        neighbours,
        day,
        window_days=tuning.window_days,
        recent_days=tuning.recent_days,
        least_buyers=tuning.k_anonymity,
        pinned=tuning.pins,
    )
    return reasons, sources


def _baskets(shop: Shop, day: date, people: pl.Series) -> dict[str, int]:
    """Baskets that are known of each person: those in order, or the days on which they bought one product."""
    counts = (
        shop.lake.scan(table, [day]).filter(pl.col.person_key.is_in(people.to_list())).select("person_key", _n=count)
        for table, count in ((STEPS, pl.col.basket + 1), (INTERACTIONS, pl.col.purchases))
    )
    most = pl.concat(counts).group_by("person_key").agg(pl.col("_n").max()).collect()
    return dict(most.iter_rows())
