"""Opt-out, opt-in and erasure over HTTP: what is asked, what is answered, and when it holds."""

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import pytest

from recsys_assets.local import up
from recsys_assets.local.answers import answers
from recsys_assets.local.processes import Child, wait_until
from recsys_assets.local.supervisor import platform_environment, servers
from recsys_assets.logic.wishes import Wishes
from recsys_assets.serving.routes.people import Accepted, State
from recsys_assets.stores import receipts, suppressions
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import Tokens
from recsys_assets_tests.door import door
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import api, ask, await_health
from recsys_assets_tests.stores.test_suppressions import full, traces, version


def token(stores: Stores, *scopes: str) -> str:
    """A token that holds for an API that starts after this."""
    made = Tokens(Postgres(stores.postgres_url)).make(f"test {uuid4()}", scopes, timedelta(days=1))
    return made.token


@contextmanager
def writing(stores: Stores) -> Iterator[httpx.Client]:
    """The API, and a client that may write, as often as it likes."""
    bearer = f"Bearer {token(stores, 'writes')}"
    with api(replace(stores.settings, api_writes=0)) as client:
        client.headers["Authorization"] = bearer
        yield client


def path(user: str) -> str:
    """A client would take dots for folders."""
    return f"/api/users/{quote(user, safe='').replace('.', '%2E')}"


def says(client: httpx.Client, user: str, wanted: bool, **parameters: str) -> dict[str, Any]:
    answer = client.put(path(user) + "/preferences", json={"recommendations": wanted}, params=parameters)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/erasures/{answer.json()['receipt']}"
    assert answer.headers["cache-control"] == "no-store"
    return Accepted.model_validate(answer.json()).model_dump()


def forgets(client: httpx.Client, user: str, **parameters: str) -> dict[str, Any]:
    answer = client.delete(path(user), params=parameters)
    assert answer.status_code == 202, answer.text
    return Accepted.model_validate(answer.json()).model_dump()


def state(client: httpx.Client, receipt: str) -> State:
    answer = client.get(f"/api/erasures/{receipt}", headers={"Authorization": ""})
    assert answer.status_code == 200, answer.text
    return State.model_validate_json(answer.content)


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    return found


def test_a_wish_holds_in_every_process_at_once_and_is_answered_with_one_receipt(stores: Stores) -> None:
    stores.publish(["1", "2"])
    with writing(stores) as client, api(stores.settings) as other:
        assert ask(other, userId="1")["fallback"] is None
        out = says(client, "1", False)
        assert (out["kind"], out["recommendations"], out["follows"]) == ("optout", False, [])
        assert [ask(one, userId="1")["fallback"] for one in (client, other)] == ["popular", "popular"]
        assert says(client, "key:" + stores.key("1"), False) == out
        told = state(client, out["receipt"])
        assert (told.kind, told.status, told.follows) == ("optout", "done", [])
        assert [(line.store, line.count) for line in told.stores] == [
            ("Postgres lists", 1),
            ("Postgres profiles", 1),
            ("Postgres plans", 1),
            ("Redis lists", 1),
            ("Redis plans", 1),
        ]
        back = says(client, "1", True)
        assert (back["kind"], back["recommendations"]) == ("optin", True)
        assert "next publish" in back["follows"][0]
        assert says(client, "1", True) == back | {"follows": []}
        assert state(client, back["receipt"]).status == "done"
        stores.publish(["1", "2"])
        assert wait_until(lambda: ask(other, userId="1")["fallback"] is None, 10)
        assert says(client, "1", False)["receipt"] not in (out["receipt"], back["receipt"])


def test_nothing_undoes_an_erasure(stores: Stores) -> None:
    stores.publish(["1", "2"])
    with writing(stores) as client:
        out = says(client, "1", False)
        gone = forgets(client, "1")
        assert (gone["kind"], gone["recommendations"]) == ("erasure", False)
        assert gone["receipt"] != out["receipt"]
        assert forgets(client, "1") == gone
        assert says(client, "1", False) == gone
        found = problem(client.put(path("1") + "/preferences", json={"recommendations": True}), 409)
        assert "erased" in found["detail"]
        stores.publish(["1", "2"])
        assert ask(client, userId="1")["fallback"] == "popular"
        told = state(client, gone["receipt"])
        assert (told.status, told.done_at, told.weight_gone_with) == ("pending", None, None)
        assert any("swept" in each for each in told.follows)
        assert receipts.record(Postgres(stores.postgres_url), gone["receipt"], [("lake landing", 3)], done=True)
        told = state(client, gone["receipt"].replace("-", "").upper())
        assert told.status == "done"
        assert [(line.store, line.count) for line in told.stores][-1] == ("lake landing", 3)


def test_an_anonymous_id_is_another_person(stores: Stores) -> None:
    stores.publish(["7"])
    with writing(stores) as client:
        forgets(client, "7", kind="anon")
        assert ask(client, userId="7")["fallback"] is None
        marks = stores.suppressions.erased()
        assert marks == {stores.home.keys.mark(stores.home.keys.anon_key("7"))}
        forgets(client, "7", kind="user")
        assert ask(client, userId="7")["fallback"] == "popular"


def test_an_optin_says_that_the_users_file_still_says_no(stores: Stores) -> None:
    stores.publish(["1"])
    stores.suppressions.follow(Wishes(refused=[stores.key("1")]))
    with writing(stores) as client:
        said = says(client, "1", True)
        assert said["recommendations"] is False
        assert "users file" in said["follows"][0]


ODD = ["🥖", "a/b", "a/preferences", "/", "..", "'; DROP TABLE live; --", "a\nb", "007", "%2F", "?x=1#y", "é" * 64, " "]


def test_odd_ids_are_people_too(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.publish(ODD)
    with writing(stores) as client:
        for user in ODD:
            assert says(client, user, False)["kind"] == "optout"
            assert forgets(client, user)["kind"] == "erasure"
    assert stores.suppressions.erased() == {stores.home.keys.mark(stores.key(user)) for user in ODD}
    assert traces(stores, *(str(UUID(stores.key(user))) for user in ODD)) == []


@pytest.mark.parametrize(
    ("raw", "why"),
    [("", "is empty"), ("x" * 129, "128 bytes"), ("%00", "NUL"), ("%ff", "UTF-8"), ("%ed%a0%80", "UTF-8")],
)
def test_what_cannot_be_an_id_is_refused_by_name(stores: Stores, raw: str, why: str) -> None:
    with writing(stores) as client:
        for method, route in (("DELETE", f"/api/users/{raw}"), ("PUT", f"/api/users/{raw}/preferences")):
            found = problem(client.request(method, route, json={"recommendations": False}), 400)
            assert found["parameter"] == "user_id"
            assert why in found["detail"]


DEEP, DEEPER = "[" * 100 + "]" * 100, "[" * 4_000 + "]" * 4_000
BODIES: list[tuple[str | bytes, int, str | None]] = [
    (b"", 400, None),
    (b"x" * 10_000_000, 413, None),
    ("no json", 400, None),
    (b"\xff\xfe", 400, None),
    (DEEP, 422, None),
    (DEEPER, 400, None),
    ('{"recommendations": ' + DEEP + "}", 422, "recommendations"),
    ('{"recommendations": ' + DEEPER + "}", 400, None),
    ("[]", 422, None),
    ("null", 422, None),
    ("{}", 422, "recommendations"),
    ('{"recommendations": null}', 422, "recommendations"),
    ('{"recommendations": "false"}', 422, "recommendations"),
    ('{"recommendations": 0}', 422, "recommendations"),
    ('{"recommendations": NaN}', 400, None),
    ('{"recommendations": false, "email": "me@example.org"}', 422, "email"),
    ('{"recommendations": false, "recommendations": true}', 400, "recommendations"),
]


def test_bodies_that_say_nothing_are_refused_naming_the_field(stores: Stores) -> None:
    stores.publish(["1"])
    with writing(stores) as client:
        for body, status, field in BODIES:
            found = problem(client.put(path("1") + "/preferences", content=body), status)
            assert found.get("field") == field, (body[:60], found)
            assert "example.org" not in json.dumps(found)
        for query, parameter in (("kind=cat", "kind"), ("kind=user&kind=anon", "kind"), ("who=1", "who")):
            found = problem(client.put(f"{path('1')}/preferences?{query}", json={"recommendations": False}), 400)
            assert found["parameter"] == parameter
            assert problem(client.delete(f"{path('1')}?{query}"), 400)["parameter"] == parameter
        assert ask(client, userId="1")["fallback"] is None
    assert stores.suppressions.marks() == set()


def test_a_write_needs_a_token_of_its_scope(stores: Stores) -> None:
    stores.publish(["1"])
    readers = token(stores, "profiles", "listings")
    with api(stores.settings) as client:
        for bearer, status in (("", 401), ("Bearer nonsense", 401), (f"Bearer {readers}", 403)):
            client.headers["Authorization"] = bearer
            problem(client.delete(path("1")), status)
            problem(client.put(path("1") + "/preferences", content="{"), status)
    assert stores.suppressions.marks() == set()


def test_a_receipt_that_nobody_was_given_is_unknown(stores: Stores) -> None:
    stores.publish(["1"])
    with api(stores.settings) as client:
        for number in (str(uuid4()), "42", "🥖", "0" * 32, "%ff", "0f8d3c5e-9a7b"):
            assert problem(client.get(f"/api/erasures/{number}"), 404)["title"]


def test_without_postgres_nothing_is_promised_and_lists_go_on(stores: Stores) -> None:
    stores.publish(["1"])
    with door(stores.postgres_url) as (postgres, url):
        ours = Stores(stores.home, url, stores.redis_url)
        with writing(ours) as client:
            receipt = forgets(client, "somebody else")["receipt"]
            before = stores.rows(), stores.redis()
            postgres.shut()
            for answer in (
                client.put(path("1") + "/preferences", json={"recommendations": False}),
                client.put(path("1") + "/preferences", json={"recommendations": True}),
                client.delete(path("1")),
                client.get(f"/api/erasures/{receipt}"),
            ):
                problem(answer, 503)
                assert int(answer.headers["retry-after"]) > 0
            assert (stores.rows(), stores.redis()) == before
            assert ask(client, userId="1")["fallback"] is None
            postgres.open()
            await_health(client, postgres="ok", redis="ok")
            assert forgets(client, "1")["kind"] == "erasure"
            assert ask(client, userId="1")["fallback"] == "popular"


def test_without_redis_it_holds_when_the_answer_comes_and_the_receipt_says_what_lags(stores: Stores) -> None:
    stores.publish(["1", "2"])
    with door(stores.redis_url) as (redis, url):
        ours = Stores(stores.home, stores.postgres_url, url)
        with writing(ours) as client, api(stores.settings) as other:  # the other one reaches Redis
            redis.shut()
            assert ask(other, userId="1")["fallback"] is None
            gone = forgets(client, "1")
            assert [ask(one, userId="1")["fallback"] for one in (client, other)] == ["popular", "popular"]
            assert ask(other, userId="2")["fallback"] is None
            assert "Redis could not be told" in gone["follows"][0]
            told = state(client, gone["receipt"])
            assert "Redis lists" not in [line.store for line in told.stores]
            assert "Redis" in told.follows[0]
            # The lake may be quicker: the receipt is not done before Redis is.
            assert not receipts.record(Postgres(stores.postgres_url), gone["receipt"], [("lake", 1)], done=True)
            redis.open()
            stores.publisher.warm()
            assert ("Redis lists", 1) in [(line.store, line.count) for line in state(client, gone["receipt"]).stores]
            assert receipts.record(Postgres(stores.postgres_url), gone["receipt"], [], done=True)


def test_an_erasure_while_redis_is_full(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppressions, "SETTLE_SECONDS", 0.1)  # the list has left Redis: nobody can be served it
    stores.publish(["1", "2"])
    with writing(stores) as client:
        with full(stores):
            gone = forgets(client, "1")
            assert "Redis could not be told" in gone["follows"][0]
            assert ask(client, userId="1")["fallback"] == "popular"
            words = [f":{kind}:{_mark(stores, '1')}" for kind in ("list", "plan")]
            assert traces(stores, stores.key("1"), str(UUID(stores.key("1"))), *words) == []
        stores.publisher.warm()
        counts = {line.store: line.count for line in state(client, gone["receipt"]).stores}
        assert (counts[receipts.CACHED_TOO], counts["Redis lists"]) == (1, 0)
        assert (counts[receipts.CACHED_PLANS_TOO], counts["Redis plans"]) == (1, 0)


def _mark(stores: Stores, user: str) -> str:
    return stores.home.keys.mark(stores.key(user))


def test_wishes_at_once(stores: Stores) -> None:
    users = [str(n) for n in range(6)]
    stores.publish(users)
    with writing(stores) as client, ThreadPoolExecutor(12) as pool:
        twice = list(pool.map(lambda _: forgets(client, "0")["receipt"], range(4)))
        assert len(set(twice)) == 1
        same = list(pool.map(lambda _: says(client, "1", False)["receipt"], range(4)))
        assert len(set(same)) == 1
        for user in users[2:]:  # in and gone at once: gone, whichever came first
            wished = pool.submit(client.put, path(user) + "/preferences", json={"recommendations": True})
            forgets(client, user)
            assert wished.result().status_code in (202, 409)
    assert stores.suppressions.erased() == {_mark(stores, user) for user in users if user != "1"}
    assert stores.cache.version() == version(stores)
    assert not any(":list:" in key for key in stores.redis())


@contextmanager
def process(stores: Stores) -> Iterator[tuple[Child, httpx.Client]]:
    """The API as `recsys up` starts it, and a client that may write."""
    bearer = f"Bearer {token(stores, 'writes')}"
    settings = stores.settings
    with servers(settings, stores.home) as found:
        environment = platform_environment(settings, stores.home, found)
    wanted = next(s for s in up._services(settings, stores.home, environment) if s.program.name == "api")
    child = Child(wanted.program)
    try:
        assert wait_until(lambda: answers(wanted.port, wanted.path), 90), child.tail()
        headers = {"Authorization": bearer}
        with httpx.Client(base_url=f"http://127.0.0.1:{wanted.port}", timeout=30, headers=headers) as client:
            yield child, client
    finally:
        child.stop()


def test_a_202_outlives_a_kill_and_no_id_is_logged(stores: Stores) -> None:
    stores.publish(["somebody", "2"])
    with process(stores) as (child, client):
        refused = client.put(path("somebody") + "/preferences?kind=somebody", content='{"recommendations": "somebody"}')
        problem(refused, 400)
        problem(client.put(path("somebody") + "/preferences", content='{"somebody": "somebody"}'), 422)
        gone = forgets(client, "somebody")
        child._popen.send_signal(signal.SIGKILL)
        assert wait_until(lambda: child.exit_code() is not None, 20)
    log = child.program.log.read_text()
    for secret in ("somebody", stores.key("somebody"), gone["receipt"], client.headers["Authorization"]):
        assert secret not in log
    with api(stores.settings) as client:
        assert ask(client, userId="somebody")["fallback"] == "popular"
        assert ask(client, userId="2")["fallback"] is None
        assert state(client, gone["receipt"]).kind == "erasure"


def test_a_kill_at_any_moment_leaves_a_wish_whole_or_unmade(stores: Stores) -> None:
    """The answer may be lost, and then asking again gives the same receipt."""
    stores.publish(["1", "2"])
    with process(stores) as (child, client):
        killed = threading.Timer(0.01, child._popen.send_signal, (signal.SIGKILL,))
        killed.start()
        try:
            answer = client.delete(path("1"))
        except httpx.TransportError:
            answer = None
        killed.join()
    held = stores.suppressions.erased() == {_mark(stores, "1")}
    assert held or answer is None
    with writing(stores) as client:
        assert (ask(client, userId="1")["fallback"] == "popular") == held
        again = forgets(client, "1")
        assert answer is None or answer.json()["receipt"] == again["receipt"]
        assert ask(client, userId="1")["fallback"] == "popular"
