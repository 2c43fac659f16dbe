"""What operators and their programs ask."""

from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from recsys_assets.serving.api import Api
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.schemas import Health


def router(api: Api) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["operations"])
    state = api.state

    @made.get("/livez")
    async def alive() -> Response:
        """Whether the process answers at all: one that does not is to be started again."""
        return JSONResponse({"status": "ok"})

    @made.get("/readyz", responses={503: {}})
    async def ready() -> Response:
        """Whether requests should be sent here: there is a generation, it is looked after, and no end is in sight."""
        if state.live is None:
            raise ProblemError(503, "Not ready", "There is no generation yet.")
        if state.stale:
            raise ProblemError(503, "Not ready", f"The stores were last looked at {state.look_age:.0f} s ago.")
        if not state.ready:
            raise ProblemError(503, "Not ready", "This process is about to end.")
        return JSONResponse({"status": "ok", "pointer_age_seconds": round(state.pointer_age, 1)})

    said = "Nothing is published yet: the same, with what is known."

    @made.get("/api/v1/health", responses={200: {"model": Health}, 503: {"model": Health, "description": said}})
    async def health() -> Response:
        """Whether it serves, from which generation, and which stores answer."""
        live = state.live
        stores = {name: state.store(name) for name in ("postgres", "redis")}
        well = not state.stale and set(stores.values()) == {"ok"}
        body = {
            "status": "unavailable" if live is None else "ok" if well else "degraded",
            "generation": live and live.generation,
            "day": live and live.day.isoformat(),
            "age_seconds": live and int((datetime.now(UTC) - live.created_at).total_seconds()),
            "model_version": live and live.model_version,
            "pointer_age_seconds": round(state.pointer_age, 1),
            "looked_seconds_ago": round(state.look_age, 1),
            "stores": stores,
        }
        return JSONResponse(body, 503 if live is None else 200)

    @made.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts and ages for Prometheus, of this process alone."""
        return Response(api.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return made
