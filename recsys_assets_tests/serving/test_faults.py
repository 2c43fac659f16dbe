"""Stores that reset, hang, are slow or talk nonsense: every read is answered, and what watches them goes on."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from recsys_assets.local.postgres import Postgres as Server
from recsys_assets.local.processes import wait_until
from recsys_assets.local.valkey import Valkey
from recsys_assets.serving import asking, state
from recsys_assets.serving.app import create
from recsys_assets.serving.asking import Breaker, StoreFailedError, ask_either, within
from recsys_assets.serving.pointer import make_pool
from recsys_assets.serving.routes import people
from recsys_assets.serving.starts import Starts
from recsys_assets.serving.state import State
from recsys_assets.settings import Home
from recsys_assets.stores.cache import VERSION_KEY, list_key
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import Tokens
from recsys_assets_tests.chaos.shop import frozen
from recsys_assets_tests.conftest import remove_postgres
from recsys_assets_tests.door import Manner
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import api, ask, await_health, served
from recsys_assets_tests.serving.shop import guarded

PROFILE = "/api/v1/users/1/profile"
FAULTS: list[tuple[Manner, float]] = [
    ("reset", 0), ("cut", 0), ("trickle", 0.1), ("slow", 0.3), ("hole", 0), ("shut", 0),
]  # fmt: skip


def fallbacks(client: httpx.Client, times: int = 20) -> set[str | None]:
    return {ask(client, userId="1", productId="a")["fallback"] for _ in range(times)}


def is_seen(client: httpx.Client, store: str) -> Callable[[], bool]:
    return lambda: client.get("/api/v1/health").json()["stores"][store] != "ok"


@pytest.mark.parametrize("store", ["redis", "postgres"])
@pytest.mark.parametrize(("manner", "seconds"), FAULTS)
def test_one_store_misbehaves_and_the_other_answers(stores: Stores, store: str, manner: Manner, seconds: float) -> None:
    stores.publish(["1"])
    with guarded(stores) as (postgres, redis, settings), api(settings) as client:
        assert fallbacks(client) == {None}
        door = {"redis": redis, "postgres": postgres}[store]
        door.behave(manner, seconds)
        assert fallbacks(client) == {None}
        assert wait_until(is_seen(client, store), 10)
        assert fallbacks(client) == {None}
        second = stores.publish(["1"], "a", "c")
        door.behave("open")
        await_health(client, postgres="ok", redis="ok")
        assert wait_until(lambda: ask(client, userId="1")["generation"] == second.generation, 10)
        assert fallbacks(client) == {None}


@pytest.mark.parametrize("manner", ["reset", "hole"])
def test_both_misbehave_and_what_is_popular_comes_at_once(
    stores: Stores, manner: Manner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the deadlines of a shop
    stores.publish(["1"])
    with guarded(stores) as (postgres, redis, settings), api(settings) as client:
        fallbacks(client)
        postgres.behave(manner)
        redis.behave(manner)
        began = time.monotonic()
        assert fallbacks(client) == {"popular"}
        assert time.monotonic() - began < 20 * 4 * asking.READ_SECONDS  # 19.9 s each before there was one
        await_health(client, postgres="away", redis="away")


def test_servers_that_are_stopped_and_go_on(home: Home, tmp_path: Path) -> None:
    postgres, valkey = Server(tmp_path), Valkey(tmp_path)
    try:
        postgres.start()
        valkey.start()
        stores = Stores(home, postgres.url("postgres"), valkey.url)
        stores.publish(["1"])
        with api(stores.settings) as client:
            for server, away in ((valkey, "redis"), (postgres, "postgres")):
                with frozen(server.pid):
                    assert fallbacks(client) == {None}
                    assert wait_until(is_seen(client, away), 10)
                    assert fallbacks(client) == {None}
                await_health(client, postgres="ok", redis="ok")
                assert fallbacks(client) == {None}
    finally:
        valkey.stop()
        postgres.stop()
        remove_postgres(tmp_path)


def test_a_value_that_is_none_of_ours_is_no_answer(stores: Stores) -> None:
    generation = stores.publish(["1", "2"]).generation
    cache = stores.cache._client
    with api(stores.settings) as client:
        for garbled in ('{"products": ["a"]}', "{", "[]", "{}", "7", "\udcff"):  # a store that has failed hides it
            name = list_key(generation, stores.home.keys.mark(stores.key("1")))
            cache.set(name, garbled.encode(errors="surrogateescape"))
            assert fallbacks(client, 3) == {None}
        cache.set(VERSION_KEY, "many")
        assert fallbacks(client, 3) == {None}


@pytest.mark.parametrize("error", [RuntimeError("secret"), asyncio.CancelledError("secret"), KeyError("secret")])
def test_nothing_ends_the_looking(stores: Stores, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.publish(["1"])
    looks, fails = State.look, threading.Event()

    async def look(self: State, *stores: object) -> None:
        if fails.is_set():
            raise error
        await looks(self, *stores)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(State, "look", look)
    monkeypatch.setattr(state, "STALE_SECONDS", 2.0)
    token = Tokens(Postgres(stores.postgres_url)).make("shop", ["profiles"], timedelta(days=1)).token
    with capture_logs() as lines, api(stores.settings) as client:
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get(PROFILE, headers=headers).status_code == 200
        assert client.get("/readyz").status_code == 200
        fails.set()
        assert wait_until(lambda: client.get("/readyz").status_code == 503, 20)
        assert "were last looked at" in client.get("/readyz").json()["detail"]
        health = client.get("/api/v1/health").json()
        assert (health["status"], health["looked_seconds_ago"] >= 2) == ("degraded", True)
        refused = client.get(PROFILE, headers=headers)  # it may have been revoked since
        assert (refused.status_code, refused.json()["title"]) == (503, "Tokens not known")
        assert fallbacks(client) == {None}
        assert {line["store"] for line in lines[-20:] if line["event"] == "request"} == {"postgres"}
        fails.clear()
        assert wait_until(lambda: client.get("/readyz").status_code == 200, 10)
        assert client.get(PROFILE, headers=headers).status_code == 200
    failed = [line for line in lines if line["event"] == "look failed"]
    assert {line["error"] for line in failed} == {type(error).__name__}
    assert any("look" in place for place in failed[0]["at"])
    assert "secret" not in repr(lines)


def test_a_revoked_token_is_refused_though_redis_resets(stores: Stores) -> None:
    stores.publish(["1"])
    tokens = Tokens(Postgres(stores.postgres_url))
    token = tokens.make("shop", ["profiles"], timedelta(days=1)).token
    with guarded(stores) as (_, redis, settings), api(settings) as client:
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get(PROFILE, headers=headers).status_code == 200
        redis.behave("reset")
        await_health(client, postgres="ok", redis="away")
        tokens.revoke("shop")
        assert wait_until(lambda: client.get(PROFILE, headers=headers).status_code == 401, 10)


def test_no_token_is_taken_while_postgres_is_away_for_long(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "TOKEN_SECONDS", 2.0)
    stores.publish(["1"])
    token = Tokens(Postgres(stores.postgres_url)).make("shop", ["listings"], timedelta(days=1)).token
    with guarded(stores) as (postgres, _, settings), api(settings) as client:
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get("/api/v1/config", headers=headers).status_code == 200
        postgres.shut()
        assert wait_until(lambda: client.get("/api/v1/config", headers=headers).status_code == 503, 20)
        assert fallbacks(client) == {None}  # who is known to be away is not the same as not looking
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["pointer_age_seconds"] >= 2) == (200, True)
        postgres.open()
        assert wait_until(lambda: client.get("/api/v1/config", headers=headers).status_code == 200, 20)


@pytest.mark.parametrize("manner", ["hole", "swallow"])
def test_a_wish_waits_no_longer_than_it_may(stores: Stores, manner: Manner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "WAIT_SECONDS", 1.0)
    monkeypatch.setattr(people, "WISH_SECONDS", 1.0)
    stores.publish(["1"])
    token = Tokens(Postgres(stores.postgres_url)).make("shop", ["writes"], timedelta(days=1)).token
    with guarded(stores) as (postgres, _, settings), api(settings) as client:

        def wish(_: int = 0) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            body = {"recommendations": False}
            return client.put("/api/users/1/preferences", json=body, headers=headers).status_code

        postgres.behave(manner)
        with ThreadPoolExecutor(people.WISHES_AT_ONCE + 2) as threads:
            assert set(threads.map(wish, range(people.WISHES_AT_ONCE + 2))) == {503}
        postgres.behave("open")
        assert wait_until(lambda: wish() == 202, 20)
        assert fallbacks(client, 1) == {"popular_in_category"}


def test_a_server_starts_beside_stores_that_hang(stores: Stores) -> None:
    stores.publish(["1"])
    with guarded(stores) as (postgres, redis, settings):
        postgres.behave("hole")
        redis.behave("hole")
        with served(create(settings)) as client:
            assert client.get("/api/recommendations").status_code == 503
            postgres.behave("open")
            redis.behave("open")
            assert wait_until(lambda: client.get("/readyz").status_code == 200, 20)
            assert fallbacks(client) == {None}


class Two:
    """Two stores, each of which answers, when it is told to, what it is told to."""

    def __init__(self) -> None:
        self.first, self.second = Breaker("first"), Breaker("second")
        self.says: dict[str, asyncio.Future[str | None]] = {}
        self.asked: list[str] = []

    async def _talk(self, name: str) -> str | None:
        self.asked.append(name)
        return await asyncio.shield(self.says.setdefault(name, asyncio.get_running_loop().create_future()))

    async def ask(self, **says: str | BaseException | None) -> str | None:
        """The answer, of stores that say this at once; one that is not named says nothing for now."""
        for name, said in says.items():
            told = self.says[name] = asyncio.get_running_loop().create_future()
            if isinstance(said, BaseException):
                told.set_exception(said)
            else:
                told.set_result(said)

        async def first() -> str | None:
            return await self._talk("first")

        async def second() -> str | None:
            return await self._talk("second")

        with within():
            return await ask_either(self.first, first, lambda said: said, self.second, second)


def test_the_first_store_is_enough() -> None:
    two = Two()
    assert asyncio.run(two.ask(first="a")) == "a"
    assert two.asked == ["first"]


def test_the_second_is_asked_where_the_first_knows_nothing_or_fails() -> None:
    for said in (None, RuntimeError("as on uvloop")):
        two = Two()
        assert asyncio.run(two.ask(first=said, second="b")) == "b"
        assert two.first.failing is (said is not None)


def test_who_is_late_is_overtaken_and_left_alone_but_for_one_in_a_while() -> None:
    async def story() -> None:
        two = Two()
        assert await two.ask(second="b") == "b"
        assert (two.asked, two.first.failing) == (["first", "second"], True)
        two.asked.clear()
        assert [await two.ask(second="b") for _ in range(5)] == ["b"] * 5
        assert two.asked == ["second"] * 5
        two.first._until = 0.0  # the rest is over
        two.asked.clear()
        assert await two.ask(first="a", second="b") == "b"  # who tries does not wait for it either
        while two.first.failing:
            await asyncio.sleep(0.001)
        assert await two.ask(first="a") == "a"
        assert sorted(two.asked) == ["first", "first", "first", "second"]

    asyncio.run(story())


def test_a_store_that_is_back_answers_though_the_other_one_hangs() -> None:
    async def story() -> None:
        two = Two()
        await two.ask(second="b")
        two.first.seen()
        del two.says["second"]
        async with asyncio.timeout(30):
            assert await two.ask(first="a") == "a"

    asyncio.run(story())


def test_no_read_waits_beyond_its_time_for_a_store_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "READ_SECONDS", 0.25)

    async def story() -> None:
        two = Two()
        await two.ask(second="b")
        two.second.failed(StoreFailedError())  # and rests
        loop = asyncio.get_running_loop()
        for probes in (1, 0):
            two.first.seen()
            two.asked.clear()
            began = loop.time()
            assert await two.ask() is None
            assert loop.time() - began < asking.RECORD_SECONDS
            assert two.asked == ["first"] * probes

    asyncio.run(story())


def test_both_stores_are_looked_at_at_once(stores: Stores) -> None:
    """So that it is known within two seconds that both are away."""
    stores.publish(["1"])

    async def story() -> None:
        with guarded(stores) as (postgres, redis, settings):
            pool, starts, known = make_pool(settings.postgres_url), Starts(settings.redis_url), State()
            try:
                await pool.open(wait=True)
                await known.first_look(pool, starts)
                assert (known.postgres, known.redis) == (True, True)
                postgres.behave("hole")
                redis.behave("hole")
                began = time.monotonic()
                await known.look(pool, starts)
                assert (known.postgres, known.redis) == (False, False)
                assert time.monotonic() - began < sum(known.seconds.values())
            finally:
                await pool.close()
                await starts.aclose()

    asyncio.run(story())


def test_one_probe_at_a_time() -> None:
    async def story() -> None:
        breaker = Breaker("a")
        assert [breaker.admits() for _ in range(3)] == [True] * 3
        breaker.failed(StoreFailedError())
        assert not breaker.admits()
        breaker._until = 0.0
        assert [breaker.admits() for _ in range(3)] == [True, False, False]
        breaker.seen()
        assert not breaker.admits()  # the one that tries has not come back

    asyncio.run(story())


def test_who_is_late_still_wins_where_the_other_knows_nothing() -> None:
    async def story() -> None:
        two = Two()
        waiting = asyncio.create_task(two.ask(second=None))
        while len(two.asked) < 2:
            await asyncio.sleep(0.001)
        two.says["first"].set_result("a")
        assert await waiting == "a"
        assert not two.first.failing

    asyncio.run(story())


def test_a_mistake_of_ours_is_not_a_store_s() -> None:
    two = Two()

    async def mistaken() -> str | None:
        raise AttributeError

    async def story() -> None:
        with within():
            await ask_either(two.first, lambda: two._talk("first"), str, two.second, mistaken)

    with pytest.raises(AttributeError):
        asyncio.run(story())
