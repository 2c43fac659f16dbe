"""Clean events and catalogue → sessions per day; catalogue, tiers, statistics, profiles, interactions as of a day."""

from datetime import date

import dagster as dg
import polars as pl

from recsys_assets.assets.stage import report_days, stage
from recsys_assets.logic import catalog as catalog_logic
from recsys_assets.logic import interactions as interactions_logic
from recsys_assets.logic import item_stats as item_stats_logic
from recsys_assets.logic import price_tiers as price_tiers_logic
from recsys_assets.logic import profiles as profiles_logic
from recsys_assets.logic import sessions as sessions_logic
from recsys_assets.partitions import DAY, RANGE_IN_ONE_RUN, day_of, upstream_window, window_of
from recsys_assets.plots import markdown_image, sessions_per_day
from recsys_assets.resources import Shop
from recsys_assets.stores.lake import days_between
from recsys_assets.tables import (
    CATALOG,
    CLEAN_EVENTS,
    INTERACTIONS,
    ITEM_STATS,
    LANDING_CATALOG,
    PRICE_TIERS,
    SESSIONS,
    USER_PROFILES,
)
from recsys_assets.tuning import Tuning

# Lineage is drawn for the default window; a home with another window reads its own number of days.
_WINDOW = upstream_window(Tuning().window_days)
PAST_EVENTS = dg.AssetDep("clean_events", partition_mapping=_WINDOW)
PAST_SESSIONS = dg.AssetDep("sessions", partition_mapping=_WINDOW)


def window_days(shop: Shop, as_of: date) -> list[date]:
    """The days that features and models of ``as_of`` look at."""
    first = date.fromordinal(as_of.toordinal() - shop.tuning.window_days + 1)
    return days_between(max(first, shop.home.config.first_day), as_of)


def past_events(shop: Shop, as_of: date) -> pl.DataFrame:
    """Clean events of the window that ends with ``as_of``."""
    return shop.lake.scan(CLEAN_EVENTS, window_days(shop, as_of)).collect()


@dg.asset(
    partitions_def=DAY,
    backfill_policy=RANGE_IN_ONE_RUN,
    deps=["clean_events"],
    description=SESSIONS.what,
)
def sessions(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        window = window_of(context)
        events = shop.lake.scan(CLEAN_EVENTS, window).collect()
        frame = sessions_logic.sessions(events, shop.tuning.session_gap_minutes)
        plot = sessions_per_day(frame.group_by("event_date", "converted").agg(count=pl.len()))
        return report_days(
            context,
            "sessions",
            shop.lake.write_daily(SESSIONS, window, frame),
            metadata,
            converted=int(frame["converted"].sum()),
            sessions_per_day=dg.MetadataValue.md(markdown_image(plot, "sessions per day")),
        )


@dg.asset(
    partitions_def=DAY,
    deps=[dg.AssetDep("landing_events", partition_mapping=_WINDOW), PAST_EVENTS],
    description=CATALOG.what,
)
def catalog(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        known = days_between(shop.home.config.first_day, day)  # a product may be older than the window
        landed = shop.lake.scan_landed(LANDING_CATALOG, known).collect()
        frame = catalog_logic.catalog(landed, past_events(shop, day), day)
        shop.lake.write(CATALOG, day, frame)
        not_recommendable = frame["not_recommendable"].drop_nulls().value_counts(sort=True).rows()
        return dg.MaterializeResult(metadata=metadata(frame.height, not_recommendable=dict(not_recommendable)))


@dg.asset(partitions_def=DAY, deps=["catalog"], description=PRICE_TIERS.what)
def price_tiers(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        frame = price_tiers_logic.price_tiers(shop.lake.read(CATALOG, day), shop.tuning)
        return dg.MaterializeResult(metadata=metadata(shop.lake.write(PRICE_TIERS, day, frame)))


@dg.asset(partitions_def=DAY, deps=[PAST_EVENTS, "catalog", "price_tiers"], description=ITEM_STATS.what)
def item_stats(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        frame = item_stats_logic.item_stats(
            past_events(shop, day), lake.read(CATALOG, day), lake.read(PRICE_TIERS, day), day, shop.tuning
        )
        return dg.MaterializeResult(metadata=metadata(lake.write(ITEM_STATS, day, frame)))


@dg.asset(
    partitions_def=DAY,
    deps=[PAST_EVENTS, PAST_SESSIONS, "item_stats"],
    description=USER_PROFILES.what,
)
def user_profiles(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        frame = profiles_logic.user_profiles(
            past_events(shop, day),
            lake.scan(SESSIONS, window_days(shop, day)).collect(),
            lake.read(ITEM_STATS, day),
            day,
            shop.tuning,
            shop.home.config.time_zone,
        )
        lake.write(USER_PROFILES, day, frame)
        return dg.MaterializeResult(
            metadata=metadata(
                frame.height,
                user_types=dict(frame["user_type"].value_counts(sort=True).rows()),
                spending_segments=dict(frame["spending_segment"].drop_nulls().value_counts(sort=True).rows()),
            )
        )


@dg.asset(partitions_def=DAY, deps=[PAST_EVENTS], description=INTERACTIONS.what)
def interactions(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        frame = interactions_logic.interactions(past_events(shop, day), day, shop.tuning)
        shop.lake.write(INTERACTIONS, day, frame)
        present = set(shop.lake.days(CLEAN_EVENTS))
        return dg.MaterializeResult(
            metadata=metadata(
                frame.height,
                people=frame["person_key"].n_unique(),
                products=frame["product_id"].n_unique(),
                days_missing=sum(past not in present for past in window_days(shop, day)),
            )
        )
