"""The one protocol of all models, and the frozen value that they are fitted on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
from threadpoolctl import ThreadpoolController

from recsys_assets.logic.people_order import mixed
from recsys_assets.tables import MICROS

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[np.generic]]
Matrix = sp.csr_matrix[np.float32]
_LEAST_SPENDING = 0.01  # of a gift: a ratio of 0 would be no entry, and lose the product


@dataclass(frozen=True)
class Steps:
    """What each person took, in order: one entry per person, basket and product, oldest first.

    Entries of the person in row i are ``indptr[i]:indptr[i + 1]``. ``columns`` is the product's column. ``baskets``
    numbers what the person took at once, from 0 (its products have no order between them); ``visits`` numbers the
    sessions that baskets fell into, from 0. ``ages`` is the days between the entry and the day that is looked from;
    where a source knows an order and no days, steps of that order.
    """

    indptr: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    baskets: npt.NDArray[np.int32]
    visits: npt.NDArray[np.int32]
    ages: Floats

    def __post_init__(self) -> None:
        for name in ("columns", "baskets", "visits", "ages"):
            assert len(getattr(self, name)) == self.indptr[-1], (
                f"{len(getattr(self, name))} {name}, not {self.indptr[-1]}"
            )

    @classmethod
    def none(cls, people: int) -> Steps:
        """Nobody took anything that we know the order of."""
        empty = np.zeros(0, dtype=np.int32)
        return cls(np.zeros(people + 1, dtype=np.int64), empty, empty, empty, np.zeros(0, dtype=np.float32))

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, people: npt.NDArray[np.str_], products: npt.NDArray[np.str_]) -> Steps:
        """Rows of table STEPS, in any order; those of other people and products are left out."""
        known = (
            frame.join(_places(people, "person_key", "_row"), on="person_key")
            .join(_places(products, "product_id", "_column"), on="product_id")
            .sort("_row", "basket", "_column")
        )
        lengths = np.bincount(known["_row"].to_numpy(), minlength=len(people))
        return cls(
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            known["_column"].to_numpy().astype(np.int32),
            known["basket"].to_numpy().astype(np.int32),
            known["visit"].to_numpy().astype(np.int32),
            known["age_days"].to_numpy().astype(np.float32),
        )

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Each entry's person."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def take(self, places: npt.NDArray[np.intp]) -> Steps:
        """The entries of the people at ``places``, in that order."""
        lengths = np.diff(self.indptr)[places]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        entries = np.arange(indptr[-1]) + np.repeat(self.indptr[places] - indptr[:-1], lengths)
        return Steps(indptr, self.columns[entries], self.baskets[entries], self.visits[entries], self.ages[entries])

    def where(self, mask: npt.NDArray[np.bool_]) -> Steps:
        """The entries of ``mask``; baskets and visits keep their numbers."""
        indptr = np.concatenate([[0], np.cumsum(mask)])[self.indptr].astype(np.int64)
        return Steps(indptr, self.columns[mask], self.baskets[mask], self.visits[mask], self.ages[mask])


@dataclass(frozen=True)
class Interactions:
    """People × products, with the keys of both sides: rows follow ``person_keys``, columns ``product_ids``.

    ``weights`` is Σ event weights, ``frequency`` the decayed number of purchase days, ``purchases`` the number of
    purchase days, ``spending`` the price paid against the person's usual one (1 where unknown); zeros are not stored.
    ``steps`` is the same in order, where the order is known. ``features`` is products × facts, rows of length 1, where
    a catalogue is known: all that can be said of a product that nobody took. ``units`` is what was bought of it, where
    a source counts units.
    Keys of both sides are sorted, so a column's place is its rank by id and
    "ties by product id" means "ties by column".
    """

    person_keys: npt.NDArray[np.str_]
    product_ids: npt.NDArray[np.str_]
    weights: Matrix
    frequency: Matrix
    purchases: Matrix
    spending: Matrix
    steps: Steps = field(default_factory=lambda: Steps.none(0))
    features: Matrix | None = None
    units: Matrix | None = None

    def __post_init__(self) -> None:
        shape = (len(self.person_keys), len(self.product_ids))
        if len(self.steps.indptr) == 1 and shape[0]:
            object.__setattr__(self, "steps", Steps.none(shape[0]))
        assert len(self.steps.indptr) == shape[0] + 1, f"steps of {len(self.steps.indptr) - 1} people, not {shape[0]}"
        if self.features is not None:
            assert self.features.shape[0] == shape[1], f"features of {self.features.shape[0]} products, not {shape[1]}"
        for name in ("weights", "frequency", "purchases", "spending"):
            assert getattr(self, name).shape == shape, f"{name} is {getattr(self, name).shape} instead of {shape}"
        assert (self.person_keys[1:] > self.person_keys[:-1]).all(), "person keys are sorted and unique"
        assert (self.product_ids[1:] > self.product_ids[:-1]).all(), "product ids are sorted and unique"

    @classmethod
    def from_frame(
        cls,
        frame: pl.DataFrame,
        product_ids: npt.NDArray[np.str_] | None = None,
        person_keys: npt.NDArray[np.str_] | None = None,
        *,
        steps: pl.DataFrame | None = None,
        features: Matrix | None = None,
    ) -> Interactions:
        """Matrices of table INTERACTIONS.

        Args:
            frame: table INTERACTIONS, rows in any order.
            product_ids: the columns, sorted; rows of other products are left out. Default: every product of the frame.
            person_keys: the rows, sorted; default: every person of the frame, also one left without products.
            steps: table STEPS, rows in any order; those of other people and products are left out.
            features: products × facts of the catalogue, in the order of ``product_ids``.
        """
        people = _sorted_ids(frame["person_key"]) if person_keys is None else person_keys
        products = _sorted_ids(frame["product_id"]) if product_ids is None else product_ids
        known = (
            frame.select(
                "person_key",
                "product_id",
                "weight_micros",
                "frequency_micros",
                "purchases",
                "units",
                pl.col("spending_ratio").fill_null(1.0).clip(lower_bound=_LEAST_SPENDING),
            )
            .join(_places(people, "person_key", "_row"), on="person_key")
            .join(_places(products, "product_id", "_column"), on="product_id")
            .sort("_row", "_column")
        )
        rows, columns = known["_row"].to_numpy(), known["_column"].to_numpy()
        shape = (len(people), len(products))

        def matrix(column: str, unit: int) -> Matrix:
            values = (known[column].to_numpy() / unit).astype(np.float32)
            made = sp.csr_matrix((values, (rows, columns)), shape=shape)
            made.eliminate_zeros()
            return made

        return cls(
            people,
            products,
            weights=matrix("weight_micros", MICROS),
            frequency=matrix("frequency_micros", MICROS),
            purchases=matrix("purchases", 1),
            spending=matrix("spending_ratio", 1),
            steps=Steps.none(len(people)) if steps is None else Steps.from_frame(steps, people, products),
            features=features,
            units=matrix("units", 1),
        )

    @property
    def owned(self) -> sp.csr_matrix[np.int32]:
        """1 where the person bought the product."""
        return sp.csr_matrix(self.purchases.astype(np.bool_).astype(np.int32))

    def rows(self, start: int, stop: int) -> Interactions:
        """The people from place ``start`` up to ``stop``."""
        return self.take(np.arange(start, min(stop, len(self.person_keys))))

    def take(self, places: npt.NDArray[np.intp]) -> Interactions:
        """The people at ``places``, which ascend."""
        return Interactions(
            self.person_keys[places],
            self.product_ids,
            self.weights[places],
            self.frequency[places],
            self.purchases[places],
            self.spending[places],
            self.steps.take(places),
            self.features,
            self.units if self.units is None else self.units[places],
        )


def called_by_number(people: Interactions) -> Interactions:
    """The same people under numbers, in an order that what they did decides and no secret: what a model learns from.

    A model keeps no people, but sums over them in their order, and among equals the first ones are its neighbours; see
    `logic.people_order`, which does the same where events are at hand.
    """
    order = np.argsort(_hashes(people), kind="stable")
    return Interactions(
        np.array([f"{number:010}" for number in range(len(order))], dtype=np.str_),
        people.product_ids,
        people.weights[order],
        people.frequency[order],
        people.purchases[order],
        people.spending[order],
        people.steps.take(order),
        people.features,
        people.units if people.units is None else people.units[order],
    )


def _hashes(people: Interactions) -> npt.NDArray[np.uint64]:
    """One per person, of all entries of their row and of their steps; sums may overflow."""
    made = np.zeros(len(people.person_keys), dtype=np.uint64)
    steps = people.steps
    parts: list[tuple[npt.NDArray[Any], npt.NDArray[Any], tuple[npt.NDArray[Any], ...]]] = [
        (one.indptr, one.indices, (one.data.view(np.uint32),))
        for one in (people.weights, people.frequency, people.purchases, people.spending)
    ]
    parts.append((steps.indptr, steps.columns, (steps.baskets, steps.visits, steps.ages.view(np.uint32))))
    for salt, (starts, columns, values) in enumerate(parts):
        entries = mixed(columns.astype(np.uint64) + np.uint64(salt << 40))
        for told in values:
            entries = mixed(entries ^ told.astype(np.uint64))
        sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(entries, dtype=np.uint64)])
        made += sums[starts[1:]] - sums[starts[:-1]]
    return made


class Recommender(Protocol):
    """What every model can do. It keeps nothing of the people that it was fitted on (promise 4)."""

    name: str

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes, as JSON values."""
        ...

    def fit(self, train: Interactions) -> None:
        """Learn the item-side arrays from ``train``."""
        ...

    def scores(self, history: Interactions) -> Floats:
        """People of ``history`` × products of the training, float32, 0 where the model has nothing to say.

        ``history`` has the columns of the training; its people need not have been in it.
        """
        ...

    def arrays(self) -> Arrays:
        """All that the fitted model knows: item-side arrays and parameters."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``."""
        ...


@runtime_checkable
class Neighbourly(Protocol):
    """A model that asks people like this one: it keeps nothing of them, so it is told anew before it scores."""

    def meet(self, people: Interactions) -> None:
        """Hand over the people to ask, with the columns of the training. ``fit`` does so too, ``restore`` cannot."""
        ...


@runtime_checkable
class Sparsely(Protocol):
    """A model that knows nothing of most products: its scores are cheaper where they are not laid out."""

    def sparse_scores(self, history: Interactions) -> Matrix:
        """``scores`` without the zeros; each row names a column at most once, in any order."""
        ...


def signal(history: Interactions, purchase_weight: float) -> Matrix:
    """People × products, in purchases: the decayed purchase days; where nothing was bought, Σ weights ÷ a purchase's.

    So a shop that sends only views still gets models, and a view counts a fifth of a purchase by default.
    """
    bought = history.purchases.astype(bool)
    unbought = history.weights - history.weights.multiply(bought)
    made = sp.csr_matrix(history.frequency + unbought * np.float32(1 / (purchase_weight or 1.0)), dtype=np.float32)
    made.eliminate_zeros()
    made.sort_indices()
    return made


def tastes(history: Interactions, purchase_weight: float) -> Matrix:
    """``signal`` damped by a logarithm: what als and item_cf learn from.

    The decay matters more than it seems: on a year of a grocer's purchases (validation window) ALS reaches an NDCG@10
    on new items of .0301 with it, .0297 on undecayed counts and .0289 on plain ones and zeros.
    """
    matrix = signal(history, purchase_weight)
    matrix.data = np.log1p(matrix.data)
    return matrix


def names(arrays: Arrays) -> npt.NDArray[np.str_]:
    """The product ids that travel with a model's arrays."""
    return arrays["product_ids"].astype(np.str_)


def one_blas_thread() -> AbstractContextManager[object]:
    """Products of matrices are then the same on any number of cores; BLAS splits its sums by threads."""
    made: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return made


@cache
def _libraries() -> ThreadpoolController:
    """The process's, looked for once: that takes milliseconds, and this is asked for every block of people."""
    return ThreadpoolController()


def _sorted_ids(ids: pl.Series) -> npt.NDArray[np.str_]:
    return np.array(sorted(ids.unique().to_list()), dtype=np.str_)


def _places(ids: npt.NDArray[np.str_], column: str, place: str) -> pl.DataFrame:
    return pl.DataFrame({column: ids.tolist(), place: np.arange(len(ids))}, schema={column: pl.String, place: pl.Int64})
