"""`POST /api/v1/recommendations/bulk`: many lists in one stream."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import redis

from recsys_assets.local.processes import wait_until
from recsys_assets.logic.product_changes import ProductChange
from recsys_assets.serving.routes.bulk import CHUNK
from recsys_assets.serving.schemas import PersonalList
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.product_changes import ProductChanges
from recsys_assets_tests.published import ODD, Stores, frames
from recsys_assets_tests.serving.running import api, await_health
from recsys_assets_tests.serving.shop import ODD_IDS, TOO_LONG, day, guarded, priced, publish, refused, token

BULK = "/api/v1/recommendations/bulk"
WIDE = tuple(f"{number:02}" + "w" * 120 for number in range(50))  # a list of them has 20 kB


def lines(client: httpx.Client, headers: dict[str, str], **body: Any) -> list[PersonalList]:
    answer = client.post(BULK, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.text.endswith("}\n")
    return [PersonalList.model_validate_json(line) for line in answer.text.split("\n")[:-1]]


def items(found: PersonalList) -> list[str]:
    return [one.item_id for one in found.recommendations]


@contextmanager
def slowly(client: httpx.Client, headers: dict[str, str], people: list[str]) -> Iterator[Iterator[PersonalList]]:
    """Lines of a stream whose reader takes no more than it is asked for: its side of the connection holds 200 kB."""
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 200_000)]  # much less, and loopback crawls
    transport = httpx.HTTPTransport(socket_options=options)
    with httpx.Client(base_url=client.base_url, transport=transport, timeout=30) as slow:
        body = {"user_ids": people, "num_recommendations": 50}
        with slow.stream("POST", BULK, json=body, headers=headers) as answer:
            assert answer.status_code == 200
            yield (PersonalList.model_validate_json(line) for line in answer.iter_lines())


def reads(stores: Stores) -> int:
    """Trips to Redis that have read lists so far."""
    with redis.Redis.from_url(stores.redis_url) as client:
        stats: dict[str, dict[str, int]] = client.info("commandstats")
        return int(stats["cmdstat_mget"]["calls"])


def test_each_line_is_what_one_request_gets_in_the_order_asked(stores: Stores) -> None:
    known = [*ODD_IDS, *(f"user {number}" for number in range(2 * CHUNK))]
    publish(stores, priced([stores.key(user) for user in known], ("a", "b", ODD), (1, 2, 3), bought=["a"]))
    stores.suppressions.optout(stores.key("007"))
    headers = token(stores, "listings")
    people = [*reversed(known), "nobody", "key:" + stores.key("user 1")]
    with api(stores.settings) as client:
        body = {"num_recommendations": 2, "exclude_purchased": True, "exclude": ["q"], "price_range_max": 100}
        found = lines(client, headers, user_ids=people, **body)
        assert [one.user_id for one in found] == people
        for one in [found[0], *found[-len(ODD_IDS) - 2 :]]:
            single = client.post("/api/v1/recommendations", json={"user_id": one.user_id, **body}).json()
            assert one == PersonalList.model_validate({name: single[name] for name in PersonalList.model_fields})
        by_id = {one.user_id: one for one in found}
        assert (items(by_id["user 1"]), by_id["user 1"].fallback) == (["b", ODD], None)
        for user in ("007", "nobody"):  # an opt-out looks like somebody who never was there
            assert (items(by_id[user]), by_id[user].fallback) == (["a", "b"], "popular")
        assert [one.user_id for one in lines(client, headers, user_ids=["b", "a", "b", "a"])] == ["b", "a"]
        als = lines(client, headers, user_ids=["user 1"], model_type="als")
        assert (items(als[0]), als[0].primary_model) == ([ODD, "b", "a"], "als")


def test_an_opt_out_and_a_sale_meanwhile_hold_at_once_and_the_generation_stays(stores: Stores) -> None:
    people = [f"user {number}" for number in range(1000)]
    first = publish(stores, frames([stores.key(user) for user in people], WIDE))
    headers = token(stores, "listings")
    with api(stores.settings) as client, slowly(client, headers, people) as found:
        one = next(found)
        assert (one.fallback, items(one)[:2]) == (None, list(WIDE[:2]))
        stores.suppressions.optout(stores.key(people[-1]))
        ProductChanges(Postgres(stores.postgres_url), stores.cache).tell(
            [ProductChange(WIDE[1], in_stock=False)], day(2)
        )
        second = publish(stores, frames([stores.key(user) for user in people], ("new",)), 1)
        assert wait_until(lambda: client.get("/api/v1/health").json()["generation"] == second, 10)
        rest = list(found)
        assert [one.user_id for one in rest] == people[1:]
        assert (rest[-1].fallback, rest[-2].fallback) == ("popular", None)
        assert (WIDE[0] in items(rest[-2]), WIDE[1] in items(rest[-2])) == (True, False)  # it is sold out
        assert {one.generation for one in rest} == {first}


def test_a_client_that_goes_away_ends_it(stores: Stores) -> None:
    people = [f"user {number}" for number in range(1000)]
    publish(stores, frames([stores.key(user) for user in people], WIDE))
    headers = token(stores, "listings")
    with api(stores.settings) as client:
        before = reads(stores)
        with slowly(client, headers, people) as found:
            next(found)
        ended = reads(stores)
        assert client.get("/api/recommendations?userId=1").status_code == 200
        assert before < ended < reads(stores)
        # Were it to go on, it would read all the others by now: nobody takes what it sends.
        again = reads(stores)
        assert lines(client, headers, user_ids=people, num_recommendations=1)[-1].fallback is None
        assert again - before < len(people) // CHUNK
        assert reads(stores) - again == len(people) // CHUNK


def test_without_redis_and_without_postgres_the_answers_are_the_same(stores: Stores) -> None:
    people = ["1", "2", "nobody"]
    publish(stores, frames([stores.key("1"), stores.key("2")]))
    stores.suppressions.optout(stores.key("2"))
    headers = token(stores, "listings")
    with guarded(stores) as (postgres, cache, settings), api(settings) as client:
        expected = lines(client, headers, user_ids=people)
        assert [one.fallback for one in expected] == [None, "popular", "popular"]
        cache.shut()
        await_health(client, postgres="ok", redis="away")
        assert lines(client, headers, user_ids=people) == expected
        postgres.shut()
        await_health(client, postgres="away", redis="away")
        assert {one.fallback for one in lines(client, headers, user_ids=people)} == {"popular"}


def test_a_wrong_request_is_refused_before_anything_is_sent(stores: Stores) -> None:
    headers, other = token(stores, "listings"), token(stores, "profiles", "writes")
    with api(stores.settings) as client:

        def refuse(body: Any, status: int = 422, **more: str) -> None:
            refused(client.post(BULK, json=body, headers=headers), status, **more)

        refuse({"user_ids": ["1"]}, 503, title="Nothing published")
        publish(stores, frames([stores.key("1")]))
        assert wait_until(lambda: client.get("/api/v1/health").status_code == 200, 10)
        refuse({}, field="user_ids")
        refuse({"user_ids": []}, field="user_ids")
        refuse({"user_ids": ["1"] * 1001}, field="user_ids")
        refuse({"user_ids": "1"}, field="user_ids")
        refuse({"user_ids": ["1", 2]}, field="user_ids[1]")
        for user in ("", "a\0", *TOO_LONG):
            refuse({"user_ids": ["1", user]}, field="user_ids[1]")
        refuse({"user_ids": ["1"], "num_recommendations": 51}, field="num_recommendations")
        refuse({"user_ids": ["1"], "timestamp": "2024-03-01"}, field="timestamp")
        refuse({"user_ids": ["1"], "price_range_min": 2, "price_range_max": 1}, field="price_range_max")
        refused(client.post(BULK, content=b"x" * 1_000_001, headers=headers), 413)
        refused(client.post(BULK + "?n=1", json={"user_ids": ["1"]}, headers=headers), 400, parameter="n")
        refused(client.post(BULK, json={"user_ids": ["1"]}), 401)
        refused(client.post(BULK, json={"user_ids": ["1"]}, headers=other), 403)
        widest = json.dumps({"user_ids": [f"{number:04}" + "é" * 62 for number in range(1000)]})  # escaped: the longest
        assert client.post(BULK, content=widest, headers=headers).status_code == 200


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_no_size_loses_a_line(stores: Stores, size: int) -> None:
    publish(stores, frames([stores.key("1")]), 0)
    headers = token(stores, "listings")
    people = [str(number) for number in range(size)]
    with api(stores.settings) as client:
        assert [one.user_id for one in lines(client, headers, user_ids=people)] == people
