"""Parameters of a query string or a path: one table of them gives both the reading and the OpenAPI document.

Decoded here, strictly: the framework's own parser turns bytes that are no UTF-8 into U+FFFD, which is a legal
character of an id, keeps the last of two equal names, and passes unknown ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from recsys_assets.identity import MAX_ID_BYTES, id_problem
from recsys_assets.serving.problems import BadParameterError

MAX_MANY = 100  # of a parameter that may be repeated


@dataclass(frozen=True)
class Parameter:
    """One parameter. ``read`` raises ValueError, which goes on "<name> …"; ``many``: it may be repeated."""

    name: str
    read: Callable[[str], Any]
    schema: dict[str, Any]
    what: str
    example: Any
    default: Any = None
    many: bool = False

    def document(self) -> dict[str, Any]:
        """As OpenAPI says it."""
        schema = {"type": "array", "items": self.schema, "maxItems": MAX_MANY} if self.many else self.schema
        if self.default is not None and not self.many:
            schema = schema | {"default": self.default}
        example = [self.example] if self.many else self.example
        return {
            "name": self.name, "in": "query", "required": False, "schema": schema, "description": self.what,
            "example": example,
        }  # fmt: skip


def an_id(raw: str) -> str:
    """An id of a person or product, as it is."""
    if why := id_problem(raw):
        raise ValueError(why)
    return raw


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds, in ASCII digits."""

    def read(raw: str) -> int:
        if not (raw.isascii() and raw.isdigit() and len(raw) <= 9 and low <= int(raw) <= high):
            raise ValueError(f"is not a whole number from {low} to {high}")
        return int(raw)

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """One of a few words."""

    def read(raw: str) -> str:
        if raw not in words:
            raise ValueError("is none of " + ", ".join(words))
        return raw

    return read


def text(longest: int) -> Callable[[str], str]:
    """Free text."""

    def read(raw: str) -> str:
        if len(raw) > longest or "\x00" in raw:
            raise ValueError(f"is longer than {longest} characters or holds a NUL character")
        return raw

    return read


NO_NUL = r"^[^\u0000]*$"
ID_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES, "pattern": NO_NUL}


def whole_schema(low: int, high: int) -> dict[str, Any]:
    """JSON Schema of `whole`."""
    return {"type": "integer", "minimum": low, "maximum": high}


def read_query(query: bytes, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Name → value of every parameter, from a query string as it came over the wire; a repeatable one is a tuple.

    Raises:
        BadParameterError: the first parameter that is refused.

    >>> user = Parameter("userId", an_id, ID_SCHEMA, "Who.", "7")
    >>> read_query(b"userId=a%2Fb+c", [user])
    {'userId': 'a/b c'}
    """
    known = {parameter.name: parameter for parameter in parameters}
    values: dict[str, Any] = {p.name: () if p.many else p.default for p in parameters}
    given: set[str] = set()
    for part in filter(None, query.split(b"&")):
        raw_name, _, raw = part.partition(b"=")
        name = _decoded(raw_name, "the name of a parameter")
        if name not in known:
            raise BadParameterError(name[:64], "is not a parameter; there are " + (", ".join(known) or "none"))
        parameter = known[name]
        if name in given and not parameter.many:
            raise BadParameterError(name, "is given twice")
        given.add(name)
        try:
            value = parameter.read(_decoded(raw, name))
        except ValueError as error:
            raise BadParameterError(name, str(error)) from None
        if parameter.many and len(values[name]) == MAX_MANY:
            raise BadParameterError(name, f"is given more than {MAX_MANY} times")
        values[name] = (*values[name], value) if parameter.many else value
    return values


def path_id(raw_path: bytes, before: str, after: str, name: str) -> str:
    """The id between two parts of a path as it came over the wire: slashes, newlines and all.

    Raises:
        BadParameterError: it cannot be an id.

    >>> path_id(b"/api/v1/items/a%2Fb/similar", "/api/v1/items/", "/similar", "item_id")
    'a/b'
    """
    decoded = unquote_to_bytes(raw_path).removeprefix(before.encode()).removesuffix(after.encode())
    try:
        return an_id(decoded.decode())
    except UnicodeDecodeError:
        raise BadParameterError(name, "is not valid UTF-8") from None
    except ValueError as error:
        raise BadParameterError(name, str(error)) from None


def _decoded(raw: bytes, name: str) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise BadParameterError(name, "is not valid UTF-8") from error
