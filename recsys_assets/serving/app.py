"""The HTTP API: ``uvicorn --factory recsys_assets.serving.app:create --no-access-log``.

An access log would write down who asked: ids stand in the query string. Nothing here logs one. What is logged: start
and stop, a generation that goes live, a store that goes away or comes back, and errors.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from recsys_assets import logs
from recsys_assets.errors import HomeError, SettingsError
from recsys_assets.serving.pointer import (
    POSTGRES_DOWN,
    REDIS_DOWN,
    Live,
    Pool,
    from_postgres,
    from_redis,
    make_pool,
    refuse_newer_schema,
)
from recsys_assets.serving.problems import BadParameterError, parse, problem
from recsys_assets.serving.recommendations import Reader
from recsys_assets.settings import Settings, load_settings, open_home
from recsys_assets.stores.cache import RETRIES
from recsys_assets.stores.suppressions import POINTER_SECONDS

_log = structlog.stdlib.get_logger(__name__)

_PARAMETERS = [
    {"name": name, "in": "query", "required": False, "schema": schema, "description": what, "example": example}
    for name, schema, what, example in (
        ("userId", {"type": "string"}, "The shop's id of the person, at most 128 bytes.", "2375"),
        ("anonId", {"type": "string"}, "An anonymous id, at most 128 bytes.", "cookie-7"),
        ("limit", {"type": "integer", "minimum": 1, "maximum": 50, "default": 10}, "How many products.", 10),
        ("context", {"type": "string"}, "product-page, homepage, cart, a category, or free text.", "homepage"),
        ("productId", {"type": "string"}, "The product looked at.", "1082185"),
        ("currentProductId", {"type": "string"}, "Alias of productId.", "1082185"),
    )
]
_EXAMPLE = {
    "products": [{"id": "1082185", "score": 0.91, "reason": "You bought it 5 times"}],
    "modelVersion": "12",
    "generatedAt": "2017-12-31T03:00:00+00:00",
    "recommendationId": "0f8d3c5e9a7b4d6c8e1f2a3b4c5d6e7f",
    "generation": 4,
    "fallback": None,
}


class _State:
    """What one process knows of the stores."""

    def __init__(self) -> None:
        self.live: Live | None = None
        self.postgres = self.redis = self.stopping = False
        self.refused: HomeError | None = None
        self._schema_known = False

    async def look(self, pool: Pool, cache: Redis) -> None:
        """Reads the pointer again; keeps the last one where no store answers."""
        before = self.live, self.postgres, self.redis
        try:
            await self._check_schema(pool)
            if self.refused:
                self.live = None  # what a newer program has put into Redis may mean something else, too
                return
            self.live = await from_postgres(pool, self.live)
            self.postgres = True
        except POSTGRES_DOWN:
            self.postgres = False
        try:
            await cache.ping()
            self.redis = True
            if self.live is None and not self.postgres:
                self.live = await from_redis(cache)
        except REDIS_DOWN:
            self.redis = False
        self._report(*before)

    async def _check_schema(self, pool: Pool) -> None:
        """Once, when Postgres answers first: one that a newer program has changed is left alone."""
        if not self._schema_known:
            try:
                await refuse_newer_schema(pool)
            except HomeError as error:
                self.refused = error
                _log.error("schema refused", reason=str(error))
            self._schema_known = True

    def _report(self, live: Live | None, postgres: bool, redis: bool) -> None:
        for name, was, now in (("postgres", postgres, self.postgres), ("redis", redis, self.redis)):
            if was != now:
                (_log.info if now else _log.warning)("store answers" if now else "store away", store=name)
        if self.live is not None and (live is None or live.generation != self.live.generation):
            _log.info(
                "generation live", generation=self.live.generation, day=self.live.day.isoformat(),
                model_version=self.live.model_version, source="postgres" if self.postgres else "redis",
            )  # fmt: skip


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
    reader = Reader(pool, cache, open_home(settings).keys)
    state = _State()

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

    app = FastAPI(title="Recommendations", lifespan=lifespan)

    @app.get(
        "/api/recommendations",
        openapi_extra={"parameters": _PARAMETERS},
        responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}, 400: {}, 503: {}},
    )
    async def recommendations(request: Request) -> Response:
        """Products for a person, best first."""
        try:
            asked = parse(request.scope["query_string"])
        except BadParameterError as error:
            detail = f"{error.parameter} {error}"
            return problem(400, "Invalid parameter", detail, parameter=error.parameter)
        live = state.live
        if live is None:
            return problem(503, "Nothing published", "There is no generation yet.")
        answer = await reader.answer(live, asked)
        return JSONResponse(
            {
                "products": [{"id": p["id"], "score": p["score"], "reason": p["reason"]} for p in answer.products],
                "modelVersion": live.model_version,
                "generatedAt": live.created_at.isoformat(),
                "recommendationId": answer.recommendation_id,
                "generation": live.generation,
                "fallback": answer.fallback,
            }
        )

    @app.get("/api/v1/health")
    async def health() -> Response:
        """Whether it serves, from which generation, and which stores answer."""
        live = state.live
        stores = {"postgres": state.postgres, "redis": state.redis}
        body = {
            "status": "unavailable" if live is None else "ok" if all(stores.values()) else "degraded",
            "generation": live and live.generation,
            "day": live and live.day.isoformat(),
            "age_seconds": live and int((datetime.now(UTC) - live.created_at).total_seconds()),
            "model_version": live and live.model_version,
            "stores": {name: "ok" if up else "away" for name, up in stores.items()},
        }
        return JSONResponse(body, 503 if live is None else 200)

    return app
