"""What a day's model is made by: the knobs, and what validation chose. Travels with the registered model."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from pydantic import ValidationError

from recsys_assets.errors import NotFoundError
from recsys_assets.logic.choices import Choices
from recsys_assets.models import make_blend
from recsys_assets.models.base import Interactions
from recsys_assets.models.blend import Blend
from recsys_assets.tuning import Tuning

FILE = "recipe.json"


@dataclass(frozen=True)
class Recipe:
    """Enough to make the model of another day in the same way."""

    tuning: Tuning
    choices: Choices

    def to_text(self) -> str:
        """JSON; ``from_text`` is the reverse."""
        told = {"tuning": self.tuning.model_dump(mode="json"), "choices": self.choices.to_json()}
        return json.dumps(told, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Recipe:
        """What ``to_text`` wrote.

        Raises:
            NotFoundError: it was written by a version of this program that has other knobs or choices.
        """
        told = json.loads(text)
        try:
            return cls(Tuning.model_validate(told["tuning"]), Choices.from_json(told["choices"]))
        except (ValidationError, KeyError, TypeError) as error:
            raise NotFoundError(
                f"the recipe of an older model is not one of this version's: {str(error).splitlines()[0]}"
            ) from error

    def makes_the_same_lists(self, other: Recipe) -> bool:
        """Whether nothing that decides over lists differs: confidence and the figures of the choice do not."""
        return self.tuning == other.tuning and _deciding(self.choices) == _deciding(other.choices)

    def fitted(self, train: Interactions, like: Blend | None, threads: int = 0) -> Blend:
        """Every member that this recipe may ask, on ``train``; those that ``like``, fitted on it, has are shared."""
        made = make_blend(self.tuning, replace(self.choices, repeats_allowed=False), threads, every=True)
        for name, model in made.models.items():
            fitted = like.models.get(name) if like is not None else None
            if fitted is not None and fitted.parameters == model.parameters:
                made.models[name] = fitted
            else:
                model.fit(train)
        made.product_ids = train.product_ids
        return made


def _deciding(choices: Choices) -> Choices:
    """Without what was only measured, or tried and not taken: that is another one every night."""
    kept = replace(choices, new_calibration=((), ()), repeat_calibration=((), ()), figures={})
    if choices.kind != "learned":
        kept = replace(kept, trees="", facts=())
    return replace(kept, weights={}) if choices.kind == "default" else kept
