"""The API as `recsys up` starts it: what it logs, and how it ends."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
import uvicorn
from fastapi.responses import StreamingResponse

from recsys_assets.local import up
from recsys_assets.local.answers import answers as is_up
from recsys_assets.local.processes import Child, wait_until
from recsys_assets.local.supervisor import platform_environment, servers
from recsys_assets.serving.app import create
from recsys_assets.serving.problems import MEDIA_TYPE
from recsys_assets.settings import load_settings
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import await_health, served

Started = Callable[..., AbstractContextManager[tuple[Child, httpx.Client]]]


@pytest.fixture
def started(stores: Stores) -> Started:
    """Runs the API of a home with settings of its own."""

    @contextmanager
    def start(**more: str) -> Iterator[tuple[Child, httpx.Client]]:
        settings = load_settings(stores.environment | more)
        with servers(settings, stores.home) as found:
            environment = platform_environment(settings, stores.home, found) | more
        wanted = next(s for s in up._services(settings, stores.home, environment) if s.program.name == "api")
        child = Child(wanted.program)
        try:
            assert wait_until(lambda: is_up(wanted.port, wanted.path), 90), child.tail()
            with httpx.Client(base_url=f"http://127.0.0.1:{wanted.port}", timeout=30) as client:
                yield child, client
        finally:
            child.stop()

    return start


def ends(child: Child) -> None:
    assert wait_until(lambda: child.exit_code() is not None, 20), child.tail()
    assert child.exit_code() in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert "Application shutdown complete" in child.program.log.read_text()


def test_no_id_and_no_key_is_logged_and_sigterm_ends_it_in_order(stores: Stores, started: Started) -> None:
    stores.publish(["somebody"])
    asked = (
        "userId=somebody",
        "anonId=some-cookie",
        "userId=somebody&limit=x",
        "userId=%ff",
        "nobody=1",
        "productId=some-product",
    )
    with started() as (child, client):
        for query in asked:
            headers = {"Authorization": "Bearer some-token", "X-Request-Id": "some-number"}
            assert client.get(f"/api/recommendations?{query}", headers=headers).status_code in (200, 400)
        assert client.get("/api/recommendations/somebody").status_code == 404
        assert client.delete("/api/users/somebody").status_code == 401
        child._popen.send_signal(signal.SIGTERM)  # while a connection is kept alive
        ends(child)
    log = child.program.log.read_text()
    assert log.count("event='request'") >= len(asked) + 2
    assert "Traceback" not in log
    for secret in ("somebody", "some-", stores.key("somebody"), "userId", "anonId"):
        assert secret not in log
    assert sys.executable in child.program.command


@pytest.mark.parametrize(("name", "said"), [("RECSYS_HOME", "home"), ("RECSYS_REDIS_URL", "RECSYS_REDIS_URL")])
def test_a_start_that_cannot_be_is_a_sentence(stores: Stores, tmp_path: Path, name: str, said: str) -> None:
    wrong = {"RECSYS_HOME": str(tmp_path / "nowhere"), "RECSYS_REDIS_URL": ""}[name]
    done = subprocess.run(
        [sys.executable, "-m", "recsys_assets.serving", "--port", "0"],
        env={**os.environ, **stores.environment, name: wrong}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr


def test_an_answer_that_is_being_made_when_sigterm_comes_is_sent(stores: Stores, started: Started) -> None:
    stores.publish(["somebody"])
    stores.cache._client.flushall()
    with (
        started() as (child, client),
        psycopg.connect(stores.postgres_url) as blocking,
        ThreadPoolExecutor() as threads,
        httpx.Client(base_url=client.base_url, timeout=30) as other,
    ):
        await_health(client, postgres="ok", redis="ok")
        blocking.execute("LOCK TABLE suppressions")
        answers: list[Future[httpx.Response]] = []

        def in_flight() -> bool:
            """With another one where the API has given up on Postgres before we have looked."""
            if not answers or answers[-1].done():
                answers.append(threads.submit(client.get, "/api/recommendations?userId=somebody"))
            return watching.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount > 0

        with psycopg.connect(stores.postgres_url, autocommit=True) as watching:
            assert wait_until(in_flight, 60)
        child._popen.send_signal(signal.SIGTERM)

        def refuses() -> bool:
            try:
                other.get("/livez")
            except httpx.TransportError:
                return True
            return False

        assert wait_until(refuses, 10)
        blocking.rollback()
        assert [answer.result().status_code for answer in answers] == [200] * len(answers)
        ends(child)


def test_readiness_says_no_while_requests_are_still_answered(stores: Stores, started: Started) -> None:
    with started(RECSYS_API_DRAIN_SECONDS="600") as (child, client):
        assert client.get("/livez").json() == {"status": "ok"}
        refused = client.get("/readyz")
        assert (refused.status_code, refused.headers["content-type"]) == (503, MEDIA_TYPE)
        assert refused.json()["detail"] == "There is no generation yet."
        stores.publish(["somebody"])
        assert wait_until(lambda: client.get("/readyz").status_code == 200, 10)
        child._popen.send_signal(signal.SIGTERM)
        assert wait_until(lambda: client.get("/readyz").status_code == 503, 10)
        assert client.get("/readyz").json()["detail"] == "This process is about to end."
        assert client.get("/livez").status_code == 200
        assert client.get("/api/recommendations", params={"userId": "somebody"}).json()["fallback"] is None
        stores.suppressions.optout(stores.key("somebody"))  # followed to the end
        assert client.get("/api/recommendations", params={"userId": "somebody"}).json()["fallback"] == "popular"
        assert child.exit_code() is None
        child._popen.send_signal(signal.SIGTERM)  # a second one waits no longer
        ends(child)


def test_after_the_drain_it_ends_by_itself(stores: Stores, started: Started) -> None:
    with started(RECSYS_API_DRAIN_SECONDS="1") as (child, client):
        assert client.get("/livez").status_code == 200
        child._popen.send_signal(signal.SIGTERM)
        ends(child)


def test_a_stream_that_has_begun_goes_on_to_its_end(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.publish(["somebody"])
    application = create(stores.settings)
    made: list[uvicorn.Server] = []

    class Server(uvicorn.Server):
        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            made.append(self)

    monkeypatch.setattr(uvicorn, "Server", Server)
    goes_on = threading.Event()

    @application.get("/stream", include_in_schema=False)
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first, "
            while not goes_on.is_set():
                await asyncio.sleep(0.01)
            yield b"last"

        return StreamingResponse(pieces())

    with served(application) as client, client.stream("GET", "/stream") as answer:
        text = answer.iter_text()
        assert next(text) == "first, "
        made[0].should_exit = True  # what a SIGTERM sets
        assert wait_until(lambda: not made[0].servers[0].is_serving(), 10)
        goes_on.set()
        assert list(text) == ["last"]
