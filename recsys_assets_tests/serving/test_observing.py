import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message
from structlog.testing import capture_logs
from structlog.typing import EventDict

from recsys_assets import serving
from recsys_assets.errors import SettingsError
from recsys_assets.local.processes import wait_until
from recsys_assets.serving.app import create
from recsys_assets.serving.problems import MEDIA_TYPE
from recsys_assets.serving.recommendations import Reader
from recsys_assets.settings import load_settings
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import Tokens
from recsys_assets_tests.door import door
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import ask, await_health, served

ANNABEL = "annabel@shop.example"
DASHBOARD = Path(serving.__file__).with_name("grafana_dashboard.json")


@contextmanager
def observed(stores: Stores, **settings: str) -> Iterator[tuple[httpx.Client, list[EventDict]]]:
    """A client of the API, and what the API logs."""
    application = create(load_settings(stores.environment | settings))
    _add_routes(application)
    with capture_logs() as lines, served(application) as client:
        yield client, lines


def _add_routes(application: FastAPI) -> None:
    @application.get("/half", include_in_schema=False)
    async def half() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"half of "
            raise ValueError(ANNABEL)

        return StreamingResponse(pieces())


def requests(lines: list[EventDict], count: int) -> list[EventDict]:
    """Lines of requests, as soon as there are so many: one is written when its answer is on its way."""

    def found() -> list[EventDict]:
        return [line for line in lines if line["event"] == "request"]

    assert wait_until(lambda: len(found()) >= count, 10), lines
    assert len(found()) == count, lines
    return found()


def value(client: httpx.Client, name: str, **labels: str) -> float | None:
    """Of the one sample of that name with these labels."""
    found = [
        sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1, (name, labels, found)
    return found[0] if found else None


def counted(client: httpx.Client, wanted: float, name: str, **labels: str) -> None:
    """It comes to that; a request is counted when its answer is on its way."""
    assert wait_until(lambda: value(client, name, **labels) == wanted, 10), value(client, name, **labels)


@pytest.mark.parametrize(
    "told", ["4dcf3703de294afe8cb6bc0621e31323", "d358fc92-4cf5-4008-bc34-e58430a3250c", "0af7651916cd43dd", "AB" * 32]
)
def test_an_id_of_the_callers_is_passed_on(stores: Stores, told: str) -> None:
    with observed(stores) as (client, lines):
        assert client.get("/livez", headers={"X-Request-Id": told}).headers["x-request-id"] == told
        assert requests(lines, 1)[0]["id"] == told


@pytest.mark.parametrize("told", ["", ANNABEL, "abc", "f" * 15, "f" * 65, "0af7651916cd43dd 7", "g" * 32])
def test_what_could_be_anything_is_not(stores: Stores, told: str) -> None:
    with observed(stores) as (client, lines):
        made = client.get("/nowhere", headers={"X-Request-Id": told}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", made)
        assert requests(lines, 1)[0]["id"] == made


def test_a_line_says_what_was_answered_and_not_to_whom(stores: Stores) -> None:
    made = stores.publish([ANNABEL])
    token = Tokens(Postgres(stores.postgres_url)).make("shop", ["profiles"], timedelta(1)).token
    with observed(stores) as (client, lines):
        ask(client, userId=ANNABEL, context="product-page", productId="some-product")
        ask(client, anonId="some-cookie", context="looking for a present")
        ask(client, context="x")
        client.get("/api/recommendations", params={"userId": ANNABEL, "nobody": "1"})
        client.get(f"/api/v1/users/{ANNABEL}/profile", headers={"Authorization": f"Bearer {token}"})
        client.get(f"/api/{ANNABEL}")
        first, second, third, refused, profile, nowhere = requests(lines, 6)
    common = {"event", "log_level", "method", "route", "status", "ms", "id"}
    kinds = {"list", "store", "fallback", "context", "model_version", "generation"}
    assert set(first) == common | kinds - {"fallback"}
    assert {**first, "ms": 0, "id": ""} == {
        "event": "request", "log_level": "info", "method": "GET", "route": "/api/recommendations", "status": 200,
        "ms": 0, "id": "", "list": "hit", "store": "redis", "context": "product-page", "model_version": "1",
        "generation": made.generation,
    }  # fmt: skip
    assert (second["list"], second["fallback"], second["context"]) == ("miss", "popular", "other")
    assert (third["fallback"], third["context"], "list" in third) == ("popular_in_category", "category", False)
    assert (refused["status"], set(refused)) == (400, common)
    assert profile["route"] == "/api/v1/users/{user_id}/profile"
    assert (nowhere["route"], nowhere["status"]) == ("none", 404)
    text = repr(lines)
    for secret in (ANNABEL, "annabel", "some-", "present", "nobody", stores.key(ANNABEL), token, "recsys_"):
        assert secret not in text


def test_a_method_of_the_callers_own_is_not_repeated(stores: Stores) -> None:
    application = create(stores.settings)
    headers = [(b"host", b"shop")]
    scope = {"type": "http", "method": "ANNABEL", "path": "/livez", "raw_path": b"/livez", "headers": headers,
             "query_string": b"", "client": None, "root_path": "", "http_version": "1.1", "scheme": "http"}  # fmt: skip

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        return

    with capture_logs() as lines:
        asyncio.run(application(scope, receive, send))
    assert [(line["method"], line["status"]) for line in lines] == [("other", 405)]


def test_the_request_log_can_be_of_errors_alone(stores: Stores) -> None:
    with observed(stores, RECSYS_REQUEST_LOG="errors") as (client, lines):
        assert client.get("/livez").status_code == 200
        assert client.get("/nowhere").status_code == 404
        assert [line["status"] for line in requests(lines, 1)] == [404]


def test_the_request_log_can_be_turned_off(stores: Stores) -> None:
    with observed(stores, RECSYS_REQUEST_LOG="off") as (client, lines):
        assert client.get("/livez").headers["x-request-id"]
        counted(client, 1, "recsys_api_requests_total", route="/livez", status="200")
        assert requests(lines, 0) == []
    with pytest.raises(SettingsError, match="RECSYS_REQUEST_LOG is none of on, errors, off"):
        load_settings({"RECSYS_REQUEST_LOG": "maybe"})


def test_an_error_that_nobody_has_foreseen_is_a_problem_with_a_number(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.publish([ANNABEL])

    async def broken(*_: object) -> None:
        raise LookupError(f"no such user: {ANNABEL}")

    monkeypatch.setattr(Reader, "answer", broken)
    with observed(stores) as (client, lines):
        answer = client.get("/api/recommendations", params={"userId": ANNABEL})
        assert (answer.status_code, answer.headers["content-type"]) == (500, MEDIA_TYPE)
        number = answer.headers["x-request-id"]
        assert answer.json() == {
            "type": "about:blank", "title": "Error", "status": 500, "request_id": number,
            "detail": "This should not happen. The log says more.",
        }  # fmt: skip
        assert answer.headers["cache-control"] == "no-store"
        (error,) = [line for line in lines if line["log_level"] == "error"]
        assert (error["error"], error["id"]) == ("LookupError", number)
        assert error["at"][-1].endswith(" broken")
        counted(client, 1, "recsys_api_requests_total", status="500")
        assert ANNABEL not in repr(lines) + answer.text


def test_half_an_answer_does_not_end_as_if_it_were_whole(stores: Stores) -> None:
    with observed(stores) as (client, lines):
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/half")
        assert [line["error"] for line in lines if line["event"] == "request failed"] == ["ValueError"]
        assert client.get("/livez").status_code == 200


def test_every_answer_says_that_its_type_is_meant(stores: Stores) -> None:
    with observed(stores) as (client, _):
        for path in ("/livez", "/nowhere", "/api/recommendations", "/metrics"):
            assert client.get(path).headers["x-content-type-options"] == "nosniff", path


def test_hits_misses_fallbacks_and_the_generation_are_counted(stores: Stores) -> None:
    made = stores.publish(["1"])
    with observed(stores) as (client, _):
        for user in ("1", "1", "2"):
            ask(client, userId=user)
        ask(client)
        counted(client, 2, "recsys_api_lists_total", list="hit", store="redis")
        counted(client, 1, "recsys_api_lists_total", list="miss", store="redis")
        counted(client, 2, "recsys_api_fallbacks_total", kind="popular")
        route = {"route": "/api/recommendations"}
        counted(client, 4, "recsys_api_requests_total", status="200", method="GET", **route)
        counted(client, 4, "recsys_api_request_seconds_count", **route)
        counted(client, 4, "recsys_api_request_seconds_bucket", le="+Inf", **route)
        counted(client, made.generation, "recsys_generation")
        assert 0 < (value(client, "recsys_generation_age_seconds") or 0) < 600
        assert (value(client, "recsys_ready"), value(client, "recsys_store_up", store="redis")) == (1, 1)
        before = value(client, "recsys_suppression_version") or 0
        stores.suppressions.optout(stores.key("1"))
        counted(client, before + 1, "recsys_suppression_version")


def test_a_bulk_counts_each_of_its_lists(stores: Stores) -> None:
    stores.publish(["1", "2"])
    token = Tokens(Postgres(stores.postgres_url)).make("shop", ["listings"], timedelta(1)).token
    with observed(stores) as (client, lines):
        asked: dict[str, Any] = {"json": {"user_ids": ["1", "2", "3"]}, "headers": {"Authorization": f"Bearer {token}"}}
        assert wait_until(lambda: client.post("/api/v1/recommendations/bulk", **asked).status_code == 200, 10)
        counted(client, 2, "recsys_api_lists_total", list="hit", store="redis")
        counted(client, 1, "recsys_api_fallbacks_total", kind="popular")
        (line,) = [line for line in lines if line.get("lists")]
        assert (line["lists"], line["status"], "list" in line, "fallback" in line) == (3, 200, False, False)


def test_stores_that_fail_are_counted_and_shown(stores: Stores) -> None:
    with door(stores.redis_url) as (redis, redis_url):
        stores.publish(["1"])
        with observed(Stores(stores.home, stores.postgres_url, redis_url)) as (client, lines):
            redis.shut()
            ask(client, userId="1")
            assert (value(client, "recsys_store_read_failures_total", store="redis") or 0) >= 1
            counted(client, 1, "recsys_api_lists_total", list="hit", store="postgres")
            await_health(client, postgres="ok", redis="away")
            counted(client, 0, "recsys_store_up", store="redis")
            assert next(line for line in lines if line["event"] == "request")["store"] == "postgres"


def test_nothing_is_live_yet(stores: Stores) -> None:
    with observed(stores) as (client, _):
        assert (value(client, "recsys_ready"), value(client, "recsys_generation")) == (0, 0)
        assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_the_dashboard_asks_for_metrics_that_are_there(stores: Stores) -> None:
    stores.publish(["1"])
    with observed(stores) as (client, _):
        ask(client, userId="1")
        ask(client)
        families = list(text_string_to_metric_families(client.get("/metrics").text))
    there = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    for expression in asked:
        (first, *_) = names = re.findall(r"\b(?:recsys|process)_\w+", expression)
        assert set(names) <= set(there), expression
        given = {"job", "instance", "le"} | there[first]  # a scrape adds the first two
        labels = re.findall(r"(\w+)=~?\"", expression)
        grouped = [label.strip() for found in re.findall(r"by \(([^)]*)\)", expression) for label in found.split(",")]
        assert set(labels + grouped) <= given, expression
    drawn = {name for expression in asked for name in re.findall(r"\brecsys_\w+", expression)}
    exempt = {"recsys_tokens"}
    ours = {family.name for family in families if family.name.startswith("recsys_")} - exempt
    assert {name for name in ours if not any(each.startswith(name) for each in drawn)} == set()
