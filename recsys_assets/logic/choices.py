"""What the validation window chose for a shop; travels with the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from recsys_assets.tuning import Tuning

Curve = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Choices:
    """What the validation window chose; travels with the model as JSON.

    Attributes:
        repeats_allowed: lists may hold products that the person already bought.
        repeat_weight: weight of ``personal`` in the blend where they may.
        als_regularization: of the ALS member.
        new_calibration: scores and shares of hits, ascending, of products not bought before; empty where unknown.
        repeat_calibration: the same of products bought before.
    """

    repeats_allowed: bool
    repeat_weight: float
    als_regularization: float
    new_calibration: Curve = ((), ())
    repeat_calibration: Curve = ((), ())

    @classmethod
    def unchosen(cls, tuning: Tuning) -> Choices:
        """What holds where there is no validation window: repeats only where the shop wants them always."""
        return cls(tuning.repeats.allowed == "always", 1.0, tuning.als.regularization)

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
        return cls(**(values | curves))
