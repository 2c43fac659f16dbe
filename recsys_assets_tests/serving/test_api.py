import json
import subprocess
import sys
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from recsys_assets.local.processes import free_port, wait_until
from recsys_assets.serving.parameters import read_query
from recsys_assets.serving.problems import BadParameterError
from recsys_assets.serving.routes.recommendations import PARAMETERS
from recsys_assets.stores.cache import whole_key
from recsys_assets_tests.published import DAY, ODD, Stores
from recsys_assets_tests.serving.running import api, ask, ids


def test_nothing_before_the_first_then_a_list_then_an_optout_at_once(stores: Stores) -> None:
    with api(stores.settings) as client:
        assert client.get("/api/recommendations").status_code == 503
        assert client.get("/api/v1/health").json()["status"] == "unavailable"
        made = stores.publish(["007"])
        assert wait_until(lambda: client.get("/api/v1/health").status_code == 200, 10)
        known = ask(client, userId="007")
        assert ids(known) == ["a", "b", ODD]
        assert (known["fallback"], known["generation"], known["modelVersion"]) == (None, made.generation, "1")
        assert known["products"][0] == {"id": "a", "score": 1.0, "reason": "why a"}
        assert ids(ask(client, userId="007", limit=1)) == ["a"]
        assert ids(ask(client, userId="007", productId="a")) == ["b", ODD]
        assert ids(ask(client, userId="key:" + stores.key("007"))) == ["a", "b", ODD]
        assert ask(client, anonId="007")["fallback"] == "popular"
        assert ask(client, userId="8", context="x")["fallback"] == "popular_in_category"
        assert ask(client)["fallback"] == "popular"
        stores.suppressions.optout(stores.key("007"))
        out = ask(client, userId="007")
        assert (out["fallback"], out["products"][0]["reason"]) == ("popular", "Popular")
        assert ask(client, anonId="9", userId="007")["fallback"] == "popular"
        health = client.get("/api/v1/health").json()
        assert (health["status"], health["day"], health["generation"]) == ("ok", DAY.isoformat(), made.generation)
        assert client.get("/openapi.json").status_code == 200


def test_a_refused_parameter_is_named(stores: Stores) -> None:
    stores.publish(["1"])
    with api(stores.settings) as client:
        for query, parameter in (
            ("limit=51", "limit"), ("limit=0", "limit"), ("limit=١", "limit"), ("limit=1&limit=1", "limit"),
            ("userId=", "userId"), ("userId=%00", "userId"), ("userId=%ff", "userId"), ("user=1", "user"),
            ("anonId=" + "x" * 129, "anonId"),
            ("productId=a&currentProductId=b", "currentProductId"), ("context=" + "x" * 201, "context"),
        ):  # fmt: skip
            answer = client.get("/api/recommendations?" + quote(query, safe="=&%"))
            assert (answer.status_code, answer.json()["parameter"]) == (400, parameter), query
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("user", ["007", "a b+c&d=e/f", "�", "🥖", "'\"", "9007199254740993", "é", "x" * 128])
def test_every_legal_id_is_read_as_it_is(user: str) -> None:
    assert read_query(b"userId=" + quote(user, safe="").encode(), PARAMETERS)["userId"] == user
    raw = user.replace("+", "%2B").replace("&", "%26").replace(" ", "+")
    assert read_query(b"userId=" + raw.encode(), PARAMETERS)["userId"] == user  # bytes that the client did not encode


@pytest.mark.parametrize("query", [b"userId=\xff", b"userId=%ed%a0%80", b"\xff=1"])
def test_bytes_that_are_no_utf8_are_refused(query: bytes) -> None:
    with pytest.raises(BadParameterError, match="UTF-8"):
        read_query(query, PARAMETERS)


def without_list_id(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "recommendationId"}


def test_an_emptied_redis_is_not_trusted_whatever_writes_to_it_then(stores: Stores) -> None:
    first = stores.publish(["1", "2"])
    with api(stores.settings) as client:
        from_redis = ask(client, userId="1", productId="a")
        stores.cache._client.flushall()
        assert ask(client, userId="1", productId="a") == from_redis
        stores.suppressions.optout(stores.key("2"))  # brings markers and version there, and no list
        assert ask(client, userId="1", productId="a") == from_redis
        stores.suppressions.optin(stores.key("2"))
        assert ask(client, userId="1", productId="a") == from_redis
        stores.publish(["1"], "c")
        stores.cache._client.flushall()
        assert not stores.publisher.rollback().whole
        assert wait_until(lambda: ask(client)["generation"] == first.generation, 10)
        assert ask(client, userId="1", productId="a") == from_redis
        assert (
            stores.publisher.warm() == 1 + 3 + 2 + 1 + 1
        )  # popular, products, two with neighbours, the list and the plan of 1: those of 2 were removed
        assert stores.cache.whole(first.generation)
        assert ask(client, userId="1", productId="a") == from_redis


def test_a_start_without_postgres_trusts_only_a_whole_redis(stores: Stores) -> None:
    made = stores.publish(["1"])
    nowhere = Stores(stores.home, f"postgresql://app@127.0.0.1:{free_port()}/none", stores.redis_url)
    with api(nowhere.settings) as client:
        answer = ask(client, userId="1")
        assert (answer["fallback"], ids(answer)) == (None, ["a", "b", ODD])
        health = client.get("/api/v1/health").json()
        assert (health["status"], health["stores"]) == ("degraded", {"postgres": "away", "redis": "ok"})
    stores.cache._client.delete(whole_key(made.generation))
    with api(nowhere.settings) as client:
        assert client.get("/api/recommendations", params={"userId": "1"}).status_code == 503


def test_redis_and_postgres_give_the_same_answer(stores: Stores) -> None:
    stores.publish(["1"])
    without_redis = Stores(stores.home, stores.postgres_url, f"redis://127.0.0.1:{free_port()}/0")
    with api(stores.settings) as one, api(without_redis.settings) as other:
        questions: list[dict[str, str | int]] = [
            {"userId": "1"}, {"userId": "1", "productId": "a"}, {"productId": "a"}, {"userId": "?"},
            {"anonId": "?", "userId": "1"}, {"userId": "?", "productId": "b"}, {"userId": "1", "limit": 2},
        ]  # fmt: skip
        for question in questions:
            assert ask(one, **question) == ask(other, **question), question


def test_serving_loads_no_batch_library() -> None:
    heavy = "polars", "dagster", "mlflow", "implicit", "pandas", "numpy", "sklearn", "great_expectations"
    code = f"import sys, json, recsys_assets.serving.app; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_flood_of_requests_while_redis_is_away_gets_answers(stores: Stores) -> None:
    stores.publish(["1"])
    without_redis = Stores(stores.home, stores.postgres_url, f"redis://127.0.0.1:{free_port()}/0")
    with api(without_redis.settings) as client, httpx.Client(base_url=client.base_url, timeout=30) as other:
        for _ in range(20):
            assert ids(ask(client, userId="1")) == ids(ask(other, userId="1")) == ["a", "b", ODD]
