"""The API under load on this machine: a real process, real stores, beside what a bare server and a bare Valkey do.

Cache hits of `GET /api/recommendations` over one connection, eight and sixty-four; the same of a bare ASGI
application that answers a constant of the same size from the same server program; the lists' own keys read from
Valkey with GET. All in turns, several rounds, and the median of them. Then bulk answers of a thousand people, and the
pages' lists with Valkey gone. Goals: p95 of a cache hit within 50 ms, 10,000 lists a second, errors below 1 %.

Run: ``python -m recsys_assets_tests.benchmarks.bench_api`` [people], by default 2,000. It takes a minute or two.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis

from recsys_assets.local.postgres import Postgres as Server
from recsys_assets.local.processes import free_port, wait_until
from recsys_assets.local.valkey import Valkey
from recsys_assets.settings import init_home, load_settings
from recsys_assets.stores.cache import list_key
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import Tokens
from recsys_assets_tests.benchmarks import wire
from recsys_assets_tests.benchmarks.bench_publish import DAY, KEYS, made
from recsys_assets_tests.benchmarks.wire import Measured, Whole, http, http_200, load, redis_get, redis_value
from recsys_assets_tests.conftest import remove_postgres
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.asked import UNLIMITED

PEOPLE, SECONDS, ROUNDS, CONNECTIONS = 2_000, 3.0, 3, (1, 8, 64)
BULK = 1_000
BARE = ("uvicorn", "recsys_assets_tests.benchmarks.bare:app", "--no-access-log", "--lifespan", "off")
PAGES = "/api/recommendations?userId={}"
GOAL_MS, GOAL_LISTS, GOAL_ERRORS = 50.0, 10_000, 0.01


@contextmanager
def serving(environment: dict[str, str], *command: str) -> Iterator[wire.Server]:
    """A process that serves: a Python module and what it is told."""
    port = free_port()
    command = (sys.executable, "-m", *command, "--port", str(port))
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health"):
                return True
        except OSError:
            return False

    try:
        if not wait_until(lambda: process.poll() is not None or answers(), 60) or process.poll() is not None:
            raise SystemExit(f"{command} does not answer")
        yield wire.Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def shown(what: str, connections: int, found: Measured, beside: Measured | None = None) -> None:
    """One line of the table."""
    ratio = f"{found.quantile(0.95) / beside.quantile(0.95):6.1f}" if beside else " " * 6
    print(
        f"  {what:<26} {connections:>4} {found.rate:>9,.0f} {found.quantile(0.5):>8.2f} {found.quantile(0.95):>8.2f} "
        f"{found.quantile(0.99):>8.2f} {ratio} {100 * found.errors / len(found.seconds):>7.2f} % "
        f"{found.each(found.server):>9,.0f} {found.each(found.client):>9,.0f}",
        flush=True,
    )


HEADER = f"  {'':<26} conn  answers/s   p50 ms   p95 ms   p99 ms  ×bare   errors  server µs  client µs"


def cache_hits(
    valkey: wire.Server, bare: wire.Server, ours: wire.Server, keys: list[bytes], pages: list[bytes]
) -> None:
    """The first table."""
    contenders: list[tuple[str, wire.Server, list[bytes], Whole]] = [
        ("Valkey GET", valkey, keys, redis_value),
        ("bare ASGI", bare, pages, http_200),
        ("GET /api/recommendations", ours, pages, http_200),
    ]
    print(HEADER)
    for connections in CONNECTIONS:
        rounds = [
            [
                load(server, partial(itertools.cycle, asked), whole, connections=connections, seconds=SECONDS)
                for _, server, asked, whole in contenders
            ]
            for _ in range(ROUNDS)
        ]
        middle = [sorted(one, key=lambda m: m.quantile(0.95))[ROUNDS // 2] for one in zip(*rounds, strict=True)]
        for (what, *_), found in zip(contenders, middle, strict=True):
            shown(what, connections, found, middle[1])
    worst = middle[2].quantile(0.95)
    print(f"p95 of cache hits over {CONNECTIONS[-1]} connections: {worst:.1f} ms; goal {GOAL_MS:.0f} ms\n")


def bulk(ours: wire.Server, asked: list[bytes]) -> None:
    """The second table."""
    print(HEADER)
    for connections in (1, 4):
        found = [
            load(ours, lambda: iter(asked * 4), http_200, connections=connections, seconds=SECONDS)
            for _ in range(ROUNDS)
        ]
        shown(f"bulk of {BULK:,} people", connections, sorted(found, key=lambda m: m.rate)[ROUNDS // 2])
    rate = statistics.median(one.rate for one in found) * BULK
    each = statistics.median(one.server / len(one.seconds) for one in found) / BULK
    print(f"{rate:,.0f} lists a second, {1 / each:,.0f} a second of processor; goal {GOAL_LISTS:,}\n")


def measure(people: int, stores: Stores, valkey: Valkey, token: str) -> None:
    """Everything, as tables."""
    generation = stores.live()
    assert generation is not None
    pages = [http("GET", PAGES.format(n)) for n in range(people)]
    keys = [redis_get(list_key(generation, KEYS.mark(KEYS.user_key(str(n))))) for n in range(people)]
    bodies = [json.dumps({"user_ids": [str(n) for n in range(at, at + BULK)]}) for at in range(0, people, BULK)]
    more = {"RECSYS_SECRET": KEYS.secret.decode(), "RECSYS_REQUEST_LOG": "on"}
    environment = {"PATH": os.environ["PATH"], **stores.environment, **UNLIMITED, **more}
    url = urlsplit(valkey.url)
    assert url.port is not None
    with redis.Redis.from_url(valkey.url) as client:
        redis_server = wire.Server(url.port, client.info("server")["process_id"], wire.redis_auth(valkey.url))
    with (
        serving(environment, "recsys_assets.serving") as ours,
        serving(environment, *BARE) as bare,
    ):
        cache_hits(redis_server, bare, ours, keys, pages)
        bulk(ours, [http("POST", "/api/v1/recommendations/bulk", body.encode(), token) for body in bodies])
        valkey.stop()
        time.sleep(2)  # the process has noticed, and asks Postgres alone
        print(HEADER)
        for connections in CONNECTIONS:
            found = load(ours, lambda: itertools.cycle(pages), http_200, connections=connections, seconds=SECONDS)
            shown("the same, Valkey gone", connections, found)
            assert found.errors <= GOAL_ERRORS * len(found.seconds)


def main() -> None:
    people = int(sys.argv[1]) if len(sys.argv) > 1 else PEOPLE
    with tempfile.TemporaryDirectory() as folder:
        server, valkey = Server(Path(folder)), Valkey(Path(folder))
        try:
            server.start()
            valkey.start()
            with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
                connection.execute("CREATE DATABASE bench")
            settings = load_settings({"RECSYS_HOME": f"{folder}/shop", "RECSYS_SECRET": KEYS.secret.decode()})
            home = init_home(settings, first_day=date(2024, 1, 1), time_zone="UTC", currency="EUR")
            stores = Stores(home, server.url("bench"), valkey.url)
            stores.publisher.publish(DAY, made(people), model_version="1", keep=2)
            token = Tokens(Postgres(stores.postgres_url)).make("bench", ["listings"], timedelta(days=1)).token
            print(
                f"{people:,} people, each with 50 products in Valkey and 200 in Postgres; {os.cpu_count()} processors"
            )
            measure(people, stores, valkey, token)
        finally:
            valkey.stop()
            server.stop()
            remove_postgres(Path(folder))


if __name__ == "__main__":
    main()
