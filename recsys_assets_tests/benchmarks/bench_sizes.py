"""What a night costs: made shops of three sizes → minutes, disk and Redis, as the README's table of sizes.

Run: ``python -m recsys_assets_tests.benchmarks.bench_sizes [small|middle|large …] [--keep FOLDER]``
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import psycopg
import redis

from recsys_assets.local.supervisor import servers
from recsys_assets.settings import load_settings, open_home

FIRST, DAYS = date(2026, 1, 1), 90
GIB, MIB = 1 << 30, 1 << 20


@dataclass(frozen=True)
class Size:
    users: int
    products: int


SIZES = {"small": Size(2_000, 1_000), "middle": Size(20_000, 10_000), "large": Size(60_000, 30_000)}


def _folder_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _recsys(home: Path, *arguments: str) -> float:
    started = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RECSYS_")}
    command = [sys.executable, "-m", "recsys_assets.cli", *arguments]
    subprocess.run(command, env=environment | {"RECSYS_HOME": str(home)}, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure(name: str, size: Size, folder: Path) -> str:
    """One line of the table."""
    home, made = folder / f"{name} home", folder / name
    last = FIRST + timedelta(DAYS - 1)
    scale = ("--users", str(size.users), "--products", str(size.products), "--days", str(DAYS))
    _recsys(home, "simulate", str(made), *scale, "--first-day", str(FIRST))
    days = ("--first-day", str(FIRST), "--last-day", str(last))
    _recsys(home, "init", *days, "--source", f"contract={made / 'files'}")
    history = _recsys(home, "run", "history")
    daily = _recsys(home, "run", "daily")
    settings = load_settings({"RECSYS_HOME": str(home)})
    opened = open_home(settings)
    with servers(settings, opened) as found:
        with psycopg.connect(found.postgres_url) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        with redis.Redis.from_url(found.redis_url) as client:
            cached = int(client.info("memory")["used_memory"])
    events = _events(opened.lake)
    lake = _folder_bytes(opened.lake)
    return (
        f"| {events / 1e6:.1f} million | {size.users:,} | {size.products:,} | {history / 60:.1f} | {daily / 60:.1f} | "
        f"{lake / GIB:.2f} GiB | {(row[0] if row else 0) / GIB:.2f} GiB | "
        f"{cached / MIB:.0f} MiB |"
    )


def _events(lake: Path) -> int:
    import polars as pl

    return int(pl.scan_parquet(lake / "clean_events" / "**" / "*.parquet").select(pl.len()).collect().item())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="*", default=list(SIZES), help="which of small, middle, large")
    parser.add_argument("--keep", type=Path, help="folder for the shops and homes; default: one that is deleted")
    asked = parser.parse_args()
    print("| events | users | products | history, min | daily, min | lake | Postgres | Redis |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.sizes:
            print(measure(name, SIZES[name], asked.keep or Path(folder)), flush=True)


if __name__ == "__main__":
    main()
