"""What a person buys again and again: the baseline wherever repeats are allowed."""

from typing import Any

import numpy as np

from recsys_assets.models.base import Arrays, Floats, Interactions, Matrix, names


class Personal:
    """The person's own purchase days of each product, decayed by age; nothing on what was never bought.

    All it knows is in the history that it is asked with, so there is nothing to learn or to keep.
    """

    name = "personal"

    def __init__(self, *, threads: int = 0) -> None:
        del threads  # a lookup needs none

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {}

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``."""
        self.product_ids = train.product_ids

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        return history.frequency.toarray().astype(np.float32, copy=False)

    def sparse_scores(self, history: Interactions) -> Matrix:
        """The same without zeros."""
        return history.frequency

    def arrays(self) -> Arrays:
        """Item-side arrays."""
        return {"product_ids": self.product_ids}

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``."""
        self.product_ids = names(arrays)
