"""Sales and lists as figures without persons: in the lake, and in Postgres for BI."""

from datetime import timedelta

import dagster as dg
import polars as pl

from recsys_assets.assets.stage import report_days, stage
from recsys_assets.logic import marts as logic
from recsys_assets.logic.outliers import BOT
from recsys_assets.partitions import DAY, RANGE_IN_ONE_RUN, day_of, days_back, window_of
from recsys_assets.resources import Shop
from recsys_assets.stores import marts as store
from recsys_assets.stores.lake import days_between
from recsys_assets.stores.late_days import outdated
from recsys_assets.stores.postgres import Postgres
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, DAILY_SALES, LANDING_CATALOG, LIST_COVERAGE, LISTS, SESSIONS


@dg.asset(
    partitions_def=DAY,
    backfill_policy=RANGE_IN_ONE_RUN,
    deps=["landing_events", "clean_events", "sessions"],
    description=DAILY_SALES.what,
)
def daily_sales(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        lake, own = shop.lake, window_of(context)
        before = days_between(own[0] - timedelta(days_back(own, shop.tuning.late_days)), own[0])[:-1]
        window = [*outdated(lake, DAILY_SALES, before), *own]
        # A product may have been catalogued before the window, or only after it.
        landed = lake.scan_landed(LANDING_CATALOG, lake.days(LANDING_CATALOG)).select(
            "product_id", "category", "updated_at", "event_date", "landed_at", "source_file", "source_line", "row_hash",
            "problem",
        )  # fmt: skip
        # What a bot orders is no sale. An odd price is one: the money that was booked is what the shop counts.
        sold = lake.scan(CLEAN_EVENTS, window).filter(
            pl.col.event_type.is_in(["purchase", "return"]), pl.col.flag.ne_missing(BOT)
        )
        frame = logic.daily_sales(
            sold.collect(),
            lake.scan(SESSIONS, window).collect(),
            landed.collect(),
            window,
            shop.tuning.k_anonymity,
        )
        written = lake.write_daily(DAILY_SALES, window, frame)
        store.load(Postgres(shop.settings.postgres_url), DAILY_SALES, window, frame)
        whole = frame.filter(pl.col.category == logic.WHOLE)
        return report_days(
            context,
            "daily_sales",
            written,
            metadata,
            categories=frame["category"].n_unique() - 1,
            days_withheld=whole["orders"].null_count(),
        )


@dg.asset(partitions_def=DAY, deps=["lists", "catalog"], description=LIST_COVERAGE.what)
def list_coverage(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        lists = lake.scan(LISTS, [day]).select(
            "person_key", "product_id", "category", "price_micros", "purchased", "position"
        )
        frame = logic.list_coverage(lists.collect(), lake.read(CATALOG, day), day, shop.tuning.k_anonymity)
        lake.write(LIST_COVERAGE, day, frame)
        store.load(Postgres(shop.settings.postgres_url), LIST_COVERAGE, [day], frame)
        whole = frame.row(0, named=True)
        return dg.MaterializeResult(
            metadata=metadata(frame.height, products_served=whole["served_products"], products=whole["products"])
        )
