"""Candidates of several members in one place: what rankers and weights are learned from, and applied to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys_assets.models.base import Floats
from recsys_assets.models.top import Places, top


@dataclass(frozen=True)
class Pool:
    """Products that some member puts forward for a person: one entry per person and product, by person, then column.

    ``rows`` is the person's row, ``columns`` the product's column, ``features`` entries × ``names``.
    """

    rows: Places
    columns: Places
    features: Floats
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.features.shape == (len(self.rows), len(self.names)), f"features are {self.features.shape}"

    def feature(self, name: str) -> Floats:
        """One column of ``features``."""
        return self.features[:, self.names.index(name)]

    def beside(self, others: Mapping[str, npt.NDArray[np.generic]]) -> Pool:
        """The same entries with more features."""
        added = [np.asarray(values, dtype=np.float32)[:, None] for values in others.values()]
        return Pool(self.rows, self.columns, np.hstack([self.features, *added]), (*self.names, *others))

    def select(self, names: Sequence[str]) -> Pool:
        """The same entries with the features of ``names``, in that order."""
        places = [self.names.index(name) for name in names]
        return Pool(self.rows, self.columns, np.ascontiguousarray(self.features[:, places]), tuple(names))

    def where(self, mask: npt.NDArray[np.bool_]) -> Pool:
        """The entries of ``mask``; rows keep their numbers."""
        return Pool(self.rows[mask], self.columns[mask], self.features[mask], self.names)

    def groups(self, people: int) -> Places:
        """Entries per person, as LightGBM wants them; people without entries count 0."""
        return np.bincount(self.rows, minlength=people).astype(np.int64)

    @classmethod
    def concat(cls, pools: list[Pool], offsets: list[int]) -> Pool:
        """Pools of blocks of people under one another; ``offsets`` is each block's first row."""
        return cls(
            np.concatenate([pool.rows + offset for pool, offset in zip(pools, offsets, strict=True)]),
            np.concatenate([pool.columns for pool in pools]),
            np.vstack([pool.features for pool in pools]),
            pools[0].names,
        )


def pooled(members: Mapping[str, Floats], depth: int | Mapping[str, int]) -> Pool:
    """The union of each member's ``depth`` best products per person, with what every member says of each.

    Args:
        members: people × products each; 0 where a product may not be listed.
        depth: for all members, or by name (0: the member is only asked about what others put forward).
    """
    names = tuple(members)
    products = members[names[0]].shape[1]
    keys = []
    for name in names:
        picks = top(members[name], depth if isinstance(depth, int) else depth.get(name, 0))
        keys.append(picks.rows * products + picks.columns)
    rows, columns = np.divmod(np.unique(np.concatenate(keys)), products)
    features = np.stack([members[name][rows, columns] for name in names], axis=1).astype(np.float32, copy=False)
    return Pool(rows, columns, features, names)
