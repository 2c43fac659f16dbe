"""`GET /api/recommendations`: the shop's pages."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from recsys_assets.logic.reason_texts import BOUGHT_AGAIN
from recsys_assets.serving.api import Api
from recsys_assets.serving.documented import answers, asks
from recsys_assets.serving.observing import context_class, note, note_list
from recsys_assets.serving.parameters import (
    ID_SCHEMA,
    NO_NUL,
    Parameter,
    an_id,
    read_query,
    text,
    whole,
    whole_schema,
)
from recsys_assets.serving.problems import BadParameterError
from recsys_assets.serving.recommendations import Wanted
from recsys_assets.serving.schemas import ProductsAnswer

MAX_CONTEXT = 200
PARAMETERS = (
    Parameter("userId", an_id, ID_SCHEMA, "The shop's id of the person, at most 128 bytes.", "2375"),
    Parameter("anonId", an_id, ID_SCHEMA, "An anonymous id, at most 128 bytes.", "cookie-7"),
    Parameter("limit", whole(1, 50), whole_schema(1, 50), "How many products.", 10, default=10),
    Parameter(
        "context", text(MAX_CONTEXT), {"type": "string", "maxLength": MAX_CONTEXT, "pattern": NO_NUL},
        "product-page, homepage, cart, a category, or free text.", "homepage",
    ),
    Parameter("productId", an_id, ID_SCHEMA, "The product looked at.", "1082185"),
    Parameter("currentProductId", an_id, ID_SCHEMA, "Alias of productId.", "1082185"),
    Parameter(
        "recent", an_id, ID_SCHEMA, "A product looked at in this visit; once per product, the newest last.", "995242",
        many=True,
    ),
    Parameter("cart", an_id, ID_SCHEMA, "A product in the cart; once per product.", "1029743", many=True),
    Parameter("exclude", an_id, ID_SCHEMA, "A product that is not to be shown; once per product.", "819063", many=True),
)  # fmt: skip
_EXAMPLE = {
    "products": [{"id": "1082185", "score": 0.91, "reason": BOUGHT_AGAIN.format(5, "December")}],
    "modelVersion": "recsys/12",
    "generatedAt": "2017-12-31T03:00:00+00:00",
    "recommendationId": "0f8d3c5e9a7b4d6c8e1f2a3b4c5d6e7f",
    "generation": 4,
    "fallback": None,
}


def wanted(query: bytes, api: Api) -> Wanted:
    """The list meant by a query string.

    Raises:
        BadParameterError: the first parameter that is refused.
    """
    asked = read_query(query, PARAMETERS)
    product, alias = asked["productId"], asked["currentProductId"]
    if product is not None and alias is not None and product != alias:
        raise BadParameterError("currentProductId", "differs from productId, of which it is an alias")
    keys, people = api.home.keys, []
    if asked["userId"] is not None:
        people.append(keys.resolve(asked["userId"]))
    if asked["anonId"] is not None:
        people.append(keys.resolve(asked["anonId"], anonymous=True))
    return Wanted(
        tuple(people),
        asked["limit"],
        asked["context"],
        product if product is not None else alias,
        **{name: asked[name] for name in ("recent", "cart", "exclude")},
    )


def router(api: Api) -> APIRouter:
    """The route."""
    made = APIRouter(tags=["recommendations"])

    @made.get(
        "/api/recommendations",
        openapi_extra=asks(PARAMETERS),
        responses=answers(ProductsAnswer, _EXAMPLE, 400, 503),
    )
    async def recommendations(request: Request) -> Response:
        """Products for a person, best first."""
        asked, live = wanted(request.scope["query_string"], api), api.live()
        answer = await api.reader.answer(live, asked)
        hit = answer.hit if asked.people else None
        note_list(request, live, hit=hit, store=answer.store, fallback=answer.fallback)
        note(request, context=context_class(asked.context, live))
        body: dict[str, Any] = {
            "products": [{"id": p["id"], "score": p["score"], "reason": p["reason"]} for p in answer.products],
            "modelVersion": live.model_version,
            "generatedAt": live.created_at.isoformat(),
            "recommendationId": answer.recommendation_id,
            "generation": live.generation,
            "fallback": answer.fallback,
        }
        return JSONResponse(body)

    return made
