"""The OpenAPI document, as a whole: what every operation shares is said here once."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute

from recsys_assets.serving.access import Require
from recsys_assets.serving.limits import EXEMPT
from recsys_assets.serving.problems import MEDIA_TYPE
from recsys_assets.serving.reference import page
from recsys_assets.serving.schemas import PersonalList, Problem

TITLE = "Recommendations"
SAYS = """Tomorrow's products for every person in a shop, computed nightly and published here.

Ids of people and products are opaque strings of at most 128 bytes of UTF-8; in a path they are percent-encoded, slashes
too. Where a person's id is taken, `key:<32 hex digits>` is taken too, as listings print it. Money is in the shop's
currency. Whatever is no success is answered with a problem (RFC 9457)."""
TAGS = {
    "recommendations": "Lists for people.",
    "items": "Products: what is like them, and what is popular.",
    "offers": "What a person is after, and the products and words to offer for it: for pages and bots that talk.",
    "people": "Who has a list, what is known of one person, and what they wish: opt-out, opt-in and erasure.",
    "information": "Models, counts and settings.",
    "operations": "For operators and their programs.",
}
_PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "400": ("A parameter or the body is refused.", {
        "title": "Invalid parameter", "detail": "n is not a whole number from 1 to 50", "parameter": "n",
    }),
    "401": ("No token, or one that is not known.", {
        "title": "No token", "detail": "This needs a token that is known and has not expired.",
    }),
    "403": ("The token lacks the scope.", {
        "title": "Wrong scope", "detail": "This needs a token with the scope listings.",
    }),
    "404": ("There is no such thing.", {"title": "Unknown item", "detail": "The catalogue has no such item."}),
    "409": ("This person was erased: nothing undoes that.", {
        "title": "Erased", "detail": "This person was erased: an opt-in cannot bring back what is gone.",
    }),
    "413": ("The body is too long.", {
        "title": "Body too long", "detail": "The body is longer than 1,000,000 bytes.",
    }),
    "415": ("The body is no JSON.", {
        "title": "Not JSON", "detail": "The body has to be of the type application/json.",
    }),
    "422": ("A field of the body is refused.", {
        "title": "Invalid body", "detail": "user_id: is longer than 128 bytes.", "field": "user_id",
    }),
    "429": ("This client asks too often.", {
        "title": "Too many requests", "detail": "This client has asked more often than it may.",
    }),
    "503": ("It cannot be answered now; the same request may work later.", {
        "title": "Postgres away", "detail": "Postgres does not answer, and nothing else knows this.",
    }),
}  # fmt: skip
_REFS = "#/components/schemas/"
_PROBLEM = {"$ref": _REFS + "Problem"}


def describe(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Makes ``app.openapi()`` give the whole document; ``routers`` are those that it includes."""

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, routers)
        return app.openapi_schema

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page(app.openapi()))

    app.openapi = made  # type: ignore[method-assign] # as FastAPI's pages say that it is extended


def operation_id(route: APIRoute) -> str:
    """Name of the function: what methods of generated clients are called."""
    return route.name


def _document(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    tags = [{"name": name, "description": what} for name, what in TAGS.items()]
    made = get_openapi(title=TITLE, version=version("recsys-assets"), description=SAYS, routes=app.routes, tags=tags)
    schemas = made["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which nothing here answers with
        schemas.pop(name, None)
    for model in (Problem, PersonalList):
        _take(schemas, model.model_json_schema(ref_template=_REFS + "{model}"))
    for path, operations in made["paths"].items():
        for operation in operations.values():
            if path not in EXEMPT:
                operation["responses"].setdefault("429", {})
            _complete(operation, schemas)
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _show(made["paths"][route.path_format][method.lower()], route)
    return made


def _show(operation: dict[str, Any], route: APIRoute) -> None:
    """Examples as they were written, of which FastAPI drops whatever is null, and the scope that is needed."""
    for status, response in route.responses.items():
        for media_type, content in response.get("content", {}).items():
            if "example" in content:
                operation["responses"][str(status)]["content"][media_type]["example"] = content["example"]
    for needed in (one.dependency for one in route.dependencies if isinstance(one.dependency, Require)):
        operation["security"] = [{needed.scheme_name: [needed.scope]}]
        operation["description"] += f"\n\nNeeds a token of scope `{needed.scope}`."


def _complete(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Problems in full, and the body's schema among the components, from where clients take its name."""
    if "requestBody" in operation:
        operation["responses"].setdefault("415", {})
    for body in operation.get("requestBody", {}).get("content", {}).values():
        if "title" in body["schema"]:
            body["schema"] = _take(schemas, body["schema"])
    for status, response in operation["responses"].items():
        said = response.get("content", {}).get("application/json", {}).get("schema", _PROBLEM)
        if status in _PROBLEMS and said == _PROBLEM:
            what, example = _PROBLEMS[status]
            shown = {"type": "about:blank", "title": example["title"], "status": int(status)} | example
            response["description"] = what
            response["content"] = {MEDIA_TYPE: {"schema": _PROBLEM, "example": shown}}


def _take(schemas: dict[str, Any], schema: dict[str, Any]) -> dict[str, str]:
    """Moves a schema and those it stands on to the components; a reference to it."""
    schemas.update(schema.pop("$defs", {}))
    schemas[schema["title"]] = schema
    return {"$ref": _REFS + schema["title"]}
