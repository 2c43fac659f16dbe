"""The HTTP API; ``python -m recsys_assets.serving`` runs it.

An access log would write down who asked: ids stand in the query string. Nothing here logs one. What is logged: start
and stop, a generation that goes live, a store that goes away or comes back, errors, and of each request what
`observing` says.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from recsys_assets import logs
from recsys_assets.errors import SettingsError
from recsys_assets.serving.api import Api
from recsys_assets.serving.caching import Caching
from recsys_assets.serving.cors import Cors
from recsys_assets.serving.document import describe, operation_id
from recsys_assets.serving.limits import Limits
from recsys_assets.serving.metrics import Metrics
from recsys_assets.serving.observing import Observing
from recsys_assets.serving.pointer import Pool, make_pool
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.recommendations import Reader
from recsys_assets.serving.routes import (
    bulk,
    information,
    items,
    listings,
    mcp,
    operations,
    people,
    recommendations,
    v1,
)
from recsys_assets.serving.starts import Starts
from recsys_assets.serving.state import State
from recsys_assets.serving.stopping import draining
from recsys_assets.serving.trust import refuse_untrusted
from recsys_assets.settings import Settings, load_settings, open_home
from recsys_assets.stores.suppressions import POINTER_SECONDS

_log = structlog.stdlib.get_logger(__name__)
_ROUTERS = (  # `bulk` before anybody's id: a 405 names the methods of the first route that a path fits
    recommendations.router, bulk.router, v1.router, items.router, listings.router, people.router, mcp.router,
    information.router, operations.router,
)  # fmt: skip


def create(settings: Settings | None = None, now: Callable[[], float] = time.monotonic) -> FastAPI:
    """The application of one home; connections open with its lifespan. ``now`` is the clock of the rate limits.

    Raises:
        SettingsError: a setting is wrong, or the servers' URLs are not given.
        HomeError: the home cannot be opened.
    """
    if settings is None:  # a process of its own, not a test's
        settings = load_settings()
        logs.configure(settings)
    if not settings.postgres_url or not settings.redis_url:
        raise SettingsError("the API needs RECSYS_POSTGRES_URL and RECSYS_REDIS_URL; `recsys up` sets them")
    pool = make_pool(settings.postgres_url)
    starts = Starts(settings.redis_url)
    home, state = open_home(settings), State()
    reader = Reader(pool, starts.cache, home.keys, home.config.tuning)
    api = Api(settings, home, pool, starts.cache, reader, state, Metrics(state, reader.redis, reader.postgres))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await refuse_untrusted(settings, starts.cache)
        await pool.open(wait=False)
        await state.first_look(pool, starts)
        if state.refused:
            await pool.close()
            raise state.refused
        _log.info("started", serving=state.live is not None, postgres=state.postgres, redis=state.redis)
        watching = asyncio.create_task(_watch(state, pool, starts, reader))
        try:
            with draining(state, settings.api_drain):
                yield
        finally:
            state.stopping = True
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await pool.close()
            await starts.aclose()
            _log.info("stopped")

    app = FastAPI(
        lifespan=lifespan, redirect_slashes=False, docs_url=None, redoc_url=None,
        generate_unique_id_function=operation_id,
    )  # fmt: skip
    app.state.api = api
    routers = [router(api) for router in _ROUTERS]
    for router in routers:
        app.include_router(router)
    describe(app, routers)
    # The last one stands before the others.
    app.add_middleware(Limits, api=api, now=now)
    app.add_middleware(Caching)
    app.add_middleware(Observing, metrics=api.metrics, log=settings.request_log)
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins)

    _answer_problems(app)
    return app


async def _watch(state: State, pool: Pool, starts: Starts, reader: Reader) -> None:
    """Looks at the stores every second, whatever happens; reads try at once what has come back."""
    # A client that meets a cancellation and its own timeout at once may report the timeout alone: the word to stop
    # must not hang on the cancellation. Nor must anything else end this: who no longer looks takes revoked tokens.
    while not state.stopping:
        try:
            await asyncio.sleep(POINTER_SECONDS)
            await state.look(pool, starts)
            for breaker, answers in ((reader.redis, state.redis), (reader.postgres, state.postgres)):
                if answers:
                    breaker.seen()
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            _failed("look", error)
        except Exception as error:
            _failed("look", error)


def _failed(what: str, error: BaseException) -> None:
    """In the background, where nobody waits for it. Its text may quote anything."""
    _log.error(f"{what} failed", error=type(error).__name__, at=logs.where(error.__traceback__))


def _answer_problems(app: FastAPI) -> None:
    """What a route or the framework refuses is a problem, too."""

    @app.exception_handler(ProblemError)
    async def refused(_: Request, error: ProblemError) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        made = ProblemError(error.status_code, str(error.detail), "There is no such route, or not for this method.")
        made.headers = dict(error.headers or {})
        return made.response()
