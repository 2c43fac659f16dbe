"""Matrix factorisation of implicit feedback."""

from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares

from recsys_assets.models.base import Arrays, Floats, Interactions, names, one_blas_thread, tastes


class Als:
    """Alternating least squares (Hu, Koren, Volinsky 2008) by ``implicit``, people folded in when they are scored.

    Only the item factors are kept; a person's vector is solved anew from the history that is asked with, so what is
    evaluated is what is served (a fitted vector differs from the folded-in one by up to .13). ``implicit`` gives the
    same bits on any number of threads; BLAS is held to one.
    """

    name = "als"

    def __init__(
        self,
        *,
        purchase_weight: float = 5.0,
        factors: int = 64,
        iterations: int = 8,
        regularization: float = 1.0,
        alpha: float = 1.0,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        self.purchase_weight = purchase_weight
        self.factors = factors
        self.iterations = iterations
        self.regularization = regularization
        self.alpha = alpha
        self.seed = seed
        self._threads = threads

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {
            "purchase_weight": self.purchase_weight,
            "factors": self.factors,
            "iterations": self.iterations,
            "regularization": self.regularization,
            "alpha": self.alpha,
            "seed": self.seed,
        }

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``."""
        self.product_ids = train.product_ids
        with one_blas_thread():
            solver = self._new_solver()
            solver.fit(tastes(train, self.purchase_weight), show_progress=False)
        self._use(solver.item_factors)

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        with one_blas_thread():
            people = self._solver.recalculate_user(
                np.arange(len(history.person_keys)), tastes(history, self.purchase_weight)
            )
            return np.asarray(people @ self.item_factors.T, dtype=np.float32)

    def arrays(self) -> Arrays:
        """Item-side arrays."""
        return {"product_ids": self.product_ids, "item_factors": self.item_factors}

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``."""
        self.product_ids = names(arrays)
        self._use(arrays["item_factors"].astype(np.float32))

    def _use(self, item_factors: Floats) -> None:
        """A solver that holds the item side only: the fitted one would keep every person's vector (promise 4)."""
        self.item_factors = item_factors
        with one_blas_thread():
            self._solver = self._new_solver()
        self._solver.item_factors = item_factors

    def _new_solver(self) -> Any:
        return AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularization,
            alpha=self.alpha,
            iterations=self.iterations,
            random_state=self.seed,
            num_threads=self._threads,
            use_gpu=False,
        )
