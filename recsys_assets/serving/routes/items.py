"""`/api/v1/items`: what is like a product, and what is popular."""

import time
from itertools import islice

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from recsys_assets.logic.blending import Filters
from recsys_assets.serving import examples
from recsys_assets.serving.api import Api
from recsys_assets.serving.documented import answers, asks
from recsys_assets.serving.parameters import NO_NUL, Parameter, read_query, text, whole, whole_schema
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.routes.paths import id_in_path, path_parameter
from recsys_assets.serving.routes.v1 import elapsed
from recsys_assets.serving.schemas import PopularItemsAnswer, SimilarItemsAnswer
from recsys_assets.serving.shaping import item, recommendation

SIMILAR = "/api/v1/items/{item_id:opaque}/similar"
ITEM_ID = path_parameter("item_id", "The product's id, percent-encoded.", "995242")
SIMILAR_PARAMETERS = (Parameter("n", whole(1, 50), whole_schema(1, 50), "How many products.", 5, default=5),)
MAX_CATEGORY, CATEGORIES_NAMED = 500, 20
POPULAR_PARAMETERS = (
    Parameter("n", whole(1, 50), whole_schema(1, 50), "How many products.", 10, default=10),
    Parameter(
        "category", text(MAX_CATEGORY), {"type": "string", "maxLength": MAX_CATEGORY, "pattern": NO_NUL},
        "A top category; without one, the whole shop.", "Grocery",
    ),
)  # fmt: skip


def router(api: Api) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["items"])

    @made.get(
        "/api/v1/items/popular",
        responses=answers(PopularItemsAnswer, examples.POPULAR_ITEMS, 400, 404, 503),
        openapi_extra=asks(POPULAR_PARAMETERS),
    )
    async def popular_items(request: Request) -> Response:
        """What most people buy lately, in the whole shop or a category, best first."""
        began = time.perf_counter()
        asked, live = read_query(request.scope["query_string"], POPULAR_PARAMETERS), api.live()
        category = asked["category"] or None
        products = live.popular.get(category or "")
        if products is None and category is not None:
            names = sorted(filter(None, live.popular))
            more = f", and {len(names) - CATEGORIES_NAMED} more" if len(names) > CATEGORIES_NAMED else ""
            said = "There is no such category; there are " + ", ".join(names[:CATEGORIES_NAMED]) + more + "."
            raise ProblemError(404, "Unknown category", said, parameter="category")
        sold = Filters(changes=live.changes)
        found = [
            item(product) | {"recommendation_reason": product["reason"]}
            for product in islice(sold.passed(products or []), asked["n"])
        ]
        return JSONResponse({"category": category, "popular_items": found, "processing_time_ms": elapsed(began)})

    @made.get(
        SIMILAR,
        responses=answers(SimilarItemsAnswer, examples.SIMILAR_ITEMS, 400, 404, 503),
        openapi_extra=asks(SIMILAR_PARAMETERS, ITEM_ID),
    )
    async def similar_items(request: Request) -> Response:
        """What is like a product, best first, and by what; fewer than asked for where no more are known."""
        began = time.perf_counter()
        item_id, asked = id_in_path(request, SIMILAR), read_query(request.scope["query_string"], SIMILAR_PARAMETERS)
        live = api.live()
        products = await api.reader.similar(live, item_id)
        if products is None:
            raise ProblemError(404, "Unknown item", "The catalogue has no such item.", parameter="item_id")
        found = [recommendation(product) for product in products[: asked["n"]]]
        return JSONResponse({"item_id": item_id, "similar_items": found, "processing_time_ms": elapsed(began)})

    return made
