"""The blend of all models: what is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from recsys_assets.models.base import Arrays, Floats, Interactions, Neighbourly, Recommender, names
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.tables import MICROS

Scale = Literal["best", "rms"]

# What a shop's daily blend is made of, in the order in which tables hold its scores.
MEMBERS = ("als", "item_cf", "popularity", "personal")


class Blend:
    """Σ weight × member, each member's scores brought to one scale per person: the member's best is 1, or its RMS is.

    Without that, the member with the largest numbers would rule. Dividing by the best was as good as by the root mean
    square on a grocer's validation window (.0270 and .0269 on new items), and it can be read: a member score of .5 is
    half as good as that member's favourite for this person.

    Args:
        weights: by member; members without one weigh nothing.
        members: parameters of each member, by its name in ``MEMBER_MODELS``; their order is the order of the sum.
        scale: what is divided by, per person and member.
        threads: 0 = all cores; never changes a result.
    """

    name = "blend"

    def __init__(
        self,
        *,
        weights: Mapping[str, float] | None = None,
        members: Mapping[str, Mapping[str, Any]] | None = None,
        scale: Scale = "best",
        threads: int = 0,
    ) -> None:
        given = dict(members) if members is not None else {name: {} for name in MEMBERS}
        self.weights = dict(weights or {"als": 0.4, "item_cf": 0.4, "popularity": 0.2, "personal": 0.0})
        self.scale = scale
        self.models: dict[str, Recommender] = {
            name: MEMBER_MODELS[name](**parameters, threads=threads) for name, parameters in given.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The members, in order."""
        return tuple(self.models)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {
            "weights": self.weights,
            "members": {name: model.parameters for name, model in self.models.items()},
            "scale": self.scale,
        }

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``."""
        for model in self.models.values():
            model.fit(train)
        self.product_ids = train.product_ids

    def members(self, history: Interactions) -> dict[str, Floats]:
        """Each member's scores on one scale, people × products, rounded to 6 decimals."""
        scaled = best_is_one if self.scale == "best" else rms_is_one
        return {name: scaled(model.scores(history)) for name, model in self.models.items()}

    def combine(self, members: Mapping[str, Floats]) -> Floats:
        """Σ weight × member, rounded to 6 decimals; elementwise, so it takes picked scores as well as matrices."""
        total = np.zeros_like(members[self.names[0]])
        for name in self.names:
            if self.weights.get(name, 0.0):
                total += np.float32(self.weights[name]) * members[name]
        return np.round(total, 6, out=total)

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        return self.combine(self.members(history))

    def meet(self, people: Interactions) -> None:
        """Hand over the people to ask to the members that ask some."""
        for model in self.models.values():
            if isinstance(model, Neighbourly):
                model.meet(people)

    def arrays(self) -> Arrays:
        """Item-side arrays."""
        return {
            f"{name}.{key}": array
            for name, model in self.models.items()
            for key, array in model.arrays().items()
            if key != "product_ids"
        } | {"product_ids": self.product_ids}

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``."""
        self.product_ids = names(arrays)
        for name, model in self.models.items():
            own = {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}
            model.restore(own | {"product_ids": self.product_ids})


def best_is_one(scores: Floats) -> Floats:
    """``scores`` divided by each person's largest one, in place and rounded to 6 decimals.

    Rows without a score above 0 stay as they are.

    >>> best_is_one(np.array([[4.0, 1.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[1.0, 0.25], [0.0, 0.0]]
    """
    best = scores.max(axis=1, keepdims=True, initial=0.0)
    scores /= np.where(best > 1 / MICROS**2, best, np.float32(1.0))
    return np.round(scores, 6, out=scores)


def rms_is_one(scores: Floats) -> Floats:
    """``scores`` divided by each person's root mean square, in place and rounded to 6 decimals.

    >>> rms_is_one(np.array([[3.0, 4.0, 0.0, 0.0]], dtype=np.float32)).tolist()
    [[1.2000000476837158, 1.600000023841858, 0.0, 0.0]]
    """
    square = np.einsum("pi,pi->p", scores, scores, dtype=np.float64) / max(scores.shape[1], 1)
    root = np.sqrt(square)[:, None].astype(np.float32)
    scores /= np.where(root > 1 / MICROS**2, root, np.float32(1.0))
    return np.round(scores, 6, out=scores)
