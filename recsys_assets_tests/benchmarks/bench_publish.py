"""Publishing beside the bare libraries, on the very same bytes, and the seconds of a rollback.

COPY of the lists beside a bare psycopg COPY, the warming of Redis beside a bare pipelined SET: ours with the building
of the bytes, the bare ones without. Goals: within 1.5 times; a rollback in less than a second.

Run: ``python -m recsys_assets_tests.benchmarks.bench_publish`` [people …]
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import date
from itertools import chain, islice
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
import redis

from recsys_assets.identity import KeyRing
from recsys_assets.local.postgres import Postgres as Server
from recsys_assets.local.valkey import Valkey
from recsys_assets.stores import staging
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.loading import ahead
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.publishing import Frames, Publisher
from recsys_assets.tables import CATALOG, LISTS, NEXT_ITEMS, POPULAR_ITEMS, SIMILAR_ITEMS, USER_PROFILES
from recsys_assets_tests.conftest import remove_postgres
from recsys_assets_tests.made_lists import filled

PEOPLE = (2_500, 20_000)
DEPTH, SERVED, PRODUCTS = 200, 50, 5_000
DAY = date(2024, 3, 1)
ROUNDS = 3
KEYS = KeyRing(b"a secret of the benchmark")


def made(people: int) -> Frames:
    """Lists of 200 products per person, with texts as long as a grocer's."""
    chance = np.random.default_rng(1)
    rows = people * DEPTH
    product = ((chance.integers(0, PRODUCTS, people)[:, None] + np.arange(DEPTH)) % PRODUCTS).ravel()
    names = np.array([str(800_000 + 13 * n) for n in range(PRODUCTS)])
    categories = np.array([f"GROCERY > AISLE {n} > SHELF {n % 7}" for n in range(300)])
    codes = np.array(["bought_often", "popular", "similar"])
    reasons = np.array(["You bought it 5 times", "Popular in GROCERY", "Goes with what you buy"])
    rank = np.tile(np.arange(1, DEPTH + 1), people)

    def score() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        return chance.random(rows).round(6).astype(np.float32)

    keys = sorted(KEYS.user_key(str(n)) for n in range(people))
    lists = pl.DataFrame(
        {
            "person_key": np.repeat(np.array(keys), DEPTH),
            "rank": rank,
            "product_id": names[product],
            **{name: score() for name in ("score", "als", "item_cf", "popularity", "personal", "confidence")},
            "price_micros": chance.integers(1, 9_999, rows) * 10_000,
            "category": categories[product % 300],
            "reason_code": codes[product % 3],
            "reason_count": chance.integers(1, 50, rows),
            "reason": reasons[product % 3],
            "purchased": chance.random(rows) < 0.3,
            "position": rank,
        }
    ).with_columns(
        pl.when(pl.col.personal < 0.5).then(pl.col.personal),
        pl.when(pl.col.position <= SERVED).then(pl.col.position),
    )
    catalog = pl.DataFrame({"product_id": names, "category": categories[np.arange(PRODUCTS) % 300]})
    popular = pl.DataFrame({"category": "", "rank": [1], "product_id": names[:1], "score": [1.0], "reason": "Popular"})
    return Frames(
        filled(LISTS, lists),
        SIMILAR_ITEMS.empty(),
        NEXT_ITEMS.empty(),
        filled(POPULAR_ITEMS, popular),
        filled(CATALOG, catalog),
        USER_PROFILES.empty(),
    )


def compared(what: str, size: int, ours: Callable[[], object], bare: Callable[[], object]) -> None:
    """Fastest of some rounds, taken in turns, so that both meet the same machine."""
    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(ROUNDS):
        for run, into in ((ours, seconds[0]), (bare, seconds[1])):
            started = time.perf_counter()
            run()
            into.append(time.perf_counter() - started)
    our, their = min(seconds[0]), min(seconds[1])
    print(f"  {what:<22} {size / 1e6:6.0f} MB  ours {our:6.2f} s  bare {their:6.2f} s  {our / their:.2f} times")


def measure(people: int, server: Server, valkey: Valkey) -> None:
    """One size."""
    print(f"{people:,} people × {DEPTH} products, {SERVED} of them served")
    frames = made(people)
    url = server.url(f"bench_{people}")
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE bench_{people}")
    Postgres(url).migrate()
    marked = staging.marked(frames, KEYS, 1)
    text, pairs = list(staging.copy_lists(marked, 1)), list(chain.from_iterable(staging.cached_lists(marked, 1)))
    with psycopg.connect(url, autocommit=True) as connection, redis.Redis.from_url(valkey.url) as client:
        connection.execute("CREATE TABLE bench (LIKE lists INCLUDING ALL)")

        def copy(pieces: Iterable[bytes]) -> None:
            connection.execute("TRUNCATE bench")
            with connection.cursor().copy("COPY bench FROM STDIN") as into:
                for piece in pieces:
                    into.write(piece)

        def our_copy() -> None:
            with ahead(staging.copy_lists(staging.marked(frames, KEYS, 1), 1)) as pieces:
                copy(pieces)

        def our_warm() -> None:
            with ahead(staging.cached_lists(marked, 1)) as pieces:
                cache.put(chain.from_iterable(pieces))

        def bare_warm() -> None:
            rest = iter(pairs)
            while piece := list(islice(rest, 1_000)):
                with client.pipeline(transaction=False) as pipe:
                    for key, value in piece:
                        pipe.set(key, value)
                    pipe.execute()

        cache = Cache(valkey.url)
        compared("COPY of the lists", sum(map(len, text)), our_copy, lambda: copy(text))
        compared("warming Redis", sum(len(value) for _, value in pairs), our_warm, bare_warm)
        connection.execute("DROP TABLE bench")
        client.flushall()
    publisher = Publisher(Postgres(url), cache, KEYS)
    started = time.perf_counter()
    published = publisher.publish(DAY, frames, model_version="1", keep=2)
    steps = "  ".join(f"{step} {seconds:.2f}" for step, seconds in published.seconds.items())
    print(f"  a whole publish {time.perf_counter() - started:.2f} s: {steps}")
    publisher.publish(DAY, frames, model_version="2", keep=2)
    started = time.perf_counter()
    publisher.rollback()
    print(f"  rollback {time.perf_counter() - started:.3f} s")
    cache.close()


def main() -> None:
    sizes = [int(argument) for argument in sys.argv[1:]] or PEOPLE
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        server, valkey = Server(home), Valkey(home)
        try:
            server.start()
            valkey.start()
            for people in sizes:
                measure(people, server, valkey)
        finally:
            valkey.stop()
            server.stop()
            remove_postgres(home)


if __name__ == "__main__":
    main()
