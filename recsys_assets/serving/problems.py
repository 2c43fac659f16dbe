"""Problem details (RFC 9457), and the parameters of a request."""

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from fastapi.responses import JSONResponse

from recsys_assets.identity import id_problem

MAX_CONTEXT = 200
NAMES = ("userId", "anonId", "limit", "context", "productId", "currentProductId")


class BadParameterError(Exception):
    """A parameter is refused; ``parameter`` names it."""

    def __init__(self, parameter: str, why: str) -> None:
        super().__init__(why)
        self.parameter = parameter


@dataclass(frozen=True)
class Asked:
    """One valid request."""

    user_id: str | None
    anon_id: str | None
    limit: int
    context: str | None
    product_id: str | None


def problem(status: int, title: str, detail: str, **more: str) -> JSONResponse:
    """An answer of type application/problem+json."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, media_type="application/problem+json")


def parse(query: bytes) -> Asked:
    """The request meant by a query string as it came over the wire.

    Decoded here, strictly: the framework's own parser turns bytes that are no UTF-8 into U+FFFD, which is a legal
    character of an id.

    Raises:
        BadParameterError: the first parameter that is refused.

    >>> parse(b"userId=a%2Fb+c&limit=5")
    Asked(user_id='a/b c', anon_id=None, limit=5, context=None, product_id=None)
    """
    given: dict[str, str] = {}
    for part in filter(None, query.split(b"&")):
        raw_name, _, raw = part.partition(b"=")
        name = _text(raw_name, "the name of a parameter")
        if name not in NAMES:
            raise BadParameterError(name[:64], "is not a parameter; there are " + ", ".join(NAMES))
        if name in given:
            raise BadParameterError(name, "is given twice")
        given[name] = _text(raw, name)
    for name in ("userId", "anonId", "productId", "currentProductId"):
        if name in given and (why := id_problem(given[name])):
            raise BadParameterError(name, why)
    product, alias = given.get("productId"), given.get("currentProductId")
    if product is not None and alias is not None and product != alias:
        raise BadParameterError("currentProductId", "differs from productId, of which it is an alias")
    limit = given.get("limit", "10")
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 2 and 1 <= int(limit) <= 50):
        raise BadParameterError("limit", "is not a whole number from 1 to 50")
    context = given.get("context")
    if context is not None and (len(context) > MAX_CONTEXT or "\x00" in context):
        raise BadParameterError("context", f"is longer than {MAX_CONTEXT} characters or holds a NUL character")
    return Asked(given.get("userId"), given.get("anonId"), int(limit), context, product if product else alias)


def _text(raw: bytes, name: str) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise BadParameterError(name, "is not valid UTF-8") from error
