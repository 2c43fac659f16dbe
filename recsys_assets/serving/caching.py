"""What others may keep of an answer: nothing without asking again, and of what is one person's nothing at all.

An ETag is made of the answer as it is now, and compared with what the client holds: an answer can therefore not outlive
an opt-out, a flip or a product that is sold out. It saves the transfer, not the reading.
"""

import re
from hashlib import blake2b

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CHECKED, _NEVER = "private, no-cache", "no-store"
# Receipts, and what is another thing at every moment.
_UNKEPT = ("/api/erasures/", "/livez", "/readyz", "/metrics", "/api/v1/health")
# Only a key of ours looks like this: inside a string of the answer its quotes are escaped.
_TIMING = re.compile(rb'"processing_time_ms": ?[0-9.e+-]+')


class Caching:
    """Middleware: Cache-Control on every answer, and an ETag on GETs that anybody may make."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        # A token may put into a list what is not for everybody.
        kept = scope["method"] in ("GET", "HEAD") and "authorization" not in request.headers
        kept = kept and not scope["path"].startswith(_UNKEPT)
        begun: Message | None = None

        async def told(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = message
                return
            if begun is not None:
                start, begun = begun, None
                headers = MutableHeaders(scope=start)
                headers.setdefault("Cache-Control", _CHECKED if kept and start["status"] == 200 else _NEVER)
                whole = not message.get("more_body", False)
                if whole and headers["Cache-Control"] == _CHECKED and scope["method"] == "GET":
                    headers["ETag"] = tag = _tag(message.get("body", b""))
                    if _holds(request.headers.get("if-none-match", ""), tag):
                        start["status"] = 304
                        for name in ("Content-Length", "Content-Type"):
                            del headers[name]
                        message = {"type": "http.response.body", "body": b""}
                await send(start)
            await send(message)

        await self._app(scope, receive, told)


def _tag(body: bytes) -> str:
    """A weak one: how long it took is left out."""
    return f'W/"{blake2b(_TIMING.sub(b"", body), digest_size=16).hexdigest()}"'


def _holds(told: str, tag: str) -> bool:
    """Whether a client that says so holds it.

    >>> _holds('"b", W/"a"', 'W/"a"'), _holds("*", 'W/"a"'), _holds("", 'W/"a"')
    (True, True, False)
    """
    tags = [part.strip().removeprefix("W/") for part in told.split(",")]
    return "*" in tags or tag.removeprefix("W/") in tags
