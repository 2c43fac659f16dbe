"""What operators see of every request: its id, one log line, and the metrics.

The log line names the route's template, never the path, and the kind of a context, never its text: no id, key, query
or token can get into it. Plain ASGI: Starlette's BaseHTTPMiddleware runs every answer through a queue of its own, and
a stream that nobody reads any more goes on.
"""

import re
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys_assets.logs import where
from recsys_assets.serving.metrics import Metrics
from recsys_assets.serving.pointer import Live
from recsys_assets.serving.problems import ProblemError

_log = structlog.stdlib.get_logger(__name__)
_NOTED = "recsys"  # in the scope of a request
_ID = re.compile(r"[0-9a-fA-F]{16,64}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"))
_PAGES = frozenset(("product-page", "homepage", "cart"))
BAD, SLOW_SECONDS = 400, 0.3
GONE = 499  # a client that has gone before its answer, as nginx has it


@dataclass(frozen=True)
class _Noted:
    """What the routes have told of a request, and how many lists of each sort (list, store, fallback) were in it."""

    facts: dict[str, str | int | None] = field(default_factory=dict)
    lists: Counter[tuple[str | None, str, str | None]] = field(default_factory=Counter)


def note(request: HTTPConnection, **facts: str | int | None) -> None:
    """A route tells what the log line says of a request: no id, no key, nothing that a person has typed."""
    noted: _Noted = request.scope[_NOTED]
    noted.facts.update(facts)


def note_list(request: HTTPConnection, live: Live, *, hit: bool | None, store: str, fallback: str | None) -> None:
    """A route tells of a list: of which generation, whether it is the person's own, who answered, what stood in.

    ``hit`` None: nobody was asked for. An answer with many lists tells of each.
    """
    noted: _Noted = request.scope[_NOTED]
    found = None if hit is None else "hit" if hit else "miss"
    noted.lists[found, store, fallback] += 1
    told = {"list": found, "store": store, "fallback": fallback}
    if (lists := noted.lists.total()) > 1:
        told = dict.fromkeys(told) | {"lists": lists}
    noted.facts.update(told, model_version=live.model_version, generation=live.generation)


def context_class(context: str | None, live: Live) -> str | None:
    """The kind of a context: a page, a category of the catalogue, or other."""
    if context is None or context in _PAGES:
        return context
    return "category" if context in live.popular else "other"


class Observing:
    """Middleware around everything that answers. An error that nobody has foreseen becomes a problem with a number.

    ``log``: of which requests there is a line: ``on`` (all), ``errors`` (those that failed, and slow ones), ``off``.
    One takes some 45 µs of the processor, beside 400 of a list. The metrics count every request in any case.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, log: str) -> None:
        self._app, self._metrics, self._log = app, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = HTTPConnection(scope).headers.get("x-request-id", "")
        request_id = told if _ID.fullmatch(told) else uuid.uuid4().hex
        scope[_NOTED] = _Noted()
        status, began = 0, time.perf_counter()

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, receive, tagged)
        except ClientDisconnect:
            pass
        except Exception as error:
            _log.error("request failed", error=type(error).__name__, at=where(error.__traceback__), id=request_id)
            if status:  # half of an answer has gone out: the connection must not end as if it were whole
                raise
            problem = ProblemError(500, "Error", "This should not happen. The log says more.", request_id=request_id)
            problem.headers = {"Cache-Control": "no-store"}
            await problem.response()(scope, receive, tagged)
        finally:
            self._record(scope, status or GONE, time.perf_counter() - began, request_id)

    def _record(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path_format", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        noted: _Noted = scope[_NOTED]
        self._metrics.count(method, route, status, seconds)
        for sort, number in noted.lists.items():
            self._metrics.count_lists(*sort, number)
        wrong = status >= BAD or seconds > SLOW_SECONDS
        if self._log == "on" or (self._log == "errors" and wrong):
            told = {name: value for name, value in noted.facts.items() if value is not None}
            ms = round(1000 * seconds, 2)
            _log.info("request", method=method, route=route, status=status, ms=ms, id=request_id, **told)
