"""Connections that send too much, too slowly or nothing, and clients that say who they are."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from recsys_assets.local.processes import wait_until
from recsys_assets.serving import wire
from recsys_assets.serving.app import create
from recsys_assets.serving.wire import MAX_HEAD_BYTES, MAX_HEADERS, Protocol
from recsys_assets.settings import load_settings
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.raw import request, send
from recsys_assets_tests.serving.running import api, ask, served

READ = "/api/recommendations?userId=1"


@pytest.fixture
def client(stores: Stores) -> Iterator[httpx.Client]:
    stores.publish(["1"])
    with api(stores.settings) as found:
        yield found


def port(client: httpx.Client) -> int:
    found = client.base_url.port
    assert found is not None
    return found


def connected(client: httpx.Client) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port(client)), timeout=30)


def said(connection: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    found = b""
    try:
        while piece := connection.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nHost: shop\r\n" + b"X-A: b\r\n" * MAX_HEADERS + b"\r\n",
        b"GET /livez HTTP/1.1\r\nHost: shop\r\nX-A: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: shop\r\nX-A: " + b"b" * 8 * MAX_HEAD_BYTES,  # without an end
        b"GET /livez?" + b"b" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: shop\r\n\r\n",
        b"POST /mcp/planner HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-A: b\r\n" * 200,
    ],
)
def test_a_head_that_is_too_large(client: httpx.Client, head: bytes) -> None:
    found = send(port(client), head)
    assert [answer.status for answer in found] == [431]
    assert str(MAX_HEADERS) in found[0].problem["detail"]
    assert client.get("/livez").status_code == 200


def test_the_largest_request_that_may_be(client: httpx.Client) -> None:
    ids = "&".join(f"{name}={'%f0%9f%a5%96' * 31}{n}" for name in ("recent", "cart", "exclude") for n in range(50))
    headers = {f"X_{n}": "a" for n in range(MAX_HEADERS - 2)}
    (answer,) = send(port(client), request("GET", f"{READ}&{ids}".encode(), None, **headers))
    assert answer.status == 200


def test_what_is_no_http(client: httpx.Client) -> None:
    (answer,) = send(port(client), b"HELO shop\r\n\r\n")
    assert (answer.status, answer.problem["title"]) == (400, "Bad request")


@pytest.mark.parametrize(
    "start",
    [b"", b"\r\n", b"GET /li", b"GET /livez HTTP/1.1\r\nHost: s", request("POST", b"/mcp/planner", b"{" * 9)[:-1]],
)
def test_a_request_that_does_not_end(client: httpx.Client, start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "REQUEST_SECONDS", 0.3)
    with connected(client) as connection:
        connection.sendall(start)
        assert said(connection).startswith(b"HTTP/1.1 408 ")
    with connected(client) as connection:  # nor the one after a whole one
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(start or b"G")
        assert b"HTTP/1.1 408 " in said(connection)


@pytest.mark.parametrize(
    ("size", "header"), [(50_000_000, "close"), (50_000, "close"), (50_000, "keep-alive")]
)  # of 64 kB and less the transport says nothing
def test_a_client_that_does_not_read(stores: Stores, monkeypatch: pytest.MonkeyPatch, size: int, header: str) -> None:
    monkeypatch.setattr(wire, "WRITE_SECONDS", 0.3)
    application = create(stores.settings)
    made: list[Protocol] = []

    @application.get("/much", include_in_schema=False)
    async def much() -> str:
        return "a" * size

    class Noted(Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            self.timeout_keep_alive = 0  # of uvicorn's own: nothing to wait for
            super().connection_made(transport)
            made.append(self)

    monkeypatch.setattr(wire, "Protocol", Noted)
    with served(application) as client, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        connection.connect(("127.0.0.1", port(client)))
        connection.sendall(f"GET /much HTTP/1.1\r\nHost: shop\r\nConnection: {header}\r\n\r\n".encode())
        assert wait_until(lambda: bool(made) and made[-1].transport.get_write_buffer_size() > 0, 20)
        assert wait_until(lambda: made[-1] not in made[-1].connections, 20)


def test_one_connection_too_many(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_CONNECTIONS", 3)
    client.get("/livez")
    with connected(client), connected(client), connected(client) as third:
        assert said(third).startswith(b"HTTP/1.1 503 ")
        assert client.get("/livez").status_code == 200
    with connected(client) as again:
        again.sendall(b"GET /livez HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        assert said(again).startswith(b"HTTP/1.1 200 ")


def test_slow_connections_leave_the_others_alone_and_the_oldest_make_room(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST_WAITING", 100)
    with ExitStack() as slow:
        made = [slow.enter_context(connected(client)) for _ in range(200)]
        for one in made:
            try:
                one.sendall(b"GET /livez HTT")
            except OSError:  # it has made room already
                continue
        assert {ask(client, userId="1")["fallback"] for _ in range(20)} == {None}
        assert wait_until(lambda: len(Protocol._waiting) <= 101, 10)
        assert said(made[0]).startswith(b"HTTP/1.1 503 ") or said(made[0]) == b""
        made[-1].sendall(b"P/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        assert said(made[-1]).startswith(b"HTTP/1.1 200 ")
    assert wait_until(lambda: len(Protocol._waiting) <= 1, 10)


def forwarded(client: httpx.Client, times: int) -> list[int]:
    return [client.get("/x", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(times)]


def test_who_is_forwarded_counts_only_from_a_proxy_that_is_named(stores: Stores) -> None:
    def application(**more: str) -> object:
        return create(load_settings(stores.environment | {"RECSYS_API_READS_PER_SECOND": "5"} | more), lambda: 0.0)

    with served(application()) as client:  # type: ignore[arg-type]  # an application
        assert forwarded(client, 7) == [404] * 5 + [429] * 2
    trusted = load_settings(stores.environment | {"RECSYS_TRUSTED_PROXIES": "10.0.0.0/8, 127.0.0.1"}).trusted_proxies
    with served(application(), trusted) as client:  # type: ignore[arg-type]  # an application
        assert forwarded(client, 7) == [404] * 7


@pytest.mark.parametrize("path", ["/mcp/generator", "/mcp/planner", "/api/v1/recommendations"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"userId": "\\ud800"}', "userId"),
        ('{"a": [1, {"b": "x\\udfffy"}]}', "a[1].b"),
        ('{"\\ud800": 1}', "body"),
        ('["\\ud800"]', "[0]"),
        ('{"\\ud800": 1, "\\ud800": 2}', "?"),
    ],
)
def test_half_of_a_surrogate_pair_is_refused_by_name(client: httpx.Client, path: str, body: str, field: str) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert json.loads(answer.content)["field"] == field
