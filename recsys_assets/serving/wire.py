"""What a connection may cost: uvicorn's protocol with limits on bytes, time and number, none of which it has.

Without them 120 MB of headers raised a process from 335 to 1,277 MB, and a connection that sends a byte now and then
was never closed.
"""

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from recsys_assets.serving.problems import MEDIA_TYPE, ProblemError

MAX_HEAD_BYTES = 65_000  # the parser itself takes 65,535 of a URL
MAX_HEADERS = 100
REQUEST_SECONDS = 15.0  # until a request is whole
WRITE_SECONDS = 30.0  # that a client may leave an answer unread
MOST_WAITING = 1_000  # connections whose request is not whole yet; beyond it the oldest one ends
MOST_CONNECTIONS = 4_000  # of all; beyond it a new one is refused
_BAD = ProblemError(400, "Bad request", "This is no HTTP request.")
_HEAD = ProblemError(
    431,
    "Header too large",
    f"A request has up to {MAX_HEADERS} headers and {MAX_HEAD_BYTES:,} bytes before its body.",
)
_SLOW = ProblemError(408, "Request timeout", f"A request has to be whole within {REQUEST_SECONDS:.0f} s.")
_MANY = ProblemError(503, "Too many connections", "Too many clients have not sent a whole request.")
_FULL = ProblemError(503, "Too many connections", f"There are {MOST_CONNECTIONS:,} connections already.")


class Protocol(HttpToolsProtocol):
    """One connection."""

    _waiting: dict["Protocol", None] = {}  # noqa: RUF012 - of all connections of a process, the oldest first

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._refusal = _BAD
        self._in_head = False
        self._bytes = self._pieces = self._headers = 0
        self._request: asyncio.TimerHandle | None = None
        self._write: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client has come."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._have_request()
        self._have_written()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pieces of requests."""
        if self._request is None and (self.cycle is None or self.cycle.response_complete):
            self._await_request()
        within_head = self._in_head
        super().data_received(data)
        if within_head and self._in_head:  # of a header whose end has not come the parser tells nothing
            self._pieces += len(data)
            if self._pieces > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(_HEAD)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._in_head = True
        self._bytes = self._pieces = self._headers = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of its first line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer of a body in chunks."""
        self._headers += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The body comes next."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._have_request()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        """The parser, or `_count`, has refused."""
        self._refuse(self._refusal)

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """It does again."""
        if not self.transport.is_closing():
            self._have_written()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """An answer is written; uvicorn has closed the connection where it was the last one."""
        super().on_response_complete()
        self._await_end()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more was asked."""
        super().timeout_keep_alive_handler()
        self._await_end()

    def shutdown(self) -> None:
        """The process ends."""
        super().shutdown()
        self._await_end()

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > MAX_HEAD_BYTES or self._headers > MAX_HEADERS:
            self._refusal = _HEAD
            raise ValueError("the head of a request is too large")

    def _await_request(self) -> None:
        self._request = self.loop.call_later(REQUEST_SECONDS, self._refuse, _SLOW)
        self._waiting[self] = None
        if len(self._waiting) > MOST_WAITING:
            next(iter(self._waiting))._refuse(_MANY)

    def _have_request(self) -> None:
        if self._request is not None:
            self._request.cancel()
            self._request = None
            self._waiting.pop(self, None)

    def _await_reading(self) -> None:
        if self._write is None:
            self._write = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def _await_end(self) -> None:
        """A transport that closes waits without end for a client that does not read what is left."""
        if self.transport.is_closing():
            self._await_reading()

    def _have_written(self) -> None:
        if self._write is not None:
            self._write.cancel()
            self._write = None

    def _refuse(self, problem: ProblemError) -> None:
        """Answers, where no answer has begun, and hangs up."""
        self._have_request()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = problem.response().body
            lines = [b"content-type: " + MEDIA_TYPE.encode(), b"content-length: %d" % len(body), b"connection: close"]
            self.transport.write(STATUS_LINE[problem.status] + b"\r\n".join([*lines, b"", bytes(body)]))
        self.transport.close()
        self._await_end()


def config(application: ASGIApp | str, trusted_proxies: str = "", **more: Any) -> uvicorn.Config:
    """How the API is served. ``X-Forwarded-For`` counts where it comes from ``trusted_proxies`` alone."""
    return uvicorn.Config(
        application, http=Protocol, ws="none", access_log=False, proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies, **more,
    )  # fmt: skip
