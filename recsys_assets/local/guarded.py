"""``python -m recsys_assets.local.guarded -w … -h HOST -p PORT``: Dagster's UI, which obeys its own pages alone.

By itself it takes a mutation from any site that a person of this machine looks at, also in a link or an image
(``GET /graphql?query=mutation…``), and from a name that somebody has let point at 127.0.0.1. It has no login either:
whoever puts one before it names the address by RECSYS_DAGSTER_URL.
"""

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from recsys_assets.settings import load_settings

_DEFAULT_PORTS = {"http": 80, "https": 443}
_READING = ("GET", "HEAD")


def own_origins(port: int, url: str = "") -> tuple[str, ...]:
    """Origins of the pages of a UI on this machine, and of the address that people open it by.

    >>> own_origins(3000, "https://Dagster.example.com/ui/")
    ('http://127.0.0.1:3000', 'http://localhost:3000', 'https://dagster.example.com')
    >>> own_origins(80)  # a browser leaves the usual port out
    ('http://127.0.0.1', 'http://localhost')
    """
    here = (_origin(f"http://127.0.0.1:{port}"), _origin(f"http://localhost:{port}"))
    return (*here, _origin(url)) if url else here


def _origin(url: str) -> str:
    parts = urlsplit(url)
    default = parts.port in (None, _DEFAULT_PORTS.get(parts.scheme))
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if default else f":{parts.port}")


class Guard:
    """Passes on what was asked under one of a UI's own names, and by its own pages or by a program, not by a site.

    A program sends no ``Origin``; a browser does with everything that changes something and with every websocket.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._hosts = frozenset(origin.partition("://")[2] for origin in self._origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, websocket or lifespan."""
        refused = self._refused(scope) if scope["type"] in ("http", "websocket") else None
        if refused is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refused[1]})  # before it is accepted: a 403
        else:
            await PlainTextResponse(refused[1] + "\n", refused[0])(scope, receive, send)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, "This name is not one of this server's. Its address behind a login is RECSYS_DAGSTER_URL."
        if any(origin.lower() not in self._origins for origin in origins):
            return 403, "Pages of other sites are not obeyed."
        if scope["type"] == "websocket":
            return None
        if scope["method"] in _READING:
            asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            if scope["path"].rstrip("/").endswith("/graphql") and "query" in asked:
                return 405, "GraphQL is asked by POST: a link must not be able to change anything."
        elif headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return 403, "Pages of other sites are not obeyed."
        return None


def main() -> None:
    """Dagster's own command line, with the guard before its application."""
    webserver: Any = import_module("dagster_webserver.cli")
    make = webserver.create_app_from_workspace_process_context
    port = int(sys.argv[sys.argv.index("-p") + 1])
    settings = load_settings()
    # In a container it listens on another port than the one that people open.
    origins = (*own_origins(port, settings.dagster_url), *own_origins(settings.dagster_port or port))

    def guarded(*words: object, **named: object) -> Guard:
        return Guard(make(*words, **named), origins)

    webserver.create_app_from_workspace_process_context = guarded
    webserver.main()


if __name__ == "__main__":
    main()
