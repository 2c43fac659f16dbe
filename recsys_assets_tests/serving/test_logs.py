"""What the API's process writes down, in both forms."""

import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
import structlog

from recsys_assets import logs
from recsys_assets.local import up
from recsys_assets.local.answers import answers
from recsys_assets.local.processes import Child, wait_until
from recsys_assets.local.supervisor import platform_environment, servers
from recsys_assets.settings import Settings, load_settings
from recsys_assets_tests.door import door
from recsys_assets_tests.published import Stores


@contextmanager
def running(stores: Stores, form: str) -> Iterator[tuple[Child, httpx.Client]]:
    settings = stores.settings
    with servers(settings, stores.home) as found:
        environment = platform_environment(settings, stores.home, found) | {"RECSYS_LOG_FORMAT": form}
    wanted = next(s for s in up._services(settings, stores.home, environment) if s.program.name == "api")
    child = Child(wanted.program)
    try:
        assert wait_until(lambda: answers(wanted.port, wanted.path), 90), child.tail()
        with httpx.Client(base_url=f"http://127.0.0.1:{wanted.port}", timeout=30) as client:
            yield child, client
    finally:
        child.stop()


@pytest.mark.parametrize("form", ["json", "text"])
def test_stores_generations_start_and_stop_are_logged_and_nobody_is(stores: Stores, form: str) -> None:
    stores.publish(["somebody"])
    with door(stores.redis_url) as (redis_door, redis_url), door(stores.postgres_url) as (pg_door, postgres_url):
        guarded = Stores(stores.home, postgres_url, redis_url)
        with running(guarded, form) as (child, client):

            def logged(words: str) -> Callable[[], bool]:
                return lambda: words in child.program.log.read_text()

            redis_door.shut()
            pg_door.shut()
            client.get("/api/recommendations", params={"userId": "somebody", "anonId": "some-cookie"})
            assert wait_until(logged("store away"), 20)
            redis_door.open()
            pg_door.open()
            assert wait_until(logged("store answers"), 30)
            stores.publish(["somebody"])
            assert wait_until(lambda: child.program.log.read_text().count("generation live") == 2, 20)
            child._popen.send_signal(signal.SIGTERM)
            assert wait_until(lambda: child.exit_code() is not None, 20)
        log = child.program.log.read_text()
    passwords = {url.split(":")[2].partition("@")[0] for url in (stores.postgres_url, stores.redis_url)}
    for secret in ("somebody", "some-cookie", stores.key("somebody"), "userId", *passwords):
        assert secret not in log
    assert "Traceback" not in log
    if form == "json":
        lines = [json.loads(line) for line in log.splitlines()]  # the libraries' lines too
        events = [line["event"] for line in lines]
        assert events.index("started") < events.index("stopped")
        assert all({"timestamp", "level", "logger"} <= line.keys() for line in lines)
        live = [line for line in lines if line["event"] == "generation live"]
        assert [(line["generation"], line["source"]) for line in live] == [(1, "postgres"), (2, "postgres")]
        (asked,) = [line for line in lines if line.get("route") == "/api/recommendations"]
        assert (asked["event"], asked["status"], asked["fallback"]) == ("request", 200, "popular")
        assert {line["store"] for line in lines if line["event"] == "store away"} <= {"postgres", "redis"}
    else:
        assert "event='started'" in log


@pytest.fixture
def configured(make_settings: Callable[..., Settings]) -> Iterator[Callable[..., None]]:
    root, before = logging.getLogger(), logging.getLogger().level
    handlers = list(root.handlers)
    yield lambda **variables: logs.configure(load_settings(variables))
    root.handlers, structlog_defaults = handlers, structlog.reset_defaults
    root.setLevel(before)
    structlog_defaults()


def test_a_librarys_line_loses_passwords_query_strings_and_messages_of_errors(
    configured: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(RECSYS_LOG_FORMAT="json", RECSYS_LOG_LEVEL="warning")
    library = logging.getLogger("some.library")
    library.info("too quiet")
    library.warning("cannot reach %s", "postgresql://app:hush@db:5432/x?sslmode=require")
    library.warning("GET /api/recommendations?userId=annabel HTTP/1.1")
    try:
        raise ValueError("no such user: annabel")
    except ValueError:
        library.exception("it broke")
    structlog.stdlib.get_logger("ours").warning("store away", store="redis")
    said = capsys.readouterr().err
    first, second, third, fourth = map(json.loads, said.splitlines())
    assert first["event"] == "cannot reach postgresql://db:5432/x"
    assert second["event"] == "GET /api/recommendations HTTP/1.1"
    assert (third["event"], third["error"], len(third["at"])) == ("it broke", "ValueError", 1)
    assert (fourth["event"], fourth["store"], fourth["logger"]) == ("store away", "redis", "ours")
    for secret in ("hush", "annabel", "too quiet"):
        assert secret not in said
    assert sys.stderr is not sys.__stderr__
