"""`/api/v1`: what there is to know of models, counts and settings; nothing of single people."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from recsys_assets.serving import examples
from recsys_assets.serving.access import require
from recsys_assets.serving.api import Api
from recsys_assets.serving.documented import answers
from recsys_assets.serving.parameters import read_query
from recsys_assets.serving.record import record
from recsys_assets.serving.schemas import MODELS, Config, Models, Stats

KINDS = {
    "als": "matrix factorisation of implicit feedback",
    "item_cf": "products bought by the same people",
    "popularity": "what most people buy lately",
    "personal": "what the person buys again and again",
    "linear": "each product as a weighted sum of its neighbours",
    "transitions": "products taken after one another",
    "session": "what came next in visits like this one",
    "basket": "what the person and people like them take time and again",
    "content": "products like those taken, by what the catalogue says",
}
KNOBS = {
    "window_days", "recent_days", "k_anonymity", "candidate_pool_size", "served_list_size", "served_new_at_least",
    "similar_items", "popular_items", "model_weights", "blend", "repeats", "repurchase_cycle", "upsell",
    "price_sensitivity", "segment_filter", "diversity", "variants_at_most", "stock_at_least", "pins", "bans",
    "price_tiers", "user_segments", "user_types", "keep_generations",
}  # fmt: skip
KEPT = ("staging", "ready", "live")


def router(api: Api) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["information"])
    counted: dict[int, dict[str, Any]] = {}  # of the last generation asked about; a published catalogue stays as it is

    def many(people: int) -> int | None:
        return people if people >= api.home.config.tuning.k_anonymity else None

    @made.get("/api/v1/models", responses=answers(Models, examples.MODELS, 400, 503))
    async def get_models(request: Request) -> Response:
        """The model that made the live lists, what they are blended of, and the generations that are kept."""
        read_query(request.scope["query_string"], ())
        live = api.live()
        known = await record(api, "read/generations")
        used = (await record(api, "read/members_in_use", {"generation": live.generation}))[0]
        body = {
            "model_version": live.model_version,
            "model_types": list(MODELS),
            "members": [{"name": name, "kind": kind} for name, kind in KINDS.items() if used[name]],
            "generations": [
                {
                    "generation": row["generation"],
                    "day": row["day"].isoformat(),
                    "state": row["state"],
                    "model_version": row["model_version"],
                    "people": many(row["people"]),
                    "created_at": row["created_at"].isoformat(),
                    "flipped_at": row["flipped_at"] and row["flipped_at"].isoformat(),
                }
                for row in known
                if row["state"] in KEPT
            ],
        }
        return JSONResponse(body)

    @made.get("/api/v1/stats", responses=answers(Stats, examples.STATS, 400, 503))
    async def get_stats(request: Request) -> Response:
        """Counts of the live generation."""
        read_query(request.scope["query_string"], ())
        live = api.live()
        if live.generation not in counted:
            found = await record(api, "read/live_counts", {"generation": live.generation})
            counted.clear()
            counted[live.generation] = found[0]
        counts = counted[live.generation]
        body = {
            "generation": live.generation,
            "day": live.day.isoformat(),
            "model_version": live.model_version,
            "generated_at": live.created_at.isoformat(),
            "age_seconds": int((datetime.now(UTC) - live.created_at).total_seconds()),
            "people": many(counts["people"]),
            "products": counts["products"],
            "categories": [
                {"category": name, "popular_items": len(live.popular[name])} for name in sorted(live.popular) if name
            ],
        }
        return JSONResponse(body)

    @made.get(
        "/api/v1/config",
        dependencies=[Depends(require(api, "listings"))],
        responses=answers(Config, examples.CONFIG, 400, 401, 403),
    )
    async def get_config(request: Request) -> Response:
        """The shop's settings that lists depend on."""
        read_query(request.scope["query_string"], ())
        config = api.home.config
        body = {
            "currency": config.currency,
            "time_zone": config.time_zone,
            "first_day": config.first_day.isoformat(),
            "tuning": config.tuning.model_dump(mode="json", include=KNOBS),
        }
        return JSONResponse(body)

    return made
