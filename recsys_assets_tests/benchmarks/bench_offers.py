"""Plans and offers: how long everybody's take, and how long one answer over HTTP takes beside a bare server.

Everybody: the choice of products for 20,000 people with lists of 50, beside sorting the same rows, which any choice has
to do. One answer: `POST /mcp/planner` with a visit of three products, `POST /mcp/generator` with a slice of 100 ids and
with one of 1,000 products that bring their facts, over one connection and over eight, beside a bare ASGI application
that answers a constant from the same server program. Goals: p95 of the planner within 100 ms, aim 10; of the generator
within 200 ms, aim 20.

Run: ``python -m recsys_assets_tests.benchmarks.bench_offers``. It takes about two minutes.
"""

import itertools
import json
import os
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import psycopg

from recsys_assets.local.postgres import Postgres as Server
from recsys_assets.local.valkey import Valkey
from recsys_assets.logic.offers import offers
from recsys_assets.settings import init_home, load_settings
from recsys_assets.tables import MICROS
from recsys_assets.tuning import Tuning
from recsys_assets_tests.benchmarks.bench_api import BARE, serving
from recsys_assets_tests.benchmarks.wire import http, http_200, load
from recsys_assets_tests.conftest import remove_postgres
from recsys_assets_tests.planned import with_plans
from recsys_assets_tests.published import DAY, Stores
from recsys_assets_tests.serving.asked import UNLIMITED

PEOPLE, DEPTH, PRODUCTS, SHOPPERS = 20_000, 50, 1_000, 200
SECONDS, CONNECTIONS = 5.0, (1, 8)


def everybody() -> None:
    """The first table."""
    chance = np.random.default_rng(1)
    people = pl.select(pl.format("p{}", pl.int_range(PEOPLE))).to_series()
    row = {
        "intent": "replenish", "categories": ["c1", "c2", "c3"], "category_probabilities": [0.3, 0.2, 0.1],
        "price_low_micros": 2 * MICROS, "price_middle_micros": 5 * MICROS, "price_high_micros": 20 * MICROS,
        "trigger": "on-page",
    }  # fmt: skip
    plans = pl.DataFrame({"person_key": people}).with_columns(pl.lit(value).alias(name) for name, value in row.items())
    size = PEOPLE * DEPTH
    candidates = pl.DataFrame(
        {
            "person_key": np.repeat(people.to_numpy(), DEPTH),
            "product_id": [f"i{n}" for n in chance.integers(0, PRODUCTS * 10, size)],
            "rank": np.tile(np.arange(1, DEPTH + 1), PEOPLE),
            "category": [f"c{n}" for n in chance.integers(0, 12, size)],
            "price_micros": chance.integers(1, 50, size) * MICROS,
            "brand": [f"b{n}" for n in chance.integers(0, 40, size)],
            "purchased": chance.random(size) < 0.25,
        }
    ).with_columns(parent_id=pl.lit(None, pl.String), name=pl.lit(None, pl.String), reason_code=pl.lit("taste"))
    began = time.perf_counter()
    made = offers(plans, candidates, Tuning())
    took = time.perf_counter() - began
    began = time.perf_counter()
    candidates.sort("person_key", "price_micros", "product_id")
    bare = time.perf_counter() - began
    print(f"offers for {PEOPLE:,} people of {DEPTH} products each: {took:.2f} s, {made.height:,} products")
    print(f"sorting the same rows:                             {bare:.2f} s   ratio {took / bare:.1f}\n")


def post(path: str, body: object) -> bytes:
    """One request, as it goes over the wire."""
    return http("POST", path, json.dumps(body).encode())


def answers(folder: Path) -> None:
    """The second table."""
    postgres, valkey = Server(folder), Valkey(folder)
    try:
        postgres.start()
        valkey.start()
        home = init_home(
            load_settings({"RECSYS_HOME": f"{folder}/shop"}), first_day=DAY, time_zone="UTC", currency="EUR"
        )
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        stores = Stores(home, postgres.url("bench"), valkey.url)
        made = with_plans([stores.key(str(n)) for n in range(SHOPPERS)])
        number = pl.int_range(pl.len())
        more = pl.concat([made.products.head(1)] * PRODUCTS).with_columns(
            product_id=pl.format("i{}", number), name=pl.format("Product {}", number)
        )
        made = replace(made, products=pl.concat([made.products, more]))
        stores.publisher.publish(DAY, made, model_version="1", keep=2)
        visit = {"viewed": ["a", "b"], "cart": ["c"]}
        plan = {
            "intent": "replenish", "targetCategories": [{"category": "x > y", "probability": 0.5}],
            "budget": {"low": 1, "middle": 4, "high": 9},
        }  # fmt: skip
        names = [f"i{n}" for n in range(100)]
        facts = [{"id": str(n), "name": f"Thing {n}", "price": 1 + n / 100, "category": "x > y"} for n in range(1_000)]
        environment = {"PATH": os.environ["PATH"], **stores.environment, **UNLIMITED}
        with (
            serving(environment, "recsys_assets.serving") as ours,
            serving(environment, *BARE) as bare,
        ):
            asked = {
                "bare ASGI": (bare, [post("/", {})]),
                "planner, with a visit": (
                    ours, [post("/mcp/planner", {"userId": str(n), "sessionData": visit}) for n in range(SHOPPERS)],
                ),
                "generator, 100 ids": (ours, [post("/mcp/generator", {"plan": plan, "catalogSlice": names})]),
                "generator, 1,000 with facts": (ours, [post("/mcp/generator", {"plan": plan, "catalogSlice": facts})]),
            }  # fmt: skip
            print(f"{'':<30} conn  answers/s   p50 ms   p95 ms   p99 ms   errors")
            for connections in CONNECTIONS:
                for what, (server, sent) in asked.items():
                    found = load(
                        server, partial(itertools.cycle, sent), http_200, connections=connections, seconds=SECONDS
                    )
                    quantiles = "".join(f"{found.quantile(q):>9.2f}" for q in (0.5, 0.95, 0.99))
                    errors = 100 * found.errors / len(found.seconds)
                    print(f"{what:<30} {connections:>4} {found.rate:>10,.0f}{quantiles} {errors:>7.2f} %", flush=True)
    finally:
        valkey.stop()
        postgres.stop()
        remove_postgres(folder)


def main() -> None:
    """Both tables."""
    everybody()
    with tempfile.TemporaryDirectory() as folder:
        answers(Path(folder))


if __name__ == "__main__":
    main()
