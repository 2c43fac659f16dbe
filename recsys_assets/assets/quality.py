"""Suites and anomalies as asset checks: what failed, how bad it is, and where its page is."""

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg
import polars as pl

from recsys_assets.logic.outliers import Anomaly, Kind, catalog_prices, daily_prices, judge
from recsys_assets.resources import Shop
from recsys_assets.stores import quality
from recsys_assets.stores.lake import days_between
from recsys_assets.stores.quality import Expectation, Suite
from recsys_assets.tables import CATALOG, CLEAN_EVENTS

_NAMED = 10  # days that a check of a range names; the others stand in its metadata
_BUT = "If this is right all the same, name the day in quality.accept_days of home.toml and run it again."

# Check of clean_events → the kinds of anomalies it is about.
_ANOMALIES: dict[str, tuple[tuple[Kind, ...], str]] = {
    "days_are_whole": (("volume", "hours"), "As many events as usual on that weekday, and no usual hours empty."),
    "no_bots": (("bots",), "Nobody makes more events in a day than people do; who does is flagged and left out."),
    "prices_are_usual": (("prices",), "What is sold costs about what it did in the last weeks."),
}


def spec(asset: str, name: str, what: str) -> dg.AssetCheckSpec:
    """A check that stops the run where it fails with an error, and only shows where it warns."""
    return dg.AssetCheckSpec(name, asset=asset, blocking=True, description=what)


def suite_spec(asset: str, name: str) -> dg.AssetCheckSpec:
    """The check of a table's suite."""
    return spec(asset, name, f"The Great Expectations suite of {asset}; its pages are the data docs.")


def anomaly_specs() -> list[dg.AssetCheckSpec]:
    """The checks of clean events against the weeks before."""
    return [spec("clean_events", name, what) for name, (_, what) in _ANOMALIES.items()]


def suite_result(
    shop: Shop, asset: str, name: str, frame: pl.DataFrame, suite: Suite, about: str
) -> dg.AssetCheckResult:
    """Validates a table and replaces its pages."""
    verdicts = quality.validate(frame, suite, shop.home.data_docs, about)
    failed = [verdict for verdict in verdicts if not verdict.ok]
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not failed,
        severity=_severity(quality.severity_of(verdicts) == "error"),
        description="; ".join(f"{verdict.what}: {verdict.observed}" for verdict in failed) or "all expectations hold",
        metadata={
            "expectations": len(verdicts),
            "failed": len(failed),
            "data_docs": dg.MetadataValue.path(str(shop.home.data_docs / "index.html")),
        },
    )


def judged(
    shop: Shop, events: pl.DataFrame, days: Sequence[date], own: Sequence[date]
) -> tuple[pl.DataFrame, list[dg.AssetCheckResult]]:
    """Clean events of ``days`` with outliers flagged, and the results of `anomaly_specs`.

    The one day of a run is stopped by an anomaly; a range is history, of which the days are named.
    """
    tuning, first = shop.tuning.quality, days[0] - timedelta(7 * shop.tuning.quality.weeks)
    past = [day for day in days_between(first, days[-1]) if day not in set(days)]
    config = shop.home.config
    flagged, found = judge(events, shop.lake.scan(CLEAN_EVENTS, past), days, config.time_zone, tuning)
    stops = own[0] if len(own) == 1 else None
    results, verdicts = [], []
    for name, (kinds, what) in _ANOMALIES.items():
        of_kind = [anomaly for anomaly in found if anomaly.kind in kinds]
        results.append(_anomalies(shop, "clean_events", name, of_kind, stops))
        verdicts.append(_verdict(name, what, of_kind))
    about = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    what = f"Clean events against the {tuning.weeks} weeks before each day."
    quality.record("outliers", what, verdicts, shop.home.data_docs, about)
    return flagged, results


def catalog_prices_result(shop: Shop, name: str, catalog: pl.DataFrame, day: date) -> dg.AssetCheckResult:
    """The catalogue's prices against what people paid, and what earlier catalogues asked, in the weeks before."""
    tuning, lake = shop.tuning.quality, shop.lake
    before = days_between(day - timedelta(7 * tuning.weeks), day - timedelta(1))
    prices = daily_prices(lake.scan(CLEAN_EVENTS, before)).collect()
    listed = lake.scan(CATALOG, before).select("product_id", "unit_price_micros").collect()
    return _anomalies(shop, "catalog", name, catalog_prices(catalog, prices, listed, day, tuning), day)


def _severity(error: bool) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN


def _anomalies(shop: Shop, asset: str, name: str, found: Sequence[Anomaly], stops: date | None) -> dg.AssetCheckResult:
    accepted = set(shop.tuning.quality.accept_days)
    errors = [one for one in found if one.severity == "error" and one.day == stops]
    stopped = [one for one in errors if one.day not in accepted]
    told = [str(one) for one in found[:_NAMED]]
    told += [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
    told += ["accepted by quality.accept_days"] if errors and not stopped else []
    told += [_BUT] if stopped else []
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not found,
        severity=_severity(bool(stopped)),
        description=". ".join(told).replace("..", ".") or "as usual, or too young to tell",
        metadata={"found": [str(one) for one in found], "accepted": bool(errors) and not stopped},
    )


def _verdict(name: str, what: str, found: Sequence[Anomaly]) -> Expectation:
    severity: quality.Severity = "error" if any(one.severity == "error" for one in found) else "warn"
    observed = "; ".join(map(str, found)) or "as usual, or too young to tell"
    return Expectation(name, "", not found, severity, observed, what.removesuffix("."))
