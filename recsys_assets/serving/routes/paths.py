"""Ids in paths: a route written ``/users/{user_id:opaque}/profile`` takes slashes, newlines and all."""

from typing import Any

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request

from recsys_assets.serving.parameters import ID_SCHEMA, path_id


class _Opaque(Convertor[str]):
    """Anything, nothing too: an empty id is refused by name instead of as an unknown route."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("opaque", _Opaque())


def id_in_path(request: Request, route: str) -> str:
    """The id in a request's path, where ``route`` has its only ``{name:opaque}``.

    Raises:
        BadParameterError: it cannot be an id; the parameter's name is named.
    """
    before, _, rest = route.partition("{")
    name, _, after = rest.partition(":opaque}")
    return path_id(request.scope["raw_path"], request.scope.get("root_path", "") + before, after, name)


def path_parameter(name: str, what: str, example: str) -> dict[str, Any]:
    """As OpenAPI says it."""
    return {
        "name": name, "in": "path", "required": True, "schema": ID_SCHEMA, "description": what, "example": example,
    }  # fmt: skip
