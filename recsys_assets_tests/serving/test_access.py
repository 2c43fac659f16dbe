import hmac
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo

import httpx
import psycopg
import pytest
from fastapi import Depends, FastAPI, Request

from recsys_assets.local.processes import free_port, wait_until
from recsys_assets.serving import access
from recsys_assets.serving.access import may, require
from recsys_assets.serving.app import create
from recsys_assets.serving.problems import MEDIA_TYPE
from recsys_assets.settings import load_settings
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import Tokens
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import served

DAY = timedelta(1)


def application(stores: Stores, **settings: str) -> FastAPI:
    """The API, with a route that needs a scope and one that looks at it."""
    made = create(load_settings(stores.environment | {"RECSYS_API_WRITES_PER_SECOND": "0", **settings}))
    api = made.state.api

    @made.get("/needs-writes", include_in_schema=False, dependencies=[Depends(require(api, "writes"))])
    async def needs() -> str:
        return "done"

    @made.get("/looks", include_in_schema=False)
    async def looks(request: Request) -> list[str]:
        return [scope for scope in ("profiles", "listings", "writes") if may(api, request, scope)]

    return made


@pytest.fixture
def tokens(stores: Stores) -> Tokens:
    return Tokens(Postgres(stores.postgres_url))


@pytest.fixture
def client(stores: Stores, tokens: Tokens) -> Iterator[httpx.Client]:
    tokens.all()  # makes the tables
    with served(application(stores)) as found:
        yield found


def ask(client: httpx.Client, token: str, path: str = "/needs-writes", scheme: str = "Bearer") -> httpx.Response:
    return client.get(path, headers={"Authorization": f"{scheme} {token}"})


def becomes(client: httpx.Client, token: str, status: int) -> Callable[[], bool]:
    return lambda: ask(client, token).status_code == status


def test_without_a_token_and_with_an_unknown_one_nobody_gets_in(client: httpx.Client, tokens: Tokens) -> None:
    made = tokens.make("shop", ["writes"], DAY).token
    assert wait_until(becomes(client, made, 200), 10)
    for answer in (
        client.get("/needs-writes"), ask(client, "recsys_" + "x" * 43), ask(client, made[:-1]),
        ask(client, made, scheme="Basic"), client.get("/needs-writes", headers={"Authorization": "Bearer"}),
        client.get("/needs-writes", headers=[(b"Authorization", b"Bearer \xce\xff")]),
        client.get("/needs-writes", headers=[("Authorization", f"Bearer {made}")] * 2),
    ):  # fmt: skip
        assert (answer.status_code, answer.headers["content-type"]) == (401, MEDIA_TYPE)
        assert answer.headers["www-authenticate"] == 'Bearer realm="recsys"'
        assert answer.headers["cache-control"] == "no-store"
        assert made not in answer.text
    assert ask(client, made, scheme="bearer").json() == "done"


def test_a_token_has_the_scopes_it_was_made_with(client: httpx.Client, tokens: Tokens) -> None:
    made = tokens.make("shop", ["profiles", "listings"], DAY).token
    assert wait_until(becomes(client, made, 403), 10)
    refused = ask(client, made)
    assert refused.headers["www-authenticate"].endswith('error="insufficient_scope", scope="writes"')
    assert "scope writes" in refused.json()["detail"]
    assert ask(client, made, "/looks").json() == ["profiles", "listings"]
    assert client.get("/looks").json() == []


def test_a_revoked_one_is_refused_and_a_rotated_one_at_the_end_of_the_overlap(
    client: httpx.Client, tokens: Tokens, stores: Stores
) -> None:
    first = tokens.make("shop", ["writes"], DAY)
    assert wait_until(becomes(client, first.token, 200), 10)
    second = tokens.rotate("shop", DAY)
    assert wait_until(becomes(client, second.token, 200), 10)
    assert ask(client, first.token).status_code == 200
    with psycopg.connect(stores.postgres_url) as connection:  # the overlap goes by; nothing tells of that
        connection.execute("UPDATE api_tokens SET expires_at = now() WHERE token = %s", [first.number])
        connection.execute("UPDATE live SET token_version = token_version + 1")
    assert wait_until(becomes(client, first.token, 401), 10)
    assert ask(client, second.token).status_code == 200
    tokens.revoke("shop")
    assert wait_until(becomes(client, second.token, 401), 10)


def test_a_token_ends_by_the_clock_without_being_read_again(
    client: httpx.Client, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tokens.make("shop", ["writes"], DAY)
    assert wait_until(becomes(client, made.token, 200), 10)

    class Later:
        @staticmethod
        def now(_: tzinfo) -> datetime:
            return made.expires_at

    monkeypatch.setattr(access, "datetime", Later)
    assert ask(client, made.token).status_code == 401


def test_before_postgres_has_answered_nobody_can_be_told_yes_or_no(stores: Stores, tokens: Tokens) -> None:
    made = tokens.make("shop", ["writes"], DAY).token
    away = Stores(stores.home, f"postgresql://app@127.0.0.1:{free_port()}/none", stores.redis_url)
    with served(application(away)) as client:
        assert (ask(client, made).status_code, ask(client, made).json()["title"]) == (503, "Tokens not known")


def test_every_hash_is_compared_and_in_constant_time(
    client: httpx.Client, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [tokens.make(name, ["writes"], DAY).token for name in "abc"]
    assert all(wait_until(becomes(client, token, 200), 10) for token in made)
    compared: list[bytes] = []
    original = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return original(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for token in (*made, "unknown"):
        compared.clear()
        ask(client, token, "/looks")
        assert len(set(compared)) == 3
        assert len(compared) % 3 == 0


def test_the_document_says_which_routes_need_a_token(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert [set(way) for way in document["paths"]["/api/users/{user_id}"]["delete"]["security"]] == [{"token"}]
    assert "security" not in document["paths"]["/api/recommendations"]["get"]
