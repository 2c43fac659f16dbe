"""The HTTP API: ``uvicorn --factory recsys_assets.serving.app:create --no-access-log``.

An access log would write down who asked: ids stand in the query string. Nothing here logs one. What is logged: start
and stop, a generation that goes live, a store that goes away or comes back, and errors.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.exceptions import HTTPException

from recsys_assets import logs
from recsys_assets.errors import SettingsError
from recsys_assets.serving.api import Api
from recsys_assets.serving.pointer import make_pool
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.recommendations import Reader
from recsys_assets.serving.routes import operations, recommendations
from recsys_assets.serving.state import State
from recsys_assets.settings import Settings, load_settings, open_home
from recsys_assets.stores.cache import RETRIES
from recsys_assets.stores.suppressions import POINTER_SECONDS

_log = structlog.stdlib.get_logger(__name__)
_ROUTERS = (recommendations.router, operations.router)


def create(settings: Settings | None = None) -> FastAPI:
    """The application of one home; connections open with its lifespan.

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
    cache = Redis.from_url(
        settings.redis_url, socket_timeout=0.25, socket_connect_timeout=0.25, retry=Retry(NoBackoff(), RETRIES)
    )
    home, state = open_home(settings), State()
    api = Api(settings, home, pool, cache, Reader(pool, cache, home.keys), state)

    async def watch() -> None:
        # A client that meets a cancellation and its own timeout at once may report the timeout alone: the word to stop
        # must not hang on the cancellation.
        while not state.stopping:
            await asyncio.sleep(POINTER_SECONDS)
            await state.look(pool, cache)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await pool.open(wait=False)
        await state.look(pool, cache)
        if state.refused:
            await pool.close()
            raise state.refused
        _log.info("started", serving=state.live is not None, postgres=state.postgres, redis=state.redis)
        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            state.stopping = True
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await pool.close()
            await cache.aclose()
            _log.info("stopped")

    app = FastAPI(title="Recommendations", lifespan=lifespan, redirect_slashes=False)
    for router in _ROUTERS:
        app.include_router(router(api))

    @app.exception_handler(ProblemError)
    async def refused(_: Request, error: ProblemError) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        made = ProblemError(error.status_code, str(error.detail), "There is no such route, or not for this method.")
        made.headers = dict(error.headers or {})
        return made.response()

    return app
