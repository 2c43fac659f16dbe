"""What operators and their programs ask."""

from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from recsys_assets.serving.api import Api


def router(api: Api) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["operations"])
    state = api.state

    @made.get("/api/v1/health")
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

    return made
