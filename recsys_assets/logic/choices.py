"""What the validation window chose for a shop; travels with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from recsys_assets.tuning import Tuning

Curve = tuple[tuple[float, ...], tuple[float, ...]]
Kind = Literal["default", "weights", "learned"]
EVERYBODY = "all"


@dataclass(frozen=True)
class Choices:
    """What the validation window chose; travels with the model as JSON.

    Attributes:
        repeats_allowed: lists may hold products that the person already bought.
        repeat_weight: weight of ``personal`` in the default blend where they may.
        als_regularization: of the ALS member.
        new_calibration: scores and shares of hits, ascending, of products not bought before; empty where unknown.
        repeat_calibration: the same of products bought before.
        kind: what is published: the default blend, chosen weights, or the order that was learned over them.
        weights: by member, of everybody (``all``) and of each type of history that has its own; empty where not tried.
        trees: the learned order, as LightGBM writes it; empty where not tried.
        facts: what the trees are asked about, in order.
        figures: NDCG of each kind and member on people whom it was not chosen on; the highest was taken.
    """

    repeats_allowed: bool
    repeat_weight: float
    als_regularization: float
    new_calibration: Curve = ((), ())
    repeat_calibration: Curve = ((), ())
    kind: Kind = "default"
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    trees: str = ""
    facts: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def unchosen(cls, tuning: Tuning) -> Choices:
        """What holds where there is no validation window: repeats only where the shop wants them always."""
        return cls(tuning.repeats.allowed == "always", 1.0, tuning.als.regularization)

    @property
    def members(self) -> tuple[str, ...]:
        """Members with a weight, where weights were chosen: what weights and trees ask."""
        weighted = {name for own in self.weights.values() for name, weight in own.items() if weight > 0}
        return tuple(sorted(weighted))

    def to_json(self) -> dict[str, Any]:
        """Plain values; ``from_json`` is the reverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Choices:
        """The choices that ``to_json`` wrote, also after a round trip through text."""
        curves = {
            name: tuple(tuple(float(value) for value in side) for side in values[name])
            for name in ("new_calibration", "repeat_calibration")
        }
        return cls(**(values | curves | {"facts": tuple(values.get("facts", ()))}))
