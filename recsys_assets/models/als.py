"""Matrix factorisation of implicit feedback."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares

from recsys_assets.models.base import Arrays, Floats, Interactions, Matrix, names, one_blas_thread, tastes


class Als:
    """Alternating least squares (Hu, Koren, Volinsky 2008) by ``implicit``, people folded in when they are scored.

    Only the item factors are kept; a person's vector is solved anew from the history that is asked with, so what is
    evaluated is what is served (a fitted vector differs from the folded-in one by up to .13). ``implicit`` gives the
    same bits on any number of threads; BLAS is held to one.

    Args:
        purchase_weight: a purchase's, as in ``signal``.
        factors: length of a vector.
        iterations: rounds of fitting.
        regularization: penalty on vectors.
        frequency_exponent: a row's penalty grows with its weight, Σ confidence of all its pairs against that of a row
            without observed ones, to this power (1 is what Rendle et al. 2022 advise, 0 penalises all rows alike).
            ``implicit`` knows one penalty only, so rows are solved in groups whose penalties lie within a fifth.
        alpha: weight of what was taken against 1 of what was not: its reverse is the unobserved weight.
        seed: of the first vectors.
        threads: 0 = all cores; never changes a result.
    """

    name = "als"

    def __init__(
        self,
        *,
        purchase_weight: float = 5.0,
        factors: int = 64,
        iterations: int = 8,
        regularization: float = 1.0,
        frequency_exponent: float = 0.0,
        alpha: float = 1.0,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        self.purchase_weight = purchase_weight
        self.factors = factors
        self.iterations = iterations
        self.regularization = regularization
        self.frequency_exponent = frequency_exponent
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
            "frequency_exponent": self.frequency_exponent,
            "alpha": self.alpha,
            "seed": self.seed,
        }

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``."""
        self.product_ids = train.product_ids
        with one_blas_thread():
            solver = self._new_solver(self.regularization)
            taken = tastes(train, self.purchase_weight)
            if self.frequency_exponent:
                self._alternate(solver, taken)
            else:
                solver.fit(taken, show_progress=False)
        self._use(solver.item_factors)

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        taken = tastes(history, self.purchase_weight)
        with one_blas_thread():
            people = np.zeros((len(history.person_keys), self.factors), dtype=np.float32)
            for penalty, rows in self._groups(taken):
                people[rows] = self._solver_of(penalty).recalculate_user(rows, taken[rows])
            return np.asarray(people @ self.item_factors.T, dtype=np.float32)

    def arrays(self) -> Arrays:
        """Item-side arrays."""
        return {"product_ids": self.product_ids, "item_factors": self.item_factors}

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``."""
        self.product_ids = names(arrays)
        self._use(arrays["item_factors"].astype(np.float32))

    def _use(self, item_factors: Floats) -> None:
        """Solvers hold the item side only from here on: the fitted one would keep every person's vector (promise 4)."""
        self.item_factors = item_factors
        self._solvers: dict[float, Any] = {}

    def _solver_of(self, penalty: float) -> Any:
        if penalty not in self._solvers:
            solver = self._new_solver(penalty)
            solver.item_factors = self.item_factors
            self._solvers[penalty] = solver
        return self._solvers[penalty]

    def _groups(self, taken: Matrix) -> list[tuple[float, npt.NDArray[np.intp]]]:
        """Penalties, and the rows that have them: the lightest first."""
        if not self.frequency_exponent:
            return [(self.regularization, np.arange(taken.shape[0]))]
        weight = 1 + self.alpha * np.asarray(taken.sum(axis=1), dtype=np.float64).ravel() / taken.shape[1]
        steps = np.rint(4 * self.frequency_exponent * np.log2(weight))
        return [
            (float(self.regularization * 2 ** (step / 4)), np.flatnonzero(steps == step)) for step in np.unique(steps)
        ]

    def _alternate(self, solver: Any, taken: Matrix) -> None:
        """``solver.fit``, group by group; ``solver`` holds the item factors afterwards."""
        random = np.random.RandomState(self.seed)
        # Both sides, each as rows × the other side, with its factors and its groups.
        sides = [taken, sp.csr_matrix(taken.T)]
        factors = [random.random_sample((side.shape[0], self.factors)).astype(np.float32) * 0.01 for side in sides]
        parts = [
            [(penalty, rows, np.float32(self.alpha) * side[rows]) for penalty, rows in self._groups(side)]
            for side in sides
        ]
        for _ in range(self.iterations):
            for own, other in ((0, 1), (1, 0)):
                for penalty, rows, confidences in parts[own]:
                    solved = factors[own][rows]
                    solver.solver(confidences, solved, factors[other], penalty, num_threads=self._threads)
                    factors[own][rows] = solved
        solver.item_factors = factors[1]

    def _new_solver(self, penalty: float) -> Any:
        return AlternatingLeastSquares(
            factors=self.factors,
            regularization=penalty,
            alpha=self.alpha,
            iterations=self.iterations,
            random_state=self.seed,
            num_threads=self._threads,
            use_gpu=False,
        )
