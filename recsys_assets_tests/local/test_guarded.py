"""What a page of another site sends to Dagster's UI, and what the UI's own page sends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from recsys_assets.local.answers import answers
from recsys_assets.local.guarded import Guard, own_origins
from recsys_assets.local.processes import free_port, wait_until
from recsys_assets.settings import CHECKOUT, Home

OWN = "http://127.0.0.1:3000"
EVIL = "https://evil.example"
MUTATION = "/graphql?query=mutation%20%7B%20reloadWorkspace%20%7B%20__typename%20%7D%20%7D"


async def obeys(scope: Scope, receive: Receive, send: Send) -> None:
    """A server that does whatever it is told."""
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.send_text("obeyed")
        await socket.close()
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"obeyed"})


@pytest.fixture
def client() -> TestClient:
    return TestClient(Guard(obeys, own_origins(3000, "https://dagster.example.com")), base_url=OWN)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/runs", {}, 200),
        ("POST", "/graphql", {}, 200),  # a program of ours
        ("POST", "/graphql", {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}, 200),
        ("POST", "/graphql", {"Origin": "https://dagster.example.com", "Host": "dagster.example.com"}, 200),
        ("GET", "/runs", {"Sec-Fetch-Site": "cross-site"}, 200),  # a link in an alert
        ("POST", "/graphql", {"Origin": EVIL}, 403),
        ("POST", "/graphql", {"Origin": "null"}, 403),
        ("POST", "/graphql", {"Origin": "http://127.0.0.1:3001"}, 403),  # another program's page
        ("POST", "/report_asset_check/x", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/graphql", {"Sec-Fetch-Site": "same-site"}, 403),
        ("GET", "/logs/x", {"Origin": EVIL}, 403),
        ("GET", MUTATION, {}, 405),
        ("GET", "/graphql/?query=", {}, 405),
        ("GET", "/graphql", {}, 200),
        ("GET", "/runs", {"Host": "127.0.0.1.evil.example:3000"}, 421),  # a name that points here
        ("GET", "/runs", {"Host": "evil.example"}, 421),
        ("POST", "/graphql", {"Host": "127.0.0.1:3001"}, 421),
    ],
)
def test_its_own_pages_and_programs_are_obeyed_alone(
    client: TestClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = client.request(method, path, headers=headers)
    assert (answer.status_code, answer.text == "obeyed") == (status, status == 200)


@pytest.mark.parametrize(("origin", "host"), [(EVIL, "127.0.0.1:3000"), (OWN, "evil.example")])
def test_a_websocket_of_another_site_is_not_opened(client: TestClient, origin: str, host: str) -> None:
    with client.websocket_connect("/graphql", headers={"Origin": OWN, "Host": "127.0.0.1:3000"}) as socket:
        assert socket.receive_text() == "obeyed"
    opened = client.websocket_connect("/graphql", headers={"Origin": origin, "Host": host})
    with pytest.raises(WebSocketDisconnect):
        opened.__enter__()


@contextmanager
def running(command: list[str], port: int, path: str, log: Path, environment: dict[str, str]) -> Iterator[None]:
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=output, env=environment) as process,
    ):
        try:
            assert wait_until(lambda: process.poll() is not None or answers(port, path), 240, every=0.2)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()


def ask(port: int, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_dagsters_own_server_stands_behind_it(home: Home, tmp_path: Path) -> None:
    (tmp_path / "nothing.py").write_text("import dagster as dg\n\ndefs = dg.Definitions()\n")
    port = free_port()
    command = [sys.executable, "-m", "recsys_assets.local.guarded", "-f", str(tmp_path / "nothing.py")]
    command += ["-h", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "RECSYS_HOME": str(home.path), "DAGSTER_HOME": str(tmp_path)}
    with running(command, port, "/server_info", tmp_path / "log", environment):
        query = json.dumps({"query": "{ version }"})
        status, said = ask(port, "POST", "/graphql", query, Content_Type="application/json")
        assert (status, "version" in said) == (200, True)
        assert ask(port, "GET", MUTATION)[0] == 405
        evil = {"Content_Type": "application/json", "Origin": EVIL}
        assert ask(port, "POST", "/graphql", query, **evil)[0] == 403
        assert ask(port, "GET", "/", Host="evil.example")[0] == 421
