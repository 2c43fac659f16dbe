"""`/mcp/planner` and `/mcp/generator`: what a person is after, and the products and words to offer for it.

For chat bots and pages that talk with a person. Both write nothing, and no language model is asked here: what one wrote
was written, and refused or accepted, by the night.
"""

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from recsys_assets.serving.access import may
from recsys_assets.serving.api import Api
from recsys_assets.serving.bodies import TITLE, read_body
from recsys_assets.serving.documented import answers, takes
from recsys_assets.serving.generating import Generator
from recsys_assets.serving.observing import note_list
from recsys_assets.serving.offer_schemas import (
    GENERATOR_ANSWER,
    GENERATOR_REQUEST,
    PLANNER_ANSWER,
    PLANNER_REQUEST,
    GeneratorAnswer,
    GeneratorRequest,
    PlannerAnswer,
    PlannerRequest,
)
from recsys_assets.serving.parameters import read_query
from recsys_assets.serving.planning import Planning, planned, told
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.routes.v1 import elapsed

MAX_SLICE_BYTES = 4_000_000  # five thousand products with their facts


def router(api: Api) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["offers"])
    currency, offering = api.home.config.currency, Generator(api)

    @made.post(
        "/mcp/planner",
        responses=answers(PlannerAnswer, PLANNER_ANSWER, 400, 413, 422, 503),
        openapi_extra=takes(PlannerRequest, PLANNER_REQUEST),
    )
    async def planner(request: Request) -> Response:
        """What a person is after next, as the night planned it and the visit so far moves it.

        Somebody unknown, or who has opted out, gets the plan of a new person. `purchaseProbability` is told to a token
        of scope `profiles`, and is null without one.
        """
        began = time.perf_counter()
        read_query(request.scope["query_string"], ())
        asked = await read_body(request, PlannerRequest)
        live = api.live()
        planning = Planning.of(live)
        key = None
        if asked.user_id is not None:
            key = api.home.keys.resolve(asked.user_id)
        elif asked.anon_id is not None:
            key = api.home.keys.resolve(asked.anon_id, anonymous=True)
        found = await planned(live, planning, api.reader.sources, key, asked.session_data)
        hit = found.source != "default" if key is not None else None
        note_list(request, live, hit=hit, store=found.store, fallback=None)
        language = asked.language or found.language or api.home.config.tuning.copywriting.languages[0]
        knows = may(api, request, "profiles")
        body: dict[str, Any] = {
            "userId": asked.user_id,
            "anonId": asked.anon_id,
            "plan": told(found.plan, planning.terms, language, currency, all_of_it=knows),
            "source": found.source,
            "generation": live.generation,
            "generatedAt": live.created_at.isoformat(),
        }
        return JSONResponse(body | {"processingTimeMs": elapsed(began)})

    @made.post(
        "/mcp/generator",
        responses=answers(GeneratorAnswer, GENERATOR_ANSWER, 400, 413, 422, 503),
        openapi_extra=takes(GeneratorRequest, GENERATOR_REQUEST),
    )
    async def generator(request: Request) -> Response:
        """Three to five products of a catalogue slice that fit a plan, each with its words.

        Facts of products that are named by id are those of the catalogue, as it is sold now; a product that comes with
        facts of its own is offered with these. What was said in turns ("cheaper", "another brand", "for a child", "not
        this one") moves the plan, and is told back.
        """
        began = time.perf_counter()
        read_query(request.scope["query_string"], ())
        asked = await read_body(request, GeneratorRequest, MAX_SLICE_BYTES)
        if asked.plan.budget and asked.plan.budget.currency not in (None, currency):
            why = f"plan.budget.currency: the shop counts in {currency}."
            raise ProblemError(422, TITLE, why, field="plan.budget.currency")
        live = api.live()
        body = await offering.offer(live, asked)
        note_list(request, live, hit=None, store="postgres", fallback=None)
        return JSONResponse(body | {"processingTimeMs": elapsed(began)})

    return made
