"""Which knobs of the members a search tries: drawn by a seed, so many and no more, without what the shop has set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def trials(member: str, tuning: Tuning, count: int, seed: int) -> list[Overrides]:
    """At most ``count`` different knobs of a member: the present ones (no override) first, then drawn ones.

    A knob that ``tuning`` sets away from its default's place, by the shop's own hand, is not tried: it stays.

    >>> trials("popularity", Tuning(), 3, seed=0)[0]
    {}
    >>> len(trials("popularity", Tuning(), 100, seed=0))  # four windows × two exponents
    8
    """
    free = {name: values for name, values in SPACE[member].items() if name not in set_by_hand(tuning)}
    present = {name: knob(tuning, name) for name in free}
    others = [
        dict(zip(free, values, strict=True))
        for values in product(*free.values())
        if dict(zip(free, values, strict=True)) != present
    ]
    drawn = np.random.default_rng([seed, *member.encode()]).permutation(len(others))[: max(count - 1, 0)]
    changed = [{name: value for name, value in others[i].items() if value != present[name]} for i in sorted(drawn)]
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
    own = set_by_hand(tuning)
    sections: dict[str, dict[str, Any]] = {}
    for name, value in overrides.items():
        if name not in own:
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
