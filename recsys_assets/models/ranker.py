"""A learned order of candidates: gradient-boosted trees that optimise NDCG."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_assets.models.base import Floats
from recsys_assets.models.pool import Pool


class Ranker:
    """LambdaMART (Burges 2010) by LightGBM over the features of a pool: member scores, facts of product and person.

    Trained on candidates of people whose next purchase is known, from a window that no test looks at. Deterministic
    on any number of threads.
    """

    def __init__(
        self,
        *,
        trees: int = 200,
        leaves: int = 31,
        learning_rate: float = 0.05,
        least_in_leaf: int = 50,
        truncation: int = 20,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        self.parameters: dict[str, Any] = {
            "trees": trees,
            "leaves": leaves,
            "learning_rate": learning_rate,
            "least_in_leaf": least_in_leaf,
            "truncation": truncation,
            "seed": seed,
        }
        self._threads = threads
        self._booster: Any = None
        self.names: tuple[str, ...] = ()

    def fit(self, pool: Pool, hits: npt.NDArray[np.bool_]) -> None:
        """Learn from candidates of which ``hits`` were taken; people without a hit teach nothing and are left out."""
        import lightgbm

        taught = np.unique(pool.rows[hits])
        kept = np.isin(pool.rows, taught)
        given = self.parameters
        self.names = pool.names
        self._booster = lightgbm.train(
            {
                "objective": "lambdarank",
                "num_leaves": given["leaves"],
                "learning_rate": given["learning_rate"],
                "min_data_in_leaf": given["least_in_leaf"],
                "lambdarank_truncation_level": given["truncation"],
                "seed": given["seed"],
                "num_threads": self._threads,
                "deterministic": True,
                "force_row_wise": True,
                "verbosity": -1,
            },
            lightgbm.Dataset(
                pool.features[kept],
                label=hits[kept].astype(np.int8),
                group=np.unique(pool.rows[kept], return_counts=True)[1],
                feature_name=[f"f{place}" for place in range(len(pool.names))],
                free_raw_data=True,
            ),
            num_boost_round=given["trees"],
        )

    def scores(self, pool: Pool) -> Floats:
        """One score per entry of a pool with the same features; higher is better, on no scale of its own."""
        assert pool.names == self.names, f"learned on {self.names} and asked about {pool.names}"
        if not len(pool.rows):
            return np.zeros(0, dtype=np.float32)
        made = self._booster.predict(pool.features, num_threads=self._threads)
        return np.asarray(made, dtype=np.float32)

    def to_text(self) -> str:
        """The trees, as LightGBM writes them; without the parameters of fitting, which name the threads."""
        text: str = self._booster.model_to_string()
        return text.partition("\nparameters:\n")[0] + "\n"

    def from_text(self, text: str, names: tuple[str, ...]) -> None:
        """The reverse of ``to_text``."""
        import lightgbm

        self._booster = lightgbm.Booster(model_str=text)
        self.names = names


def confident(raw: Floats) -> Floats:
    """What trees say, from 0 to 1 and rounded to 6 decimals, so that Level 2's factors mean what they do elsewhere.

    >>> confident(np.array([-20.0, 0.0, 1.0], dtype=np.float32)).round(3).tolist()
    [0.0, 0.5, 0.7310000061988831]
    """
    return np.maximum(np.round(1 / (1 + np.exp(-raw.astype(np.float64))), 6), 1e-6).astype(np.float32)
