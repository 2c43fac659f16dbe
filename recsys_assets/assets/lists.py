"""Champion → candidates, lists, similar and popular products."""

from collections.abc import Iterator

import dagster as dg
import numpy as np
import polars as pl

from recsys_assets.assets.evaluation import read_choices, recommendable
from recsys_assets.assets.models import load_blend, load_model
from recsys_assets.assets.quality import suite_result, suite_spec
from recsys_assets.assets.stage import stage
from recsys_assets.logic.hashing import list_hash
from recsys_assets.logic.popular import popular_items as popular
from recsys_assets.logic.ranking import Ranking, emptied
from recsys_assets.models.base import Interactions, called_by_number
from recsys_assets.models.candidates import candidates as level_1
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.models.learned import Learned
from recsys_assets.models.next_items import next_items as following
from recsys_assets.models.similar import similar_items as similar
from recsys_assets.models.traits import Traits
from recsys_assets.models.transitions import Transitions
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.quality import suites
from recsys_assets.tables import (
    CANDIDATES,
    CATALOG,
    INTERACTIONS,
    ITEM_STATS,
    LISTS,
    NEXT_ITEMS,
    OWNED,
    POPULAR_ITEMS,
    REPURCHASE_CYCLES,
    RULE_EFFECTS,
    SIMILAR_ITEMS,
    STEPS,
    USER_PROFILES,
)


@dg.asset(partitions_def=DAY, deps=["blend", "interactions", "steps", "catalog"], description=CANDIDATES.what)
def candidates(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        model, choices, facts = load_blend(shop, day), read_choices(shop, day), lake.read(CATALOG, day)
        seen, steps = lake.read(INTERACTIONS, day), lake.read(STEPS, day)
        history = Interactions.from_frame(seen, model.product_ids, steps=steps)
        model.meet(called_by_number(history))
        reorder = None
        if choices.kind == "learned":
            traits = Traits.of(seen, model.product_ids, day, shop.tuning.recent_days, facts)
            reorder = Learned.of(choices, traits, threads=1)  # the blocks share the cores already
        listable = np.isin(model.product_ids, np.array(recommendable(shop, day), dtype=np.str_))
        blocks = level_1(model, history, listable, choices, shop.tuning, reorder=reorder, threads=shop.settings.threads)
        rows = lake.write(CANDIDATES, day, pl.concat([CANDIDATES.empty(), *blocks]))
        return dg.MaterializeResult(
            metadata=metadata(
                rows, kind=choices.kind, people=len(history.person_keys), products_listable=int(listable.sum())
            )
        )


@dg.asset(
    partitions_def=DAY,
    deps=["candidates", "catalog", "item_stats", "interactions", "user_profiles", "repurchase_cycles"],
    description=LISTS.what,
    check_specs=[suite_spec("lists", "lists_are_whole")],
)
def lists(context: dg.AssetExecutionContext, shop: Shop) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        pool, facts = lake.read(CANDIDATES, day), lake.read(CATALOG, day)
        ranking = Ranking(
            facts,
            lake.read(ITEM_STATS, day),
            lake.read(INTERACTIONS, day),
            lake.read(USER_PROFILES, day),
            lake.read(REPURCHASE_CYCLES, day),
            as_of=day,
            choices=read_choices(shop, day),
            tuning=shop.tuning,
        )
        ranked = ranking.rank(pool, shop.settings.threads)
        frame = ranked.lists
        lake.write(LISTS, day, frame)
        lake.write(RULE_EFFECTS, day, ranked.effects)
        lake.write(OWNED, day, ranking.owned())
        yield dg.MaterializeResult(
            metadata=metadata(
                frame.height,
                people=frame["person_key"].n_unique(),
                served=frame["position"].count(),
                reasons=dict(frame.filter(pl.col.position.is_not_null())["reason_code"].value_counts(sort=True).rows()),
                dropped=dict(ranked.effects["dropped_by"].drop_nulls().value_counts(sort=True).rows()),
                products_served=frame.filter(pl.col.position.is_not_null())["product_id"].n_unique(),
                list_hash=list_hash(frame),
            )
        )
        suite = suites.lists(shop.tuning, pool["person_key"].n_unique(), len(emptied(pool, frame, ranked.effects)))
        yield suite_result(shop, "lists", "lists_are_whole", suites.beside(frame, facts, "product_id"), suite, str(day))


@dg.asset(
    partitions_def=DAY,
    deps=["blend", "interactions", "catalog"],
    description=SIMILAR_ITEMS.what,
    check_specs=[suite_spec("similar_items", "similar_items_are_whole")],
)
def similar_items(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        model = load_blend(shop, day).models["item_cf"]
        assert isinstance(model, ItemCf)
        train = Interactions.from_frame(lake.read(INTERACTIONS, day), model.product_ids)
        listable = np.isin(model.product_ids, np.array(recommendable(shop, day), dtype=np.str_))
        facts = lake.read(CATALOG, day)
        frame = similar(model, train, listable, facts, shop.tuning, shop.settings.threads)
        lake.write(SIMILAR_ITEMS, day, frame)
        yield dg.MaterializeResult(
            metadata=metadata(
                frame.height,
                products=frame["product_id"].n_unique(),
                sources=dict(frame["source"].value_counts().sort("source").iter_rows()),
            )
        )
        seen = suites.beside(frame, facts, "similar_product_id")
        yield suite_result(shop, "similar_items", "similar_items_are_whole", seen, suites.similar_items(), str(day))


@dg.asset(
    partitions_def=DAY,
    deps=["transitions", "catalog"],
    description=NEXT_ITEMS.what,
    check_specs=[suite_spec("next_items", "next_items_are_whole")],
)
def next_items(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        model = load_model(shop, "transitions", day)
        assert isinstance(model, Transitions)
        listable = np.isin(model.product_ids, np.array(recommendable(shop, day), dtype=np.str_))
        facts = lake.read(CATALOG, day)
        frame = following(model, listable, facts, shop.tuning)
        lake.write(NEXT_ITEMS, day, frame)
        yield dg.MaterializeResult(metadata=metadata(frame.height, products=frame["product_id"].n_unique()))
        seen = suites.beside(frame, facts, "next_product_id")
        yield suite_result(shop, "next_items", "next_items_are_whole", seen, suites.next_items(), str(day))


@dg.asset(
    partitions_def=DAY,
    deps=["item_stats", "catalog"],
    description=POPULAR_ITEMS.what,
    check_specs=[suite_spec("popular_items", "popular_items_are_whole")],
)
def popular_items(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        facts = lake.read(CATALOG, day)
        frame = popular(lake.read(ITEM_STATS, day), facts, shop.tuning)
        lake.write(POPULAR_ITEMS, day, frame)
        yield dg.MaterializeResult(metadata=metadata(frame.height, categories=frame["category"].n_unique() - 1))
        seen, suite = suites.beside(frame, facts, "product_id"), suites.popular_items(shop.tuning)
        yield suite_result(shop, "popular_items", "popular_items_are_whole", seen, suite, str(day))
