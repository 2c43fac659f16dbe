"""What most people buy lately: the floor that every model has to beat."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys_assets.models.base import Arrays, Floats, Interactions, Matrix, names, signal
from recsys_assets.tables import MICROS

Counts = Literal["people", "purchases", "units"]


class Popularity:
    """Σ over people of their decayed purchases, each person counting at most once.

    ``counts`` may leave the cap away: each purchase then counts, or each unit of it. The cap keeps one heavy buyer from
    making a product popular, the decay makes it "lately": on a grocer's validation window NDCG@10 on new items is
    .0228, against .0214 for plain buyers and .0205 for the uncapped sum. A strong baseline is the only one worth
    beating.

    Args:
        purchase_weight: event weight that makes a whole purchase.
        window_days: only what was taken in so many days before the day that is looked from counts, undecayed; 0: all.
        trend_exponent: with a window, sales are multiplied by this power of their rise over the window before it
            (one person is added to both, so that a product's first buyer is no trend).
        counts: people who bought it, purchases, or units sold; where a source counts no units, a purchase is one.
        threads: a sum needs none.
    """

    name = "popularity"

    def __init__(
        self,
        *,
        purchase_weight: float = 5.0,
        window_days: int = 0,
        trend_exponent: float = 0.0,
        counts: Counts = "people",
        threads: int = 0,
    ) -> None:
        del threads
        self.purchase_weight = purchase_weight
        self.window_days = window_days
        self.trend_exponent = trend_exponent
        self.counts = counts

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {
            "purchase_weight": self.purchase_weight,
            "window_days": self.window_days,
            "trend_exponent": self.trend_exponent,
            "counts": self.counts,
        }

    def fit(self, train: Interactions) -> None:
        """Learn from ``train``; where the order of what was taken is not known, there is no window either."""
        self.product_ids = train.product_ids
        if not self.window_days or not len(train.steps.columns):
            self._scores = (self._counted(signal(train, self.purchase_weight), train) / MICROS).astype(np.float32)
            return
        recent = self._counted(self._between(train, 0, self.window_days), train)
        before = self._counted(self._between(train, self.window_days, 2 * self.window_days), train)
        rise = (recent + MICROS) / (before + MICROS)
        self._scores = (recent / MICROS * rise**self.trend_exponent).astype(np.float32)

    def _between(self, train: Interactions, youngest: int, oldest: int) -> Matrix:
        """People × products, in undecayed purchases, of what was last or earlier taken at these ages."""
        there = train.steps.where((train.steps.ages >= youngest) & (train.steps.ages < oldest))
        ones = np.ones(len(there.columns), dtype=np.float32)
        taken = sp.csr_matrix((ones, (there.rows, there.columns)), shape=train.weights.shape).astype(np.bool_)
        return sp.csr_matrix(train.weights.multiply(taken) * np.float32(1 / (self.purchase_weight or 1.0)))

    def _counted(self, taken: Matrix, train: Interactions) -> npt.NDArray[np.int64]:
        """Millionths per product of what is counted, of people × products in purchases.

        Whole numbers, so that the sum does not depend on the order of people.
        """
        if self.counts == "units" and train.units is not None:
            # What was bought on a purchase day, in units; a look stays the share of one purchase that it is.
            per_day = train.units.multiply(_inverse(train.purchases))
            taken = sp.csr_matrix(taken.multiply(per_day) + taken - taken.multiply(per_day.astype(np.bool_)))
        values = np.minimum(taken.data, 1.0) if self.counts == "people" else taken.data
        micros = np.rint(values.astype(np.float64) * MICROS).astype(np.int64)
        sums = np.zeros(taken.shape[1], dtype=np.int64)
        np.add.at(sums, taken.indices, micros)
        return sums

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        return np.repeat(self._scores[None, :], len(history.person_keys), axis=0)

    def arrays(self) -> Arrays:
        """Item-side arrays."""
        return {"product_ids": self.product_ids, "scores": self._scores}

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``."""
        self.product_ids = names(arrays)
        self._scores = arrays["scores"].astype(np.float32)


def _inverse(matrix: Matrix) -> Matrix:
    """1 ÷ each entry."""
    made = matrix.copy()
    made.data = np.float32(1) / made.data
    return made
