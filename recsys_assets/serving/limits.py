"""How many requests a client may send: a token bucket for each, in each process, in memory that is bounded.

A client is the token it came with, else its address. Several processes allow several times as much, and a restart
forgets: this keeps one client from taking the others' share, and slows down who guesses tokens; it bills nobody.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys_assets.serving.access import token_of
from recsys_assets.serving.api import Api
from recsys_assets.serving.problems import ProblemError

MOST_CLIENTS = 50_000  # some 10 MB; beyond it the one that was silent longest is forgotten, and starts afresh
_WRITES = ("PUT", "PATCH", "DELETE")  # a list that is asked for by POST is read
# Asked by whoever watches over us, and pages for people.
EXEMPT = frozenset(("/livez", "/readyz", "/metrics", "/api/v1/health", "/docs", "/openapi.json"))


class Buckets:
    """What each client has left of ``rate`` a second: up to one second's worth at once. A rate of 0 is no limit."""

    def __init__(self, rate: int, now: Callable[[], float] = time.monotonic, most: int = MOST_CLIENTS) -> None:
        self._rate, self._now, self._most = rate, now, most
        self._clients: OrderedDict[str | bytes, tuple[float, float]] = OrderedDict()  # left, as of when

    def __len__(self) -> int:
        return len(self._clients)

    def take(self, client: str | bytes) -> float:
        """Takes one; 0.0, or the seconds after which there is one, where there is none.

        >>> clock = iter([0.0, 0.0, 0.0, 0.75])
        >>> buckets = Buckets(2, lambda: next(clock))
        >>> [buckets.take("somebody") for _ in range(4)]
        [0.0, 0.0, 0.5, 0.0]
        """
        if not self._rate:
            return 0.0
        now = self._now()
        left, then = self._clients.get(client, (float(self._rate), now))
        left = min(float(self._rate), left + (now - then) * self._rate)
        short = left < 1.0
        self._clients[client] = (left if short else left - 1.0, now)
        self._clients.move_to_end(client)
        self._forget(now)
        return (1.0 - left) / self._rate if short else 0.0

    def _forget(self, now: float) -> None:
        """Drops two who have been silent for a second: their buckets are full again, as if they had none."""
        for _ in range(2):
            oldest = next(iter(self._clients))
            if now - self._clients[oldest][1] < 1.0 and len(self._clients) <= self._most:
                return
            del self._clients[oldest]


class Limits:
    """Middleware: 429 for a client that asks too often. A token that nobody knows counts as a write, as does a 401."""

    def __init__(self, app: ASGIApp, api: Api, now: Callable[[], float] = time.monotonic) -> None:
        self._app, self._api = app, api
        self.reads, self.writes = Buckets(api.settings.api_reads, now), Buckets(api.settings.api_writes, now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in EXEMPT:
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        token, address = token_of(self._api, request), _address(request)
        guessed = token is None and "authorization" in request.headers
        buckets = self.writes if guessed or scope["method"] in _WRITES else self.reads
        seconds = buckets.take(address if token is None else token.hash)
        if seconds:
            problem = ProblemError(429, "Too many requests", "This client has asked more often than it may.")
            problem.headers = {"Retry-After": str(math.ceil(seconds))}
            await problem.response()(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401 and buckets is self.reads:
                self.writes.take(address)
            await send(message)

        await self._app(scope, receive, counted)


def _address(request: HTTPConnection) -> str:
    return _network(request.client.host) if request.client else ""


@lru_cache(10_000)
def _network(host: str) -> str:
    """An address of version 6 as its /64: whoever has one, has 2^64 of them.

    >>> _network("192.0.2.7"), _network("2001:db8:1:2::7") == _network("2001:db8:1:2:ffff::1")
    ('192.0.2.7', True)
    """
    try:
        return IPv6Address(host).packed[:8].hex()
    except ValueError:
        return host
