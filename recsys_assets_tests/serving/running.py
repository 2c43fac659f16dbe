"""The API, served for a test."""

import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette

from recsys_assets.local.processes import wait_until
from recsys_assets.serving.app import create
from recsys_assets.serving.wire import config
from recsys_assets.settings import Settings


def api(settings: Settings) -> AbstractContextManager[httpx.Client]:
    """A client of the real API."""
    return served(create(settings))


@contextmanager
def served(application: Starlette, trusted_proxies: str = "") -> Iterator[httpx.Client]:
    """A client of a real server on a free port, which has started, or has refused to, when the block begins."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config(application, trusted_proxies, log_level="error"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive(), 60)
            with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def ask(client: httpx.Client, **parameters: str | int) -> dict[str, Any]:
    """The answer of the recommendations route; it must be one."""
    answer = client.get("/api/recommendations", params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [product["id"] for product in answer["products"]]


def await_health(client: httpx.Client, **stores: str) -> None:
    """Waits until the process has noticed which stores answer."""

    def seen() -> bool:
        return bool(client.get("/api/v1/health").json()["stores"] == stores)

    assert wait_until(seen, 10), client.get("/api/v1/health").json()
