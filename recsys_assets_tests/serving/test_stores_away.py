"""Promise 8 on servers that really stop, and promise 3 on a Redis that some reach and others do not."""

import asyncio
import contextlib
import random
import threading
from pathlib import Path

import psycopg
import pytest
import uvloop

from recsys_assets.local.postgres import Postgres
from recsys_assets.local.valkey import Valkey
from recsys_assets.serving import pointer
from recsys_assets.serving.asking import StoreFailedError
from recsys_assets.serving.pointer import Pool, fetch, make_pool
from recsys_assets.serving.state import State
from recsys_assets.settings import Home
from recsys_assets.stores import suppressions
from recsys_assets_tests.conftest import remove_postgres
from recsys_assets_tests.door import door
from recsys_assets_tests.published import ODD, Stores
from recsys_assets_tests.serving.running import api, ask, await_health, ids
from recsys_assets_tests.serving.shop import guarded

LIST = ["a", "b", ODD]


def test_one_store_after_the_other_stops(home: Home, tmp_path: Path) -> None:
    postgres, valkey = Postgres(tmp_path), Valkey(tmp_path)
    try:
        postgres.start()
        valkey.start()
        stores = Stores(home, postgres.url("postgres"), valkey.url)
        made = stores.publish(["1"])
        with api(stores.settings) as client:
            postgres.stop()
            assert ids(ask(client, userId="1")) == LIST
            await_health(client, postgres="away", redis="ok")
            answer = ask(client, userId="1", productId="a")
            assert (ids(answer), answer["fallback"], answer["generation"]) == (LIST[1:], None, made.generation)
            valkey.stop()
            for question, fallback in (({"userId": "1"}, "popular"), ({"context": "x"}, "popular_in_category")):
                answer = ask(client, **question)
                assert (ids(answer), answer["fallback"]) == (LIST, fallback)
            await_health(client, postgres="away", redis="away")
            assert ids(ask(client, userId="1")) == LIST
        with api(stores.settings) as client:
            assert client.get("/api/recommendations").status_code == 503
    finally:
        valkey.stop()
        postgres.stop()
        remove_postgres(tmp_path)


def test_redis_stops_and_postgres_answers(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppressions, "SETTLE_SECONDS", 0.1)  # nobody reads a Redis that has stopped
    valkey = Valkey(tmp_path)
    try:
        valkey.start()
        own = Stores(stores.home, stores.postgres_url, valkey.url)
        own.publish(["1"])
        with api(own.settings) as client:
            valkey.stop()
            answer = ask(client, userId="1", productId="a")
            assert (ids(answer), answer["fallback"]) == (LIST[1:], None)
            await_health(client, postgres="ok", redis="away")
            own.suppressions.optout(own.key("1"))
            assert ask(client, userId="1")["fallback"] == "popular"
    finally:
        valkey.stop()


def test_both_come_back_without_a_restart(stores: Stores) -> None:
    stores.publish(["1"])
    with guarded(stores) as (postgres, redis, settings), api(settings) as client:
        postgres.shut()
        redis.shut()
        await_health(client, postgres="away", redis="away")
        assert ask(client, userId="1")["fallback"] == "popular"
        second = stores.publish(["1"], "c")
        postgres.open()
        redis.open()
        await_health(client, postgres="ok", redis="ok")
        answer = ask(client, userId="1")
        assert (ids(answer), answer["generation"]) == (["c"], second.generation)


def test_an_optout_that_cannot_tell_redis_holds_where_redis_can_be_read(stores: Stores) -> None:
    stores.publish(["1", "2"])
    with door(stores.redis_url) as (redis, redis_url), api(stores.settings) as client:
        ours = Stores(stores.home, stores.postgres_url, redis_url)
        assert ids(ask(client, userId="1")) == LIST
        redis.shut()
        done = ours.suppressions.optout(stores.key("1"))
        assert (done.lists, done.profiles, done.cached) == (1, 1, 0)
        assert done.cache_problem is not None
        assert ask(client, userId="1")["fallback"] == "popular"  # though its list is in the Redis that is asked
        assert any(":list:" + stores.home.keys.mark(stores.key("1")) in name for name in stores.redis())
        assert ids(ask(client, userId="2")) == LIST  # from Postgres
        redis.open()
        ours.suppressions.optout(stores.key("3"))  # the next change brings what was missed
        mark = stores.home.keys.mark(stores.key("1"))
        assert f"recsys:out:{mark}" in stores.redis()
        assert not any(f":list:{mark}" in name for name in stores.redis())
        with psycopg.connect(stores.postgres_url) as connection:
            version = connection.execute("SELECT suppression_version FROM live").fetchone()
        assert version == (stores.cache.version(),)
        assert ask(client, userId="1")["fallback"] == "popular"


def test_it_stops_although_a_cancellation_was_swallowed(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """As redis-py and asyncio's timeouts may do: the watcher sees a timeout instead of the cancellation."""
    stores.publish(["1"])
    began = threading.Event()

    async def swallow(*_: object) -> None:
        began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    with api(stores.settings) as client:
        assert client.get("/api/v1/health").status_code == 200
        monkeypatch.setattr(State, "look", swallow)
        assert began.wait(30)


def test_reads_that_are_given_up_leave_the_pool_whole(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which a pool whose handing out or taking back is cancelled does not stay."""
    monkeypatch.setattr(pointer, "query", lambda _: "SELECT pg_sleep(%(seconds)s)")
    dice = random.Random(1)

    async def give_up(pool: Pool) -> None:
        with contextlib.suppress(StoreFailedError):
            await fetch(pool, "", {"seconds": 0.03 * dice.random()}, seconds=0.05 * dice.random())

    async def run() -> dict[str, int]:
        async with make_pool(stores.postgres_url) as pool:
            for _ in range(20):
                await asyncio.gather(*(give_up(pool) for _ in range(60)))
            for _ in range(200):  # what was given up ends, and new connections take the place of those that were ended
                found = pool.get_stats()
                if found["pool_available"] == found["pool_size"]:
                    break
                await asyncio.sleep(0.05)
            return found

    found = uvloop.run(run())
    assert found["pool_available"] == found["pool_size"] > 0
