"""Which knobs of the members a search tries, drawn by a seed, so many and no more; and whose knobs are in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Any

import numpy as np
from pydantic import BaseModel

from recsys_assets.tuning import Tuning

Overrides = dict[str, Any]  # dotted name of a knob → value

# Per member its knobs, by their names in `Tuning`, and the values that are tried.
SPACE: dict[str, dict[str, Sequence[Any]]] = {
    "als": {
        "als.factors": (32, 64, 128),
        "als.iterations": (8, 15),
        "als.regularization": (0.1, 1.0, 10.0),
        "als.alpha": (0.5, 1.0, 4.0),
    },
    "item_cf": {
        "item_cf.neighbours": (50, 100, 200),
        "item_cf.popularity_exponent": (0.0, 0.25, 0.5, 0.75),
        "item_cf.spending_weighted": (False, True),
    },
    "popularity": {
        "popularity.window_days": (0, 30, 90, 180),
        "popularity.trend_exponent": (0.0, 0.5),
    },
    "content": {
        "content.popularity_exponent": (0.0, 0.25, 0.5),
        "content.words": (0.1, 0.3, 0.6),
        "content.category": (0.2, 0.4),
        "content.price": (0.0, 0.1),
    },
}


@dataclass(frozen=True)
class Searched:
    """What a search found on the windows of ``day``.

    ``overrides`` is what would differ from the home's knobs with it; ``adopted``: it does, from ``day`` on. Nothing
    after ``seen_until`` was looked at. ``figures`` are those of the verdict, empty where there was nothing to judge;
    ``verdict`` and ``says`` tell the same, and what was tried, in words. ``at`` is when, UTC.
    """

    day: date
    at: str
    adopted: bool
    overrides: Overrides
    seen_until: date
    figures: dict[str, float]
    verdict: str
    says: tuple[str, ...]


@dataclass(frozen=True)
class Undone:
    """From ``day`` on, the search of the day ``of`` is no longer in force; ``at`` is when that was said, UTC."""

    day: date
    of: date
    at: str
    why: str


def in_force(records: Sequence[Searched | Undone], day: date, cutoff: date) -> Searched | None:
    """The search whose knobs hold on ``day`` for a window that begins after ``cutoff``; None: the home's alone.

    The newest that was adopted and not undone by ``day``, and that has looked at nothing after ``cutoff``: what is
    tested there must not have been tuned on.

    Args:
        records: in the order of their days, then of their times.
        day: the day.
        cutoff: the last day that models of the window see.
    """
    held: list[Searched] = []
    for one in records:
        if one.day > day:
            break
        if isinstance(one, Undone):
            held = [found for found in held if found.day != one.of or found.at > one.at]
        elif one.adopted:
            held.append(one)
    return next((found for found in reversed(held) if found.seen_until <= cutoff), None)


def trials(
    member: str, tuning: Tuning, count: int, seed: int, present: Mapping[str, Any] | None = None
) -> list[Overrides]:
    """At most ``count`` different knobs of a member: the present ones (no override) first, then drawn ones.

    A knob that ``tuning`` sets away from its default's place, by the shop's own hand, is not tried: it stays.
    ``present`` is what is in force beside ``tuning``.

    >>> trials("popularity", Tuning(), 3, seed=0)[0]
    {}
    >>> len(trials("popularity", Tuning(), 100, seed=0))  # four windows × two exponents
    8
    """
    free = {name: values for name, values in SPACE[member].items() if name not in set_by_hand(tuning)}
    now = overridden(tuning, present or {})
    held = {name: knob(now, name) for name in free}
    others = [
        dict(zip(free, values, strict=True))
        for values in product(*free.values())
        if dict(zip(free, values, strict=True)) != held
    ]
    drawn = np.random.default_rng([seed, *member.encode()]).permutation(len(others))[: max(count - 1, 0)]
    changed = [{name: value for name, value in others[i].items() if value != held[name]} for i in sorted(drawn)]
    return [{}, *changed]


def set_by_hand(tuning: Tuning) -> set[str]:
    """Dotted names of the knobs that the home names itself.

    >>> sorted(set_by_hand(Tuning.model_validate({"als": {"factors": 32}, "seed": 1})))
    ['als.factors', 'seed']
    """
    found = set()
    for name in tuning.model_fields_set:
        section = getattr(tuning, name)
        if isinstance(section, BaseModel):
            found |= {f"{name}.{inner}" for inner in section.model_fields_set}
        else:
            found.add(name)
    return found


def not_by_hand(tuning: Tuning, overrides: Mapping[str, Any]) -> Overrides:
    """Those of ``overrides`` that hold: not of the knobs that the home names itself.

    >>> not_by_hand(Tuning.model_validate({"als": {"factors": 8}}), {"als.factors": 128, "als.alpha": 4.0})
    {'als.alpha': 4.0}
    """
    own = set_by_hand(tuning)
    return {name: value for name, value in overrides.items() if name not in own}


def knob(tuning: Tuning, name: str) -> Any:
    """Value of a knob by its dotted name.

    >>> knob(Tuning(), "als.factors")
    64
    """
    value: Any = tuning
    for part in name.split("."):
        value = getattr(value, part)
    return value


def overridden(tuning: Tuning, overrides: Mapping[str, Any]) -> Tuning:
    """``tuning`` with ``overrides``; knobs that the home names itself stay as it says.

    >>> overridden(Tuning.model_validate({"als": {"alpha": 2.0}}), {"als.alpha": 4.0, "als.factors": 32}).als.factors
    32
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in not_by_hand(tuning, overrides).items():
        section, _, inner = name.partition(".")
        sections.setdefault(section, {})[inner] = value
    checked = Tuning.model_validate(sections)
    made = {
        section: getattr(tuning, section).model_copy(
            update={inner: knob(checked, f"{section}.{inner}") for inner in own_}
        )
        for section, own_ in sections.items()
    }
    return tuning.model_copy(update=made)
