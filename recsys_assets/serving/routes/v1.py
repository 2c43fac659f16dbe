"""`/api/v1/recommendations`: one person's list, snake_case."""

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from recsys_assets.serving import examples
from recsys_assets.serving.access import may
from recsys_assets.serving.api import Api
from recsys_assets.serving.asking import within
from recsys_assets.serving.bodies import TITLE, read_body
from recsys_assets.serving.documented import answers, asks, takes
from recsys_assets.serving.observing import note_list
from recsys_assets.serving.parameters import Parameter, one_of, read_query, whole, whole_schema
from recsys_assets.serving.past import MOMENT_SAYS, MOMENT_SCHEMA, Moment, Past, moment
from recsys_assets.serving.pointer import Live
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.record import record
from recsys_assets.serving.routes.paths import id_in_path, path_parameter
from recsys_assets.serving.schemas import MODELS, ListRequest, RecommendationsAnswer, RecommendationsRequest
from recsys_assets.serving.shaping import personal_list, user_info, wanted

ROUTE = "/api/v1/recommendations/{user_id:opaque}"
USER_ID = path_parameter(
    "user_id", "The shop's id of the person, percent-encoded, or `key:<32 hex digits>` as listings have it.",
    examples.PERSON,
)  # fmt: skip
PARAMETERS = (
    Parameter("n", whole(1, 50), whole_schema(1, 50), "How many products.", 5, default=5),
    Parameter(
        "model", one_of(*MODELS), {"type": "string", "enum": list(MODELS)}, "Which model's order.", "hybrid",
        default="hybrid",
    ),
    Parameter("timestamp", moment, MOMENT_SCHEMA, MOMENT_SAYS, "2017-12-31"),
)  # fmt: skip


def router(api: Api) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["recommendations"])
    past = Past(api)

    async def answer(request: Request, user_id: str, asked: ListRequest, at: Moment | None) -> Response:
        began = time.perf_counter()
        live, meant = await past.at(at), wanted(asked, api.home.keys.resolve(user_id))
        with within():
            found, who = await api.reader.answer(live, meant), await info(request, user_id, live)
        note_list(request, live, hit=found.hit, store=found.store, fallback=found.fallback)
        body = personal_list(user_id, live, meant, found) | {"user_info": who}
        return JSONResponse(body | {"processing_time_ms": elapsed(began)})

    async def info(request: Request, user_id: str, live: Live) -> dict[str, Any]:
        if not may(api, request, "profiles"):
            return user_info(user_id, None, known=False)
        try:
            row = await profile_row(api, live, user_id)
        except ProblemError:  # the list does not need Postgres: it is answered without what only Postgres knows
            return user_info(user_id, None, known=False)
        return user_info(user_id, row, known=True)

    @made.get(
        ROUTE,
        responses=answers(RecommendationsAnswer, examples.RECOMMENDATIONS, 400, 404, 503),
        openapi_extra=asks(PARAMETERS, USER_ID),
    )
    async def get_recommendations(request: Request) -> Response:
        """Products for a person, best first.

        `user_info` says who they are to a token of scope `profiles`, and is null without one.
        """
        user_id, asked = id_in_path(request, ROUTE), read_query(request.scope["query_string"], PARAMETERS)
        body = ListRequest(num_recommendations=asked["n"], model_type=asked["model"])
        return await answer(request, user_id, body, asked["timestamp"])

    @made.post(
        "/api/v1/recommendations",
        responses=answers(RecommendationsAnswer, examples.RECOMMENDATIONS, 400, 404, 413, 422, 503),
        openapi_extra=takes(RecommendationsRequest, examples.RECOMMENDATIONS_REQUEST),
    )
    async def post_recommendations(request: Request) -> Response:
        """Products for a person, best first, within a price range and without what is excluded.

        A list that the filters leave too short is filled with what is popular, and says so.
        """
        read_query(request.scope["query_string"], ())
        asked = await read_body(request, RecommendationsRequest)
        check_range(asked)
        return await answer(request, asked.user_id, asked, asked.asked_at)

    return made


def check_range(asked: ListRequest) -> None:
    """Raises ProblemError where no price lies between the bounds."""
    low, high = asked.price_range_min, asked.price_range_max
    if low is not None and high is not None and low > high:
        raise ProblemError(422, TITLE, "price_range_max: is below price_range_min.", field="price_range_max")


async def profile_row(api: Api, live: Live, user_id: str) -> dict[str, Any] | None:
    """A person's row of the table user_profiles; None where there is none, or they are suppressed.

    Raises:
        ProblemError: 503, Postgres does not answer.
    """
    values = {"generation": live.generation, "key": api.home.keys.resolve(user_id)}
    rows = await record(api, "read/user_info", values)
    return rows[0]["profile"] if rows else None


def elapsed(began: float) -> float:
    """Milliseconds since a reading of the clock."""
    return round((time.perf_counter() - began) * 1000, 3)
