"""The blend of all models: what is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recsys_assets.models.als import Als
from recsys_assets.models.base import Arrays, Floats, Interactions, Recommender, names
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.models.personal import Personal
from recsys_assets.models.popularity import Popularity
from recsys_assets.tables import MICROS

MEMBERS = ("als", "item_cf", "popularity", "personal")


class Blend:
    """Σ weight × member, each member divided by its best score for the person, so that each tops out at 1.

    Without that, the member with the largest numbers would rule. Dividing by the best was as good as by the root mean
    square on a grocer's validation window (.0270 and .0269 on new items), and it can be read: a member score of .5 is
    half as good as that member's favourite for this person.
    """

    name = "blend"

    def __init__(
        self,
        *,
        weights: Mapping[str, float] | None = None,
        members: Mapping[str, Mapping[str, Any]] | None = None,
        threads: int = 0,
    ) -> None:
        given = members or {}
        self.weights = dict(weights or {"als": 0.4, "item_cf": 0.4, "popularity": 0.2, "personal": 0.0})
        self.models: dict[str, Recommender] = {
            "als": Als(**given.get("als", {}), threads=threads),
            "item_cf": ItemCf(**given.get("item_cf", {}), threads=threads),
            "popularity": Popularity(**given.get("popularity", {})),
            "personal": Personal(**given.get("personal", {})),
        }

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {"weights": self.weights, "members": {name: model.parameters for name, model in self.models.items()}}

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``."""
        for model in self.models.values():
            model.fit(train)
        self.product_ids = train.product_ids

    def members(self, history: Interactions) -> dict[str, Floats]:
        """Each member's scores, people × products, at most 1, rounded to 6 decimals."""
        return {name: best_is_one(self.models[name].scores(history)) for name in MEMBERS}

    def combine(self, members: Mapping[str, Floats]) -> Floats:
        """Σ weight × member, rounded to 6 decimals; elementwise, so it takes picked scores as well as matrices."""
        total = np.zeros_like(members[MEMBERS[0]])
        for name in MEMBERS:
            if self.weights.get(name, 0.0):
                total += np.float32(self.weights[name]) * members[name]
        return np.round(total, 6, out=total)

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        return self.combine(self.members(history))

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
