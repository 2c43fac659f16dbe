"""Landing → clean and rejected events."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from recsys_assets.assets.stage import report_days, stage
from recsys_assets.logic.events import clean
from recsys_assets.partitions import DAY, RANGE_IN_ONE_RUN, window_of
from recsys_assets.plots import events_per_day, markdown_image
from recsys_assets.resources import Shop
from recsys_assets.stores.quality import validate_events
from recsys_assets.tables import CLEAN_EVENTS, DELIVERY_AUDIT, LANDING_EVENTS, REJECTED_EVENTS


def _spec(name: str, what: str) -> dg.AssetSpec:
    return dg.AssetSpec(name, deps=["landing_events"], description=what, partitions_def=DAY)


@dg.multi_asset(
    specs=[
        _spec("clean_events", CLEAN_EVENTS.what),
        _spec("rejected_events", REJECTED_EVENTS.what),
        _spec("delivery_audit", DELIVERY_AUDIT.what),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "nothing_is_lost",
            asset="delivery_audit",
            blocking=True,
            description="Per file and day: landed rows = clean + rejected + redelivered duplicates.",
        ),
        dg.AssetCheckSpec(
            "events_keep_the_contract",
            asset="clean_events",
            blocking=True,
            description="The Great Expectations suite; its pages are the data docs.",
        ),
    ],
    backfill_policy=RANGE_IN_ONE_RUN,
)
def clean_and_rejected_events(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Cleans the landed rows of a whole range of days at once."""
    with stage() as metadata:
        window = window_of(context)
        landed = shop.lake.scan_landed(LANDING_EVENTS, window).collect()
        cleaned = clean(landed)
        written = {
            table.name: shop.lake.write_daily(table, window, frame)
            for table, frame in (
                (CLEAN_EVENTS, cleaned.clean),
                (REJECTED_EVENTS, cleaned.rejected),
                (DELIVERY_AUDIT, cleaned.audit),
            )
        }
        counts = cleaned.clean.group_by("event_date", "event_type").agg(count=pl.len())
        totals = cleaned.audit.select(pl.col("rows", "clean", "rejected", "duplicates").sum()).row(0, named=True)
        more: dict[str, dict[str, Any]] = {
            "clean_events": {
                "days_without_events": len(window) - counts["event_date"].n_unique(),
                "flagged": dict(cleaned.clean["flag"].drop_nulls().value_counts(sort=True).iter_rows()),
                "events_per_day": dg.MetadataValue.md(markdown_image(events_per_day(counts), "events per day")),
            },
            "rejected_events": {"reasons": dict(cleaned.rejected["reason"].value_counts(sort=True).iter_rows())},
            "delivery_audit": totals,
        }
        for table, days in written.items():
            yield report_days(context, table, days, metadata, **more[table])
        accounted = totals["clean"] + totals["rejected"] + totals["duplicates"]
        per_file = cleaned.audit.filter(pl.col.rows != pl.col.clean + pl.col.rejected + pl.col.duplicates).height
        yield dg.AssetCheckResult(
            asset_key="delivery_audit",
            check_name="nothing_is_lost",
            passed=landed.height == totals["rows"] == accounted and per_file == 0,
            metadata={"landed": landed.height, **totals},
        )
        results = validate_events(cleaned.clean, shop.home.data_docs, (window[0], window[-1]))
        failed = [result for result in results if not result.ok]
        yield dg.AssetCheckResult(
            asset_key="clean_events",
            check_name="events_keep_the_contract",
            passed=not failed,
            description="; ".join(f"{result.what}: {result.observed}" for result in failed) or "all expectations hold",
            metadata={
                "expectations": len(results),
                "failed": len(failed),
                "data_docs": dg.MetadataValue.path(str(shop.home.data_docs / "index.html")),
            },
        )
