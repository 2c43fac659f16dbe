from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest

from recsys_assets.errors import SettingsError
from recsys_assets.local.processes import wait_until
from recsys_assets.serving.app import create
from recsys_assets.serving.caching import _tag
from recsys_assets.serving.problems import MEDIA_TYPE
from recsys_assets.settings import load_settings
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import Tokens
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import api, ask, ids, served

LIST = "/api/recommendations"
SITE = "https://shop.example"


def again(client: httpx.Client, answer: httpx.Response, **headers: str) -> httpx.Response:
    """The same question of somebody who holds the answer."""
    return client.get(answer.url, headers={"If-None-Match": answer.headers["etag"], **headers})


def test_who_holds_an_answer_is_told_that_it_still_holds(stores: Stores) -> None:
    stores.publish(["1"])
    with api(stores.settings) as client:
        first = client.get(LIST, params={"userId": "1"})
        assert (first.status_code, first.headers["cache-control"]) == (200, "private, no-cache")
        same = again(client, first)
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
        assert same.headers["cache-control"] == "private, no-cache"
        assert same.headers["x-request-id"] != first.headers["x-request-id"]
        assert {"content-type", "content-length"}.isdisjoint(same.headers)
        for told, status in (
            ("*", 304), (f'"other", {first.headers["etag"]}', 304), (first.headers["etag"].removeprefix("W/"), 304),
            ("", 200), ('"other"', 200), (first.headers["etag"].strip('W/"'), 200),
        ):  # fmt: skip
            assert client.get(first.url, headers={"If-None-Match": told}).status_code == status, told
        other = client.get(LIST, params={"userId": "2"})
        assert other.headers["etag"] != first.headers["etag"]


def test_no_tag_outlives_an_optout_a_flip_or_a_rollback(stores: Stores) -> None:
    stores.publish(["1", "2"], "a", "b")
    with api(stores.settings) as client:
        mine, other = (client.get(LIST, params={"userId": user}) for user in "12")
        stores.suppressions.optout(stores.key("1"))
        answer = again(client, mine)  # at once, not after the pointer was read again
        assert (answer.status_code, answer.json()["fallback"]) == (200, "popular")
        assert again(client, answer).status_code == 304
        assert again(client, other).status_code == 304
        stores.publish(["1", "2"], "c", "d")
        assert wait_until(lambda: ask(client)["generation"] == 2, 10)
        answer = again(client, other)
        assert (answer.status_code, ids(answer.json())) == (200, ["c", "d"])
        stores.publisher.rollback()
        assert wait_until(lambda: ask(client)["generation"] == 1, 10)
        assert again(client, answer).status_code == 200
        assert again(client, other).status_code == 304  # it is the same again


def test_how_long_it_took_is_no_other_answer(stores: Stores) -> None:
    assert _tag(b'{"a":1,"processing_time_ms":0.4}') == _tag(b'{"a":1,"processing_time_ms":17.25}')
    assert _tag(b'{"a":1,"processing_time_ms":0.4}') != _tag(b'{"a":2,"processing_time_ms":0.4}')
    named = rb'{"id":"\"processing_time_ms\":%d"}'  # a product of that name
    assert _tag(named % 1) != _tag(named % 2)
    stores.publish(["1"])
    with api(stores.settings) as client:
        for path in ("/api/v1/recommendations/1", "/api/v1/items/popular", "/api/v1/items/a/similar"):
            first = client.get(path)
            assert "processing_time_ms" in first.json(), path
            assert again(client, first).status_code == 304, path


def test_what_is_one_persons_or_of_a_moment_is_kept_by_nobody(stores: Stores) -> None:
    stores.publish(["1"])
    token = Tokens(Postgres(stores.postgres_url)).make("shop", ["profiles", "writes"], timedelta(1)).token
    with_token = {"Authorization": f"Bearer {token}"}
    with api(stores.settings) as client:
        profile = "/api/v1/users/1/profile"
        assert wait_until(lambda: client.get(profile, headers=with_token).status_code == 200, 10)
        wish = client.put("/api/users/1/preferences", json={"recommendations": False}, headers=with_token)
        assert wish.status_code == 202
        answers = [
            client.get(profile, headers=with_token),
            client.get("/api/v1/recommendations/1", headers=with_token),
            client.post("/api/v1/recommendations", json={"user_id": "1"}),
            wish,
            client.get(f"/api/erasures/{wish.json()['receipt']}"),
            client.get("/api/erasures/nothing"),
            client.get("/api/v1/health"), client.get("/readyz"), client.get("/livez"), client.get("/metrics"),
            client.get(LIST, params={"limit": "ten"}), client.get("/nowhere"), client.delete("/api/users/1"),
        ]  # fmt: skip
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store", (answer.url, answer.status_code)
        assert "etag" not in answer.headers, answer.url


@contextmanager
def shop(stores: Stores, origins: str) -> Iterator[httpx.Client]:
    with served(create(load_settings(stores.environment | {"RECSYS_CORS_ORIGINS": origins}))) as client:
        yield client


def preflight(client: httpx.Client, origin: str, method: str = "GET", headers: str = "if-none-match") -> httpx.Response:
    told = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return client.options(LIST, headers=told)


def test_pages_of_the_sites_that_are_named_may_read(stores: Stores) -> None:
    stores.publish(["1"])
    with shop(stores, f"{SITE},http://localhost:3000") as client:
        allowed = preflight(client, SITE)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, SITE)
        assert allowed.headers["access-control-allow-methods"] == "GET"
        answer = client.get(LIST, headers={"Origin": SITE})
        assert answer.headers["access-control-allow-origin"] == SITE
        assert {"ETag", "X-Request-Id", "Retry-After"} == set(
            answer.headers["access-control-expose-headers"].split(", ")
        )
        assert "access-control-allow-credentials" not in answer.headers
        assert "Origin" in answer.headers["vary"]
        held = again(client, answer, Origin=SITE)
        assert (held.status_code, held.headers["access-control-allow-origin"]) == (304, SITE)
        refused = client.get(LIST, params={"limit": "0"}, headers={"Origin": SITE})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, SITE)
        for answer in (
            preflight(client, "https://other.example"), preflight(client, SITE, "DELETE"),
            preflight(client, SITE, "PUT"), preflight(client, SITE, headers="authorization"),
        ):  # fmt: skip
            assert (answer.status_code, answer.headers["content-type"]) == (400, MEDIA_TYPE)
            assert "access-control-allow-methods" not in answer.headers
        other = client.get(LIST, headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_any_page_where_any_is_named_and_none_where_none_is(stores: Stores) -> None:
    stores.publish(["1"])
    with shop(stores, "*") as client:
        assert client.get(LIST, headers={"Origin": SITE}).headers["access-control-allow-origin"] == "*"
        assert preflight(client, SITE).headers["access-control-allow-origin"] == "*"
    with api(stores.settings) as client:
        assert "access-control-allow-origin" not in client.get(LIST, headers={"Origin": SITE}).headers
        assert preflight(client, SITE).status_code == 405


@pytest.mark.parametrize("text", ["shop.example", f"{SITE}/", f"{SITE},*", "https://", f"{SITE} http://x", "null"])
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="RECSYS_CORS_ORIGINS is neither"):
        load_settings({"RECSYS_CORS_ORIGINS": text})
