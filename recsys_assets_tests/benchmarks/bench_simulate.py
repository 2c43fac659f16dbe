"""Ten million made events with their catalogue, users and truth, as files, beside writing the same bytes alone.

Run: ``python -m recsys_assets_tests.benchmarks.bench_simulate``
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

GOAL_SECONDS = 180


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        words = ("--users", "100000", "--products", "20000", "--days", "98")
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "recsys_assets.cli", "simulate", str(made), *words], check=True)
        ours = time.perf_counter() - started
        files = sorted((made / "files").glob("*-events-*"))
        frames = [pl.read_parquet(file) for file in files]
        started = time.perf_counter()
        for file, frame in zip(files, frames, strict=True):
            frame.write_parquet(file, compression="zstd", compression_level=1)
        bare = time.perf_counter() - started
    events = sum(frame.height for frame in frames)
    print(f"{events:,} events in {ours:.1f} s ({events / ours:,.0f}/s; goal {GOAL_SECONDS} s)")
    print(f"polars write of the same rows {bare:.1f} s · ratio {ours / bare:.1f}")


if __name__ == "__main__":
    main()
