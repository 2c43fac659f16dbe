"""The OpenAPI document: whole, true to its own schemas, and readable without a network."""

import re
from html.parser import HTMLParser
from importlib.metadata import version
from typing import Any

import jsonschema  # type: ignore[import-untyped] # no types are installed for it
import pytest

from recsys_assets.serving import examples, schemas
from recsys_assets.serving.app import create
from recsys_assets.serving.limits import EXEMPT
from recsys_assets.serving.problems import MEDIA_TYPE
from recsys_assets.settings import Home, load_settings
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import api

SCOPED = {
    "list_users": "listings", "get_config": "listings", "bulk_recommendations": "listings", "get_profile": "profiles",
    "preferences": "writes", "forget": "writes",
}  # fmt: skip


@pytest.fixture
def document(home: Home) -> dict[str, Any]:
    nowhere = {"RECSYS_POSTGRES_URL": "postgresql://nobody@127.0.0.1:1/none", "RECSYS_REDIS_URL": "redis://127.0.0.1:1"}
    return create(load_settings({"RECSYS_HOME": str(home.path), **nowhere})).openapi()


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, one) for path, methods in document["paths"].items() for one in methods.values()]


def check(document: dict[str, Any], schema: dict[str, Any], example: Any) -> None:
    """Holds an example against a schema of the document."""
    whole = schema | {"components": document["components"]}  # where its references lead
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(example)


def test_it_names_itself_and_every_operation_once(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == version("recsys-assets")
    tags = {tag["name"] for tag in document["tags"]}
    names = [one["operationId"] for _, one in operations(document)]
    assert len(names) == len(set(names))
    for _, one in operations(document):
        assert re.fullmatch("[a-z_]+", one["operationId"])
        assert one["description"].endswith("."), one["operationId"]
        assert set(one["tags"]) <= tags
    assert {"get_recommendations", "post_recommendations", "bulk_recommendations", "similar_items"} < set(names)


def test_every_schema_is_one_and_every_example_is_of_its_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    checked = 0
    for path, one in operations(document):
        contents = [*one.get("requestBody", {}).get("content", {}).items()]
        for status, response in one["responses"].items():
            if path not in EXEMPT:
                assert response.get("content"), (path, status)
            contents += response.get("content", {}).items()
        for kind, content in contents:
            if path.startswith("/api/") and path not in EXEMPT:
                assert "example" in content, (path, kind)
                assert content["schema"], (path, kind)
            if "example" in content:
                check(document, content["schema"], content["example"])
                checked += 1
        for parameter in one.get("parameters", []):
            assert parameter["description"].endswith("."), parameter
            check(document, parameter["schema"], parameter["example"])
            if parameter["in"] == "path":
                assert parameter["schema"]["type"] == "string"
    assert checked > 50


def test_every_refusal_is_a_problem_and_every_scope_is_told(document: dict[str, Any]) -> None:
    for path, one in operations(document):
        for status, response in one["responses"].items():
            if status >= "400" and path not in EXEMPT:
                assert set(response["content"]) == {MEDIA_TYPE}, (path, status)
                assert response["content"][MEDIA_TYPE]["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert response["content"][MEDIA_TYPE]["example"]["status"] == int(status)
        scope = SCOPED.get(one["operationId"])
        assert one.get("security") == ([{"token": [scope]}] if scope else None), path
        assert ({"401", "403"} <= one["responses"].keys()) == bool(scope)
        assert ("scope `" + str(scope) in one["description"]) == bool(scope)
        assert ("429" in one["responses"]) == (path not in EXEMPT)
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()


def test_models_take_their_examples() -> None:
    for model, example in (
        (schemas.RecommendationsAnswer, examples.RECOMMENDATIONS),
        (schemas.PersonalList, examples.BULK_LINE),
        (schemas.SimilarItemsAnswer, examples.SIMILAR_ITEMS), (schemas.PopularItemsAnswer, examples.POPULAR_ITEMS),
        (schemas.Users, examples.USERS), (schemas.Profile, examples.PROFILE), (schemas.Models, examples.MODELS),
        (schemas.Stats, examples.STATS), (schemas.Config, examples.CONFIG),
        (schemas.BulkRequest, examples.BULK_REQUEST),
        (schemas.RecommendationsRequest, examples.RECOMMENDATIONS_REQUEST),
    ):  # fmt: skip
        model.model_validate(example)


class Links(HTMLParser):
    """Whatever a page points at, and the ids it has."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [str(found[name]) for name in ("href", "src", "action") if name in found]
        self.ids += [str(found["id"])] if "id" in found else []
        self.open += [] if tag in ("meta", "link", "br") else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_for_people_has_everything_and_loads_nothing(stores: Stores, document: dict[str, Any]) -> None:
    with api(stores.settings) as client:
        answer = client.get("/docs")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert client.get("/openapi.json").json() == document
        assert client.get("/redoc").status_code == 404
    found = Links()
    found.feed(answer.text)
    assert found.links == ["openapi.json"]
    assert found.open == []
    assert {one["operationId"] for _, one in operations(document)} < set(found.ids)
    assert "<script" not in answer.text
    assert "@import" not in answer.text
