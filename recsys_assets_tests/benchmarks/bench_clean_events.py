"""clean_events beside a bare polars scan-and-write of the same landed rows, one file per day each.

Run: ``python -m recsys_assets_tests.benchmarks.bench_clean_events``. The budget is a ratio of at most 5.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from recsys_assets.importers.ingest import ingest
from recsys_assets.logic.events import clean
from recsys_assets.settings import Source, init_home, load_settings
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import CLEAN_EVENTS, DELIVERY_AUDIT, LANDING_EVENTS, LANDING_RATES, REJECTED_EVENTS

ROUNDS = 3
BUDGET = 5.0


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> int:
    """Prints seconds and the ratio; exit code 1 beyond the budget."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({"RECSYS_HOME": f"{folder}/home"})
        home = init_home(settings, first_day=date(2017, 1, 1), time_zone="America/New_York", currency="USD")
        lake = Lake(home.lake_url)
        source = Source(format="complete_journey", path="package")
        landing = _seconds(lambda: ingest(lake, home, source, now=datetime.now(UTC)))
        days = lake.days(LANDING_EVENTS)
        bare_folder = Path(folder) / "bare"
        bare_folder.mkdir()

        def bare() -> None:
            parts = [home.lake / LANDING_EVENTS.name / day.isoformat() / "*.parquet" for day in days]
            frame = pl.scan_parquet(parts).collect()
            for (day,), part in frame.partition_by("event_date", as_dict=True).items():
                part.write_parquet(bare_folder / f"{day}.parquet", compression="zstd", compression_level=1)

        def ours() -> None:
            made = clean(lake.scan_landed(LANDING_EVENTS, days).collect(), LANDING_RATES.empty(), "USD")
            lake.write_daily(CLEAN_EVENTS, days, made.clean)
            lake.write_daily(REJECTED_EVENTS, days, made.rejected)
            lake.write_daily(DELIVERY_AUDIT, days, made.audit)

        pairs = [(_seconds(bare), _seconds(ours)) for _ in range(ROUNDS)]
        rows = lake.scan_landed(LANDING_EVENTS, days).select(pl.len()).collect().item()
    bare_s, ours_s = (statistics.median(pair[n] for pair in pairs) for n in (0, 1))
    ratio = ours_s / bare_s
    print(f"{rows:,} rows of {len(days)} days; median of {ROUNDS} rounds")
    print(f"  land (read, parse, key, write; with the catalogue)  {landing:7.2f} s")
    print(f"  polars scan and write, one file per day             {bare_s:7.2f} s")
    print(f"  read landed, clean, write clean + rejected + audit  {ours_s:7.2f} s")
    print(f"  ratio {ratio:.2f} (budget {BUDGET:g})")
    return int(ratio > BUDGET)


if __name__ == "__main__":
    sys.exit(main())
