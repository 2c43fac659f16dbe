"""Two other values of every knob, made from the fields of `Tuning`, and few sets of knobs that hold each of them."""

import random
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from recsys_assets.tuning import Tuning

# What cannot be told from a default and its bounds.
OTHERS: dict[str, tuple[Any, ...]] = {
    "blend.members": (("popularity", "personal"), ("als", "item_cf", "content", "session")),
    "segment_filter.small": (("budget",), ()),
    "quality.bot_events": (5_000, 20_000),  # and see below
    "quality.bot_floor": (500, 2_000),
    "segment_filter.low_average": (("mid",), ()),
    "segment_filter.average": (("mid",), ()),
    "segment_filter.high": (("premium",), ()),
    "user_types.sparse_from": (2, 3),
    "pins": (("p7",), ("p3", "p58", "gone")),
    "bans": (("p0",), ("p1", "p2", "gone")),
    "planner.gift_words": ((), ("product",)),
    "copywriting.languages": (("de",), ("de", "en")),
    "copywriting.more_claims": (("cheese",), ("bread", "kind 1")),
    "copywriting.allowed_claims": (("best",), ("new",)),
    "planner.bracket": ((0.2, 0.5, 0.8), (0.0, 0.5, 1.0)),
}

# What takes everybody for a bot empties the days: a night of its own, which has to stop.
EVERYBODY_IS_A_BOT = {"quality.bot_events": 1, "quality.bot_floor": 1}


def knobs(model: type[BaseModel] = Tuning, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every knob by its dotted name."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from knobs(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names → what ``[tuning]`` holds."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        section, _, inner = name.rpartition(".")
        (made.setdefault(section, {}) if section else made)[inner] = value
    return made


def valid(values: Mapping[str, Any]) -> bool:
    """Whether a home may have these."""
    try:
        Tuning.model_validate(nested(values))
    except ValidationError:
        return False
    return True


def others(name: str, field: FieldInfo) -> list[Any]:
    """Up to two values that are not the default and that a home may have beside defaults; a switch has one."""
    default = field.get_default(call_default_factory=True)
    tried: list[Any] = list(OTHERS.get(name, ()))
    if get_origin(field.annotation) is Literal:
        tried += [one for one in get_args(field.annotation) if one != default]
    elif isinstance(default, bool):
        tried.append(not default)
    elif isinstance(default, (int, float)):
        bounds = [getattr(one, kind) for one in field.metadata for kind in ("ge", "le") if hasattr(one, kind)]
        step = 1 if isinstance(default, int) else 0.05
        near = [
            default * 2,
            default // 2 if isinstance(default, int) else default / 2,
            default + step,
            default - step,
            default + 4 * step,
        ]
        tried += [*(bound for bound in bounds[:1]), *near]
    elif name.endswith("accept_days"):
        tried += [(date(2024, 4, 11),), (date(2024, 1, 1), date(2024, 4, 10))]
    elif isinstance(default, tuple):
        tried += [default[:1], default[1:], default[:2]]
    found: list[Any] = []
    for value in tried:
        if value != default and value not in found and valid({name: value}):
            found.append(value)
    return found[:2]


def sets(seed: int = 1) -> list[dict[str, Any]]:
    """Three sets of knobs in which every knob has each of its two other values once, and its default once."""
    made: list[dict[str, Any]] = [{}, {}, {}]
    drawn = random.Random(seed)
    for name, field in knobs():
        for at, value in zip(drawn.sample(range(3), 2), others(name, field), strict=False):
            if valid(made[at] | {name: value}):
                made[at][name] = value
            else:  # it does not go with what the set has: a set of its own, of few of its kind
                place = next((one for one in made[3:] if valid(one | {name: value})), None)
                if place is None:
                    made.append(place := {})
                place[name] = value
    return made
