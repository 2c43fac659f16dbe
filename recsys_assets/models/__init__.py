"""One Recommender protocol, one file per model, and their blend."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recsys_assets.errors import NotFoundError
from recsys_assets.logic.choices import Choices
from recsys_assets.models.base import Recommender
from recsys_assets.models.blend import Blend
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.tuning import Tuning

MODELS: dict[str, Callable[..., Recommender]] = MEMBER_MODELS | {"blend": Blend}


def make_blend(tuning: Tuning, choices: Choices | None = None, threads: int = 0) -> Blend:
    """The unfitted blend of these knobs, with what was chosen on validation (default: nothing was).

    ``threads`` 0 means all cores; it never changes a result.
    """
    weight = tuning.event_weights.purchase
    chosen = choices or Choices.unchosen(tuning)
    members: dict[str, dict[str, Any]] = {
        "als": {
            "purchase_weight": weight,
            "factors": tuning.als.factors,
            "iterations": tuning.als.iterations,
            "regularization": chosen.als_regularization,
            "alpha": tuning.als.alpha,
            "seed": tuning.seed,
        },
        "item_cf": {"purchase_weight": weight, **tuning.item_cf.model_dump()},
        "popularity": {"purchase_weight": weight},
        "personal": {},
    }
    weights = tuning.model_weights.model_dump() | {"personal": chosen.repeat_weight if chosen.repeats_allowed else 0.0}
    return Blend(weights=weights, members=members, threads=threads)


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
