"""The blend of all models: what is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_assets.models.base import Arrays, Floats, Interactions, Neighbourly, Recommender, names
from recsys_assets.models.fused import Said, Scale
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.tables import MICROS

# What the default blend of a shop is made of, in the order of its sum.
DEFAULT = ("als", "item_cf", "popularity", "personal")
USER_TYPES = ("new", "sparse", "regular", "loyal")


class Blend:
    """Σ weight × member, each member's scores brought to one scale per person: the member's best is 1, or its RMS is.

    Without that, the member with the largest numbers would rule. Dividing by the best was as good as by the root mean
    square on a grocer's validation window (.0270 and .0269 on new items), and it can be read: a member score of .5 is
    half as good as that member's favourite for this person.

    Args:
        weights: by member; members without one weigh nothing.
        by_type: weights of people of a type of history (`user_types`) that has its own.
        types: baskets from which a person counts as sparse, regular, loyal.
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
        by_type: Mapping[str, Mapping[str, float]] | None = None,
        types: Sequence[int] = (1, 4, 20),
        scale: Scale = "best",
        threads: int = 0,
    ) -> None:
        given = dict(members) if members is not None else {name: {} for name in DEFAULT}
        self.weights = dict(weights or {"als": 0.4, "item_cf": 0.4, "popularity": 0.2, "personal": 0.0})
        self.by_type = {name: dict(own) for name, own in (by_type or {}).items()}
        self.types = tuple(types)
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
            "by_type": self.by_type,
            "types": list(self.types),
            "scale": self.scale,
        }

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``."""
        for model in self.models.values():
            model.fit(train)
        self.product_ids = train.product_ids

    def members(self, history: Interactions) -> dict[str, Floats]:
        """Each member's scores on one scale, people × products, rounded to 6 decimals."""
        said = self.said(history)
        return {name: said.dense(place) for place, name in enumerate(said.names)}

    def combine(self, members: Mapping[str, Floats]) -> Floats:
        """Σ weight × member, rounded to 6 decimals; elementwise, so it takes picked scores as well as matrices."""
        total = np.zeros_like(members[self.names[0]])
        for name in self.names:
            if self.weights.get(name, 0.0):
                total += np.float32(self.weights[name]) * members[name]
        return np.round(total, 6, out=total)

    def said(self, history: Interactions) -> Said:
        """The same as ``members``, not laid out: what lists are made of."""
        return Said.by(self.models, history, self.scale)

    def weights_of(self, history: Interactions) -> Floats:
        """Each person's weights by type of history: people × members."""
        kinds = [self.by_type.get(kind, self.weights) for kind in USER_TYPES]
        table = np.array([[own.get(name, 0.0) for name in self.names] for own in kinds], dtype=np.float32)
        return table[user_types(history, self.types)]

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        return self.said(history).combined(self.weights_of(history))

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


def user_types(history: Interactions, types: Sequence[int]) -> npt.NDArray[np.int64]:
    """Each person's place in ``USER_TYPES``, by the baskets that are known of them.

    Where their order is not known, the days on which somebody bought the same product stand in: there were as many
    baskets at least.
    """
    steps, bought = history.steps, history.purchases
    baskets = np.zeros(len(history.person_keys), dtype=np.float64)
    np.maximum.at(baskets, steps.rows, steps.baskets + 1.0)
    np.maximum.at(baskets, np.repeat(np.arange(len(baskets)), np.diff(bought.indptr)), bought.data)
    return np.searchsorted(np.asarray(types), baskets, side="right").astype(np.int64)


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
