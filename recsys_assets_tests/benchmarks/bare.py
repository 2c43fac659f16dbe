"""An ASGI application that only answers: what a Python server can do at most."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

BODY = (
    b'{"products":[' + b",".join([b'{"id":"1082185","score":0.912345,"reason":"You bought it 5 times"}'] * 10) + b"]}"
)
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Ten products, always the same."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
