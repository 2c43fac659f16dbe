"""What a route says of itself in the OpenAPI document."""

import json
from typing import Any

from pydantic import BaseModel

from recsys_assets.serving.bodies import Body
from recsys_assets.serving.parameters import Parameter

Responses = dict[int | str, dict[str, Any]]


def answers(model: type[BaseModel], example: Any, *problems: int) -> Responses:
    """For ``responses=``: a model and an example of success, and the statuses of the problems that it may meet."""
    made: Responses = {200: {"model": model, "content": {"application/json": {"example": example}}}}
    return made | {status: {} for status in problems}


def asks(parameters: tuple[Parameter, ...] = (), *path: dict[str, Any]) -> dict[str, Any]:
    """For ``openapi_extra=``: parameters of the path, then of the query."""
    return {"parameters": [*path, *(parameter.document() for parameter in parameters)]}


def takes(model: type[Body], example: Any) -> dict[str, Any]:
    """For ``openapi_extra=``: a JSON body. Its schema moves to the document's components (`document`)."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


def streams(media_type: str, model: type[BaseModel], example: Any, *problems: int) -> Responses:
    """As `answers`, of a stream with one JSON object on each line."""
    said = f"One JSON object on each line, each a {model.__name__}."
    content = {media_type: {"schema": {"type": "string", "description": said}, "example": json.dumps(example) + "\n"}}
    made: Responses = {200: {"description": said, "content": content}}
    return made | {status: {} for status in problems}
