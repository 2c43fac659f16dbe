"""Why a file that a person edits is refused, in that person's words: every wrong key with the keys that exist."""

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def refusals(model: type[BaseModel], error: ValidationError) -> str:
    """One line per wrong key or value."""
    return "\n".join(f"  {_refusal(model, item['loc'], item)}" for item in error.errors())


def _refusal(model: type[BaseModel], place: Sequence[str | int], item: Any) -> str:
    name = ".".join(map(str, place))
    if item["type"] == "extra_forbidden":
        section, key = section_of(model, place[:-1]), str(place[-1])
        near = difflib.get_close_matches(key, section.model_fields, n=1)
        meant = f"; did you mean {near[0]}?" if near else "."
        return f"{name} is not a key{meant} The keys there are {', '.join(section.model_fields)}."
    if item["type"] == "missing":
        return f"{name} is missing."
    return f"{name}: {item['msg'].removeprefix('Value error, ')}"


def section_of(model: type[BaseModel], place: Sequence[str | int]) -> type[BaseModel]:
    """The model of a section: ``("tuning", "als")``, or ``("sources", 0)`` for an entry of a list."""
    for part in place:
        if isinstance(part, str):
            kind: Any = model.model_fields[part].annotation
            model = next((one for one in get_args(kind) if isinstance(one, type)), kind)
    return model
