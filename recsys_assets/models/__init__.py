"""One Recommender protocol, one file per model, and their blend."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recsys_assets.columns import MEMBERS
from recsys_assets.errors import NotFoundError
from recsys_assets.logic.choices import EVERYBODY, Choices
from recsys_assets.models.base import Recommender
from recsys_assets.models.blend import DEFAULT, Blend
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.tuning import Tuning

MODELS: dict[str, Callable[..., Recommender]] = MEMBER_MODELS | {"blend": Blend}


def make_blend(tuning: Tuning, choices: Choices | None = None, threads: int = 0, *, every: bool = False) -> Blend:
    """The unfitted blend of these knobs, with what was chosen on validation (default: nothing was).

    It has the members that what is published asks, and always ``item_cf``, by which similar products are found.

    Args:
        tuning: all knobs.
        choices: by their ``kind``, the default blend's weights or chosen ones.
        threads: 0 = all cores; never changes a result.
        every: the default blend's weights, whatever was chosen, and beside its members those that a choice asks; where
            nothing was chosen yet, all that it may ask.
    """
    chosen = choices or Choices.unchosen(tuning)
    weights, by_type = default_weights(tuning, chosen), {}
    if every:
        asked = chosen.members or (tuning.blend.members if tuning.blend.kind != "default" else ())
        wanted = {*DEFAULT, *asked}
    elif chosen.kind == "default":
        wanted = {*DEFAULT}
    else:
        wanted = {*chosen.members, "item_cf"}
        weights = dict(chosen.weights[EVERYBODY])
        by_type = {kind: own for kind, own in chosen.weights.items() if kind != EVERYBODY}
    given = _parameters(tuning, chosen)
    types = tuple(tuning.user_types.model_dump().values())
    members = {name: given[name] for name in MEMBERS if name in wanted and name in MEMBER_MODELS}
    return Blend(weights=weights, members=members, by_type=by_type, types=types, threads=threads)


def default_weights(tuning: Tuning, choices: Choices) -> dict[str, float]:
    """The default blend's weights by member."""
    repeat = choices.repeat_weight if choices.repeats_allowed else 0.0
    return tuning.model_weights.model_dump() | {"personal": repeat}


def _parameters(tuning: Tuning, choices: Choices) -> dict[str, dict[str, Any]]:
    """Of every member that a shop's blend may have."""
    weight = tuning.event_weights.purchase
    return {
        "als": {
            "purchase_weight": weight,
            "factors": tuning.als.factors,
            "iterations": tuning.als.iterations,
            "regularization": choices.als_regularization,
            "alpha": tuning.als.alpha,
            "seed": tuning.seed,
        },
        "item_cf": {"purchase_weight": weight, **tuning.item_cf.model_dump()},
        "popularity": {"purchase_weight": weight, **tuning.popularity.model_dump()},
        "personal": {},
        "linear": {"purchase_weight": weight},
        "transitions": {},
        "session": {},
        "basket": {},
        "content": {"purchase_weight": weight, "popularity_exponent": tuning.content.popularity_exponent},
    }


def save(model: Recommender, folder: Path) -> None:
    """Write ``model.npz`` and ``model.json`` below ``folder``: the same bytes for the same model, and no people."""
    folder.mkdir(parents=True, exist_ok=True)
    # numpy's own savez_compressed takes 7 s for what this packs in 2: it knows only the slowest level.
    with zipfile.ZipFile(folder / "model.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for key, array in sorted(model.arrays().items()):
            with packed.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
    about = {"name": model.name, "parameters": model.parameters}
    (folder / "model.json").write_text(json.dumps(about, sort_keys=True, indent=2) + "\n", encoding="utf-8")


def load(name: str, folder: Path) -> Recommender:
    """The model that ``save`` wrote below ``folder``.

    Raises:
        NotFoundError: the folder holds no model, or one of another name.
    """
    try:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        with np.load(folder / "model.npz", allow_pickle=False) as stored:
            arrays = dict(stored)
    except FileNotFoundError as error:
        raise NotFoundError(f"{folder} holds no model: {error.filename} is missing; save one first") from error
    if about["name"] != name:
        raise NotFoundError(f"{folder} holds the model {about['name']!r} instead of {name!r}")
    model = MODELS[name](**about["parameters"])
    model.restore(arrays)
    return model
