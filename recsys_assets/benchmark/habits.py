"""What a person's baskets say of a product beside the scores of models: what a ranker may weigh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys_assets.models.base import Steps
from recsys_assets.models.pool import Pool

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Habits:
    """Facts of pairs (person, product), of people and of products, counted in baskets.

    ``pairs`` is person · products + column of each pair that was taken, ascending; ``of_pairs``, ``of_people`` and
    ``of_products`` hold one value per pair, person and product.
    """

    products: int
    pairs: npt.NDArray[np.int64]
    of_pairs: dict[str, Doubles]
    of_people: dict[str, Doubles]
    of_products: dict[str, Doubles]

    @classmethod
    def of(cls, steps: Steps, products: int) -> Habits:
        """The habits of ``steps``, whose ages are baskets: 1 is a person's latest one."""
        people, rows, columns = len(steps.indptr) - 1, steps.rows, steps.columns
        ages = steps.ages.astype(np.float64)
        pairs, first, inverse, times = np.unique(
            rows * products + columns, return_index=True, return_inverse=True, return_counts=True
        )
        newest, oldest = np.full(len(pairs), np.inf), np.zeros(len(pairs))
        np.minimum.at(newest, inverse, ages)
        np.maximum.at(oldest, inverse, ages)
        again = times > 1
        gaps = (oldest - newest) / np.maximum(times - 1, 1)
        owners, taken = rows[first], columns[first]

        def per_person(values: npt.NDArray[np.generic] | None = None) -> Doubles:
            return np.bincount(rows, values, people).astype(np.float64)

        def per_product(values: npt.NDArray[np.generic] | None = None) -> Doubles:
            return np.bincount(columns, values, products).astype(np.float64)

        entries, latest = per_product(), (ages <= 1).astype(np.float64)
        kinds = np.bincount(owners, minlength=people).astype(np.float64)
        baskets = np.zeros(people)
        np.maximum.at(baskets, rows, ages)
        sizes = per_person()[rows] / np.maximum(baskets, 1)[rows]
        buyers = np.bincount(taken, minlength=products).astype(np.float64)
        usual_gaps = _share(np.bincount(taken, gaps * again, products), np.bincount(taken, again, products))
        return cls(
            products,
            pairs,
            of_pairs={
                "times": times.astype(np.float64),
                "since": newest,
                "tenure": oldest,
                "gap": np.where(again, gaps, 0.0),
                "regularity": times / np.maximum(baskets, 1)[owners],
                "overdue": newest / np.maximum(usual_gaps, 1)[taken],
            },
            of_people={
                "person_baskets": baskets,
                "person_size": _share(per_person(), baskets),
                "person_latest_size": per_person(latest),
                "person_kinds": kinds,
                "person_repeats": _share(per_person() - kinds, per_person()),
                "person_mainstream": _share(per_person(np.log1p(entries)[columns]), per_person()),
            },
            of_products={
                "product_entries": entries,
                "product_people": buyers,
                "product_repeats": _share(entries - buyers, entries),
                "product_trend": _share(per_product(latest), entries),
                "product_size": _share(per_product(sizes), entries),
                "product_gap": usual_gaps,
            },
        )

    def beside(self, pool: Pool, asked: npt.NDArray[np.intp]) -> Pool:
        """``pool`` with these facts; those of a pair are 0 where the person never took the product.

        Args:
            pool: candidates of some people.
            asked: the places of those people among the people of the steps.
        """
        people = asked[pool.rows]
        keys = people * self.products + pool.columns
        places = np.minimum(np.searchsorted(self.pairs, keys), max(len(self.pairs) - 1, 0))
        known = self.pairs[places] == keys if len(self.pairs) else np.zeros(len(keys), dtype=np.bool_)
        told = {
            name: np.where(known, values[places], 0.0) if len(values) else np.zeros(len(keys))
            for name, values in self.of_pairs.items()
        }
        told |= {name: values[people] for name, values in self.of_people.items()}
        told |= {name: values[pool.columns] for name, values in self.of_products.items()}
        return pool.beside(told)


def _share(values: npt.NDArray[np.generic], of: npt.NDArray[np.generic]) -> Doubles:
    """0 where there is nothing to share."""
    made: Doubles = np.asarray(values, dtype=np.float64) / np.maximum(of, 1)
    return made
