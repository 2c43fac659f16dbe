"""Clean events and catalogue → sessions per day; catalogue, tiers, statistics, profiles, interactions as of a day."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta

import dagster as dg
import polars as pl

from recsys_assets.assets.quality import catalog_prices_result, spec, suite_result, suite_spec
from recsys_assets.assets.stage import report_days, stage
from recsys_assets.logic import catalog as catalog_logic
from recsys_assets.logic import interactions as interactions_logic
from recsys_assets.logic import item_stats as item_stats_logic
from recsys_assets.logic import price_tiers as price_tiers_logic
from recsys_assets.logic import profiles as profiles_logic
from recsys_assets.logic import repurchase as repurchase_logic
from recsys_assets.logic import sessions as sessions_logic
from recsys_assets.logic import steps as steps_logic
from recsys_assets.logic.erasure import keys_of, marked
from recsys_assets.logic.identities import identities, merged, merged_people, of_somebody
from recsys_assets.logic.outliers import usable
from recsys_assets.logic.people_order import called_by_number, numbers
from recsys_assets.partitions import DAY, RANGE_IN_ONE_RUN, day_of, days_back, upstream_window, window_of
from recsys_assets.plots import markdown_image, sessions_per_day
from recsys_assets.resources import Shop
from recsys_assets.stores.lake import days_between
from recsys_assets.stores.late_days import outdated
from recsys_assets.stores.quality import suites
from recsys_assets.tables import (
    CATALOG,
    CLEAN_EVENTS,
    IDENTITIES,
    INTERACTIONS,
    ITEM_STATS,
    LANDING_CATALOG,
    LANDING_RATES,
    PRICE_TIERS,
    REPURCHASE_CYCLES,
    SESSIONS,
    STEPS,
    USER_PROFILES,
    USERS,
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
    """Clean events of the window that ends with ``as_of``, without bots and without prices that are outliers."""
    return usable(shop.lake.scan(CLEAN_EVENTS, window_days(shop, as_of))).collect()


def events_of_people(shop: Shop, as_of: date) -> pl.DataFrame:
    """The same, with what was done before a login under the user who logged in: what counts of sales are made of."""
    return merged(past_events(shop, as_of), shop.lake.read(IDENTITIES, as_of))


def opted_out(shop: Shop, events: pl.DataFrame) -> set[str]:
    """Keys in ``events`` of everybody who is suppressed today, whichever day is computed (promise 5)."""
    return marked(keys_of(events, ("user_key", "anon_key")), shop.suppressions.marks(), shop.home.keys.mark)


def links(shop: Shop) -> Callable[[pl.DataFrame | pl.LazyFrame, date], pl.DataFrame]:
    """Events and a day → table IDENTITIES as of the day; who is suppressed, or was erased, is so today (promise 5)."""
    shared, apart = shop.lake.tombstones().shared, shop.suppressions.asked()
    days, mark = shop.tuning.window_days, shop.home.keys.mark
    return lambda events, day: identities(events, day, days, shared, apart, mark)


def events_to_learn_from(shop: Shop, as_of: date) -> pl.DataFrame:
    """The same without people who opted out, and without what nobody can be told to have done: what models see.

    Counts of sales (`events_of_people`) keep both: what a product sold names no person.
    """
    events = events_of_people(shop, as_of)
    return of_somebody(events, shop.lake.read(IDENTITIES, as_of), opted_out(shop, events))


def catalog_as_of(shop: Shop, as_of: date) -> pl.DataFrame:
    """Table CATALOG as it was known at the end of ``as_of``."""
    known = days_between(shop.home.config.first_day, as_of)  # a product may be older than the window
    landed = shop.lake.scan_landed(LANDING_CATALOG, known).collect()
    rates = shop.lake.landed_until(LANDING_RATES, as_of)
    sold = usable(shop.lake.scan(CLEAN_EVENTS, window_days(shop, as_of))).select(catalog_logic.LOOKED_AT).collect()
    return catalog_logic.catalog(
        landed, sold, as_of, rates, shop.home.config.currency,
        bans=shop.tuning.bans, stock_at_least=shop.tuning.stock_at_least,
    )  # fmt: skip


@dg.asset(
    partitions_def=DAY,
    backfill_policy=RANGE_IN_ONE_RUN,
    deps=["clean_events"],
    description=SESSIONS.what,
)
def sessions(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        own = window_of(context)
        before = days_between(own[0] - timedelta(days_back(own, shop.tuning.late_days)), own[0])[:-1]
        window = [*outdated(shop.lake, SESSIONS, before), *own]
        events = usable(shop.lake.scan(CLEAN_EVENTS, window)).collect()
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
    check_specs=[
        suite_spec("catalog", "catalog_keeps_its_rules"),
        spec("catalog", "catalog_prices_are_usual", "Products cost about what people paid for them in the last weeks."),
    ],
)
def catalog(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day = day_of(context)
        frame = catalog_as_of(shop, day)
        shop.lake.write(CATALOG, day, frame)
        not_recommendable = frame["not_recommendable"].drop_nulls().value_counts(sort=True).rows()
        yield dg.MaterializeResult(metadata=metadata(frame.height, not_recommendable=dict(not_recommendable)))
        yield suite_result(shop, "catalog", "catalog_keeps_its_rules", frame, suites.catalog(day), str(day))
        yield catalog_prices_result(shop, "catalog_prices_are_usual", frame, day)


@dg.asset(partitions_def=DAY, deps=["catalog"], description=PRICE_TIERS.what)
def price_tiers(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        frame = price_tiers_logic.price_tiers(shop.lake.read(CATALOG, day), shop.tuning)
        return dg.MaterializeResult(metadata=metadata(shop.lake.write(PRICE_TIERS, day, frame)))


@dg.asset(partitions_def=DAY, deps=[PAST_EVENTS, "identities", "catalog", "price_tiers"], description=ITEM_STATS.what)
def item_stats(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        frame = item_stats_logic.item_stats(
            events_of_people(shop, day), lake.read(CATALOG, day), lake.read(PRICE_TIERS, day), day, shop.tuning
        )
        return dg.MaterializeResult(metadata=metadata(lake.write(ITEM_STATS, day, frame)))


@dg.asset(
    partitions_def=DAY,
    deps=[PAST_EVENTS, PAST_SESSIONS, "identities", "users", "item_stats"],
    description=USER_PROFILES.what,
    check_specs=[suite_spec("user_profiles", "profiles_keep_their_rules")],
)
def user_profiles(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        frame = profiles_logic.user_profiles(
            events_to_learn_from(shop, day),  # nobody asks for the habits of who opted out
            merged_people(lake.scan(SESSIONS, window_days(shop, day)).collect(), lake.read(IDENTITIES, day)),
            lake.read(ITEM_STATS, day),
            lake.read(USERS, day),
            day,
            shop.tuning,
            shop.home.config.time_zone,
        )
        lake.write(USER_PROFILES, day, frame)
        yield dg.MaterializeResult(
            metadata=metadata(
                frame.height,
                user_types=dict(frame["user_type"].value_counts(sort=True).rows()),
                spending_segments=dict(frame["spending_segment"].drop_nulls().value_counts(sort=True).rows()),
            )
        )
        suite = suites.user_profiles(day)
        yield suite_result(shop, "user_profiles", "profiles_keep_their_rules", frame, suite, str(day))


@dg.asset(partitions_def=DAY, deps=[PAST_EVENTS, "identities", "catalog"], description=REPURCHASE_CYCLES.what)
def repurchase_cycles(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        frame = repurchase_logic.repurchase_cycles(
            events_of_people(shop, day), lake.read(CATALOG, day), day, shop.tuning
        )
        return dg.MaterializeResult(
            metadata=metadata(
                lake.write(REPURCHASE_CYCLES, day, frame), sources=dict(frame["source"].value_counts(sort=True).rows())
            )
        )


@dg.asset(partitions_def=DAY, deps=[PAST_EVENTS, "identities", "users"], description=INTERACTIONS.what)
def interactions(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        frame = interactions_logic.interactions(events_to_learn_from(shop, day), day, shop.tuning)
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


@dg.asset(partitions_def=DAY, deps=[PAST_EVENTS, "identities", "users"], description=STEPS.what)
def steps(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        events = events_to_learn_from(shop, day)
        in_order = called_by_number(events, numbers(events), ["session_id"])
        frame = steps_logic.steps(in_order, day, shop.tuning)
        rows = shop.lake.write(STEPS, day, frame)
        return dg.MaterializeResult(metadata=metadata(rows, people=frame["person_key"].n_unique()))
