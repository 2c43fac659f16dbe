"""JSON bodies of requests, read strictly."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from recsys_assets.serving.problems import ProblemError

MAX_BYTES = 1_000_000  # a thousand ids of 128 bytes, escaped, fit in
TITLE = "Invalid body"
JSON = "application/json"


class Body(BaseModel):
    """A body: no unknown fields, and no value of another type than it says."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


AnyBody = TypeVar("AnyBody", bound=Body)


async def read_body(request: Request, model: type[AnyBody], most: int = MAX_BYTES) -> AnyBody:
    """The body of a request.

    Raises:
        ProblemError: 400 or 422 naming the field, 413 where it is too long, 415 where it says that it is something
            else; nothing of the body is repeated.
    """
    if request.headers.get("content-type", JSON).partition(";")[0].strip().lower() != JSON:
        raise ProblemError(415, "Not JSON", f"The body has to be of the type {JSON}.")
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > most:
            raise ProblemError(413, "Body too long", f"The body is longer than {most:,} bytes.")
    if not content:
        raise ProblemError(400, TITLE, "The body is empty; it has to be a JSON object.")
    try:
        raw = json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_number)
        broken = _broken(raw) if b"\\u" in content else None
    except _TwiceError as error:
        raise ProblemError(400, TITLE, f"The field {error} is given twice.", field=str(error)) from None
    except (ValueError, RecursionError):
        raise ProblemError(400, TITLE, "The body is not JSON.") from None
    if broken is not None:
        field = _place(broken)
        raise ProblemError(422, TITLE, f"{field}: half of a surrogate pair is no character.", field=field)
    if not isinstance(raw, dict):
        raise ProblemError(422, TITLE, "The body is not a JSON object.")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = _place(first["loc"])
        raise ProblemError(422, TITLE, f"{field}: {first['msg']}.", field=field) from None


class _TwiceError(Exception):
    pass


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _TwiceError(name[:64].encode(errors="replace").decode())
        found[name] = value
    return found


def _broken(value: Any) -> tuple[int | str, ...] | None:
    r"""Where a text is that cannot be written as UTF-8: JSON may escape half of a surrogate pair. None: nowhere.

    >>> _broken({"ids": ["a", "\ud800"]}), _broken({"\udfff": 1}), _broken({"a": "\U0001f956"})
    (('ids', 1), (), None)
    """
    if isinstance(value, str):
        return () if any("\ud800" <= character <= "\udfff" for character in value) else None
    if isinstance(value, dict):
        if any(_broken(name) is not None for name in value):
            return ()
        parts: Iterable[tuple[int | str, Any]] = value.items()
    else:
        parts = enumerate(value) if isinstance(value, list) else ()
    return next(((name, *place) for name, part in parts if (place := _broken(part)) is not None), None)


def _number(text: str) -> int | float:
    """JSON Schema knows no other integer than a whole number: 2.0 is one."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _place(location: Sequence[int | str]) -> str:
    """``user_ids[3]``: where in the body."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part[:64]}" if text else part[:64]
    return text or "body"
