"""What lists are like apart from their hits: how well known, how unlike, how dear their products are, and how many."""

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.logic.metrics import PerPerson, coverage, diversity, mean_over_list, self_information
from recsys_assets.logic.price_tiers import TIERS, price_tiers, product_tiers
from recsys_assets.models.base import Matrix
from recsys_assets.models.holdout import Holdout, Listed
from recsys_assets.tuning import Tuning

COVERAGE = "coverage"


class ListFigures:
    """Figures of a window's lists, over its products.

    Args:
        held: the window; novelty counts the buyers of its training.
        catalog: table CATALOG; without it, price tiers and (where no facts of products are known) diversity are left
            out.
        tuning: ``price_tiers`` is read.
    """

    def __init__(self, held: Holdout, catalog: pl.DataFrame | None, tuning: Tuning) -> None:
        train = held.train
        self._listable = held.listable
        self._of_product: dict[str, npt.NDArray[np.float64]] = {
            "novelty": self_information(
                np.bincount(train.purchases.indices, minlength=len(train.product_ids)), len(train.person_keys)
            )
        }
        self._alike: Matrix | None = train.features
        if catalog is not None:
            products = product_tiers(catalog, price_tiers(catalog, tuning))
            asked = pl.DataFrame({"product_id": train.product_ids.tolist()}, schema={"product_id": pl.String})
            known = asked.join(products, on="product_id", how="left", maintain_order="left")
            tier = known["price_tier"]
            self._of_product |= {f"tier_{name}": (tier == name).fill_null(False).to_numpy() * 1.0 for name in TIERS}
            if self._alike is None:
                self._alike = _one_per_category(known["category"])

    def per_person(self, listed: Listed, k: int) -> dict[str, PerPerson]:
        """By name, one figure per person of the first ``k`` places."""
        found = {name: mean_over_list(listed.columns, values, k) for name, values in self._of_product.items()}
        if self._alike is not None:
            found["diversity"] = diversity(listed.columns, self._alike, k)
        return found

    def coverage(self, listed: Listed, k: int) -> float:
        """Share of what may be listed that stands among anybody's first ``k`` places."""
        return coverage(listed.columns, self._listable, k)


def _one_per_category(categories: pl.Series) -> Matrix:
    """Products × categories: 1 where the product is of it."""
    known = np.nonzero(categories.is_not_null().to_numpy())[0]
    names = categories.drop_nulls()
    order = sorted(set(names.to_list()))
    place = {name: column for column, name in enumerate(order)}
    columns = np.array([place[name] for name in names], dtype=np.int64)
    shape = (len(categories), max(len(order), 1))
    return sp.csr_matrix((np.ones(len(known), dtype=np.float32), (known, columns)), shape=shape)
