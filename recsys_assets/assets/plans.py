"""Planner, lists and catalogue → everybody's plan, and the few products that are offered for it."""

from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg
import polars as pl

from recsys_assets.assets.features import events_to_learn_from
from recsys_assets.assets.models import folder_name
from recsys_assets.assets.planner import NAME, products_of
from recsys_assets.assets.quality import suite_result, suite_spec
from recsys_assets.assets.stage import stage
from recsys_assets.logic.baskets import Shopping, shopping
from recsys_assets.logic.copy_texts import words_for
from recsys_assets.logic.intents import companions
from recsys_assets.logic.languages import language_of
from recsys_assets.logic.offers import offers
from recsys_assets.logic.plan_states import Habits
from recsys_assets.logic.plans import row_of
from recsys_assets.models.planning import ShopPlanner, habits_of, states_of
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.quality import suites
from recsys_assets.tables import CATALOG, INTERACTIONS, LISTS, PLANS, REPURCHASE_CYCLES, USER_PROFILES

PEOPLE_AT_ONCE = 20_000
_LATER: Sequence[str] = ("language", "product_ids", "reason_codes", "offer_intents")


@dg.asset(
    partitions_def=DAY,
    deps=[NAME, "lists", "user_profiles", "catalog", "price_tiers", "repurchase_cycles", "identities", "interactions"],
    description=PLANS.what,
    check_specs=[suite_spec("plans", "plans_are_whole")],
)
def plans(context: dg.AssetExecutionContext, shop: Shop) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        products = products_of(shop, day)
        seen = shopping(events_to_learn_from(shop, day), products)
        with lake.folder(folder_name(NAME), day) as folder:
            made_by = ShopPlanner.load(folder, shop.tuning, shop.settings.threads)
        lists = lake.read(LISTS, day).filter(pl.col("position") <= shop.tuning.offers.considered)
        profiles = lake.read(USER_PROFILES, day).select("person_key", "locale")
        facts = lake.read(CATALOG, day).select("product_id", "parent_id", "brand", "name")
        beside = facts.join(products.select("product_id", _category="category"), on="product_id", how="left")
        owned = (
            lake.read(INTERACTIONS, day)
            .filter(pl.col("purchases") > 0)
            .join(products, on="product_id")
            .select("person_key", "category")
            .unique()
        )
        cycles, pairs = lake.read(REPURCHASE_CYCLES, day), companions(seen, shop.tuning)
        habits = habits_of(seen, cycles, shop.tuning, pairs)
        everybody = pl.concat([seen.baskets.select("person_key"), seen.looks.select("person_key")]).unique()
        blocks = [
            _block(shop, day, made_by, seen.of(some), cycles, pairs, habits, lists, profiles, beside, owned)
            for some in everybody.sort("person_key").iter_slices(PEOPLE_AT_ONCE)
        ]
        frame = pl.concat([PLANS.empty(), *blocks])
        lake.write(PLANS, day, frame)
        yield dg.MaterializeResult(
            metadata=metadata(
                frame.height,
                intents=dict(frame["intent"].value_counts(sort=True).rows()),
                triggers=dict(frame["trigger"].value_counts(sort=True).rows()),
                offered=int(frame["product_ids"].list.len().sum()),
                products_offered=frame["product_ids"].explode().drop_nulls().n_unique(),
            )
        )
        known = frame.with_columns(_offered=pl.col("product_ids").list.len().cast(pl.Int64))
        yield suite_result(shop, "plans", "plans_are_whole", known, suites.plans(shop.tuning), str(day))


def _block(
    shop: Shop,
    day: date,
    made_by: ShopPlanner,
    seen: Shopping,
    cycles: pl.DataFrame,
    pairs: pl.DataFrame,
    habits: Habits,
    lists: pl.DataFrame,
    profiles: pl.DataFrame,
    beside: pl.DataFrame,
    owned: pl.DataFrame,
) -> pl.DataFrame:
    """Plans of some people, with their offers, ordered by person."""
    said = made_by.predict(states_of(seen, cycles, day, shop.tuning, pairs, habits))
    rows = [
        {"person_key": person, **row_of(plan, made_by.terms)}
        for person, plan in zip(said.people, said.plans(), strict=True)
    ]
    columns = {name: dtype for name, dtype in PLANS.columns.items() if name not in _LATER}
    planned = pl.DataFrame(rows, schema=columns)
    candidates = lists.join(planned.select("person_key"), on="person_key", how="semi").join(
        beside, on="product_id", how="left"
    )
    chosen = offers(
        planned,
        candidates.select(
            "person_key", "product_id", pl.col("position").alias("rank"),
            pl.col("_category").alias("category"), "price_micros", "parent_id", "brand", "name",
            "reason_code", "purchased",
        ),
        shop.tuning,
        owned,
    )  # fmt: skip
    pair = ["person_key", "product_id"]
    offered = (
        chosen.join(candidates.select(*pair, "purchased"), on=pair, how="left")
        .join(planned.select("person_key", "intent"), on="person_key", how="left")
        .sort("person_key", "place")
        .group_by("person_key", maintain_order=True)
        .agg(
            pl.col("product_id").alias("product_ids"),
            pl.col("reason_code").alias("reason_codes"),
            words_for(pl.col("intent"), pl.col("purchased")).alias("offer_intents"),
        )
    )
    languages = shop.tuning.copywriting.languages
    spoken = {locale: language_of(locale, languages) for locale in profiles["locale"].drop_nulls().unique()}
    return PLANS.conform(
        planned.join(offered, on="person_key", how="left", maintain_order="left")
        .join(profiles, on="person_key", how="left", maintain_order="left")
        .with_columns(
            pl.col("product_ids", "reason_codes", "offer_intents").fill_null([]),
            pl.col("locale").replace_strict(spoken, default=languages[0], return_dtype=pl.String).alias("language"),
        )
        .sort("person_key")
    )
