"""`python -m recsys_assets_tests.chaos.run_same_for_all JOB FIRST LAST`: as run_job, with models that have gone wrong.

What is trained and measured is as it should be; what is read back afterwards says the same of everybody.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets_tests.assets.run_job import main

PRODUCTS = 12


def spoil(model: Callable[..., Any]) -> None:
    """Models of this class, once restored, rank the same few products for everybody."""
    restore = model.restore  # type: ignore[attr-defined]  # a member's class

    def spoilt(self: Any, arrays: Any) -> None:
        restore(self, arrays)
        products = len(arrays["product_ids"])
        row = np.zeros(products, dtype=np.float32)
        row[:PRODUCTS] = np.arange(PRODUCTS, 0, -1)
        self.scores = lambda history: np.repeat(row[None, :], len(history.person_keys), axis=0)
        self.sparse_scores = lambda history: sp.csr_matrix(self.scores(history))

    model.restore = spoilt  # type: ignore[attr-defined]  # a member's class


if __name__ == "__main__":
    for member in MEMBER_MODELS.values():
        spoil(member)
    main(*sys.argv[1:])
