"""Landing → clean and rejected events."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from recsys_assets.assets.quality import anomaly_specs, judged, suite_result, suite_spec
from recsys_assets.assets.stage import report_days, stage
from recsys_assets.logic.events import clean
from recsys_assets.logic.late_days import late_days, told
from recsys_assets.partitions import DAY, RANGE_IN_ONE_RUN, days_back, window_of
from recsys_assets.plots import events_per_day, markdown_image
from recsys_assets.resources import Shop
from recsys_assets.stores.late_days import stale_days
from recsys_assets.stores.quality.suites import clean_events as clean_events_suite
from recsys_assets.tables import CLEAN_EVENTS, DELIVERY_AUDIT, LANDING_EVENTS, LANDING_RATES, REJECTED_EVENTS


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
        suite_spec("clean_events", "events_keep_the_contract"),
        *anomaly_specs(),
        dg.AssetCheckSpec(
            "late_days_are_redone",
            asset="delivery_audit",
            description="Every earlier day is what has landed. Days more than `late_days` ago are only named.",
        ),
    ],
    backfill_policy=RANGE_IN_ONE_RUN,
)
def clean_and_rejected_events(
    context: dg.AssetExecutionContext, shop: Shop
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Cleans the landed rows of a whole range of days at once, and those of late days before a single one."""
    with stage() as metadata:
        own = window_of(context)
        stale = stale_days(shop.lake, shop.home.config, own[0])
        late = late_days(stale, own[0], days_back(own, shop.tuning.late_days))
        window = [*late.redo, *own]
        landed = shop.lake.scan_landed(LANDING_EVENTS, window).collect()
        rates = shop.lake.landed_until(LANDING_RATES, window[-1])
        cleaned = clean(landed, rates, shop.home.config.currency)
        events, odd = judged(shop, cleaned.clean, window, own)
        written = {
            table.name: shop.lake.write_daily(table, window, frame)
            for table, frame in (
                (CLEAN_EVENTS, events),
                (REJECTED_EVENTS, cleaned.rejected),
                (DELIVERY_AUDIT, cleaned.audit),
            )
        }
        counts = events.group_by("event_date", "event_type").agg(count=pl.len())
        totals = cleaned.audit.select(pl.col("rows", "clean", "rejected", "duplicates").sum()).row(0, named=True)
        more: dict[str, dict[str, Any]] = {
            "clean_events": {
                "days_without_events": len(window) - counts["event_date"].n_unique(),
                "flagged": dict(events["flag"].drop_nulls().value_counts(sort=True).iter_rows()),
                "events_per_day": dg.MetadataValue.md(markdown_image(events_per_day(counts), "events per day")),
            },
            "rejected_events": {"reasons": dict(cleaned.rejected["reason"].value_counts(sort=True).iter_rows())},
            "delivery_audit": totals | {"late_days_redone": [day.isoformat() for day in late.redo]},
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
        yield dg.AssetCheckResult(
            asset_key="delivery_audit",
            check_name="late_days_are_redone",
            passed=not late.older,
            severity=dg.AssetCheckSeverity.WARN,
            description=told(late.older),
            metadata={"days": len(late.older)},
        )
        about = f"{window[0]} to {window[-1]}"
        suite = clean_events_suite((window[0], window[-1]))
        yield suite_result(shop, "clean_events", "events_keep_the_contract", events, suite, about)
        yield from odd
