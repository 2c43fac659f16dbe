"""What a learned order is told of products and people beside the members' scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.logic.facts import facts
from recsys_assets.models.base import Floats, Interactions, Matrix
from recsys_assets.models.fused import Said, values_at
from recsys_assets.models.pool import Pool
from recsys_assets.models.top import Places
from recsys_assets.tables import MICROS
from recsys_assets.tuning import Tuning


def columns_of(
    seen: pl.DataFrame, recommendable: Sequence[str], catalog: pl.DataFrame | None, tuning: Tuning
) -> npt.NDArray[np.str_]:
    """Products that models have a column for: all in ``seen`` (INTERACTIONS), sorted.

    Where a catalogue's facts are looked at, all recommendable ones of it too: content alone reaches what nobody took
    yet.
    """
    known = set(seen["product_id"].unique().to_list())
    if catalog is not None and uses_content(tuning):
        known |= set(recommendable) & set(catalog["product_id"].to_list())
    return np.array(sorted(known), dtype=np.str_)


def features_of(product_ids: npt.NDArray[np.str_], catalog: pl.DataFrame | None, tuning: Tuning) -> Matrix | None:
    """Products × facts of the catalogue; None where they are not looked at."""
    return facts(catalog, product_ids, tuning.content) if catalog is not None and uses_content(tuning) else None


def uses_content(tuning: Tuning) -> bool:
    """Whether the shop's blend may ask what the catalogue says of products."""
    return tuning.blend.kind != "default" and "content" in tuning.blend.members


@dataclass(frozen=True)
class Traits:
    """One entry per product, as far as the interactions of the training say: nothing of it knows a later day.

    ``buyers`` is people who bought it, ``recent`` the share of them who did so lately, ``price`` what a unit cost them
    (NaN where nobody bought it), ``category`` a number of its top category (-1: unknown).
    """

    buyers: Floats
    recent: Floats
    price: Floats
    category: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        seen: pl.DataFrame,
        product_ids: npt.NDArray[np.str_],
        as_of: date,
        recent_days: int,
        catalog: pl.DataFrame | None = None,
    ) -> Traits:
        """Traits of ``product_ids``.

        Args:
            seen: table INTERACTIONS as of ``as_of``.
            product_ids: the products, sorted.
            as_of: the last day that is known.
            recent_days: days that count as lately.
            catalog: ``product_id`` and ``category`` paths, where they are known.
        """
        recent = pl.col("last_purchase_date") > as_of - timedelta(days=recent_days)
        sold = (
            seen.filter(pl.col("purchases") > 0)
            .group_by("product_id")
            .agg(
                pl.len().alias("_buyers"),
                recent.sum().alias("_recent"),
                pl.col("spend_micros", "priced_units").sum(),
            )
        )
        products = pl.DataFrame({"product_id": product_ids.tolist()}, schema={"product_id": pl.String})
        known = products.join(sold, on="product_id", how="left", maintain_order="left")
        price = pl.when(pl.col("priced_units") > 0).then(pl.col("spend_micros") / pl.col("priced_units") / MICROS)
        asked = known.select(
            pl.col("_buyers").fill_null(0),
            (pl.col("_recent") / pl.col("_buyers")).fill_null(0.0).alias("_recent"),
            price.alias("_price"),
        )
        return cls(
            asked["_buyers"].cast(pl.Float32).to_numpy(),
            asked["_recent"].cast(pl.Float32).to_numpy(),
            asked["_price"].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
            _categories(products, catalog),
        )


def _categories(products: pl.DataFrame, catalog: pl.DataFrame | None) -> npt.NDArray[np.int64]:
    if catalog is None:
        return np.full(products.height, -1, dtype=np.int64)
    top = pl.col("category").str.split(">").list.first().str.strip_chars()
    named = products.join(
        catalog.select("product_id", top.alias("_top")), on="product_id", how="left", maintain_order="left"
    )
    # Numbered by name, so that no order of rows shows.
    return named.select((pl.col("_top").rank("dense").cast(pl.Int64) - 1).fill_null(-1)).to_series().to_numpy()


def described(rows: Places, columns: Places, said: Said, history: Interactions, traits: Traits) -> Pool:
    """Products put forward for a block of people, ordered by row, with every member's score and all that is known.

    - ``days``, ``frequency``: of the person's purchases of the product; ``since``: days since they last took it (-1:
      never);
    - ``baskets``, ``products``, ``usual_price``: the person's; a usual price is the mean over products bought;
    - ``buyers``, ``recent``, ``price``: the product's;
    - ``price_ratio``: its price against the person's usual one; ``category_share``: of the person's products, those of
      its category. NaN where it is not known.
    """
    owned = sp.csr_matrix(history.purchases)
    of = np.maximum(np.diff(owned.indptr), 1)
    usual = _usual_prices(owned, traits.price)
    return Pool(rows, columns, np.zeros((len(rows), 0), dtype=np.float32), ()).beside(
        {
            **said.at(rows, columns),
            "days": values_at(history.purchases, rows, columns),
            "frequency": values_at(history.frequency, rows, columns),
            "since": values_at(_ages(history), rows, columns) - 1,
            "baskets": _baskets(history)[rows],
            "products": np.diff(owned.indptr)[rows],
            "usual_price": usual[rows],
            "buyers": traits.buyers[columns],
            "recent": traits.recent[columns],
            "price": traits.price[columns],
            "price_ratio": traits.price[columns] / usual[rows],
            "category_share": _of_category(owned, traits.category)[rows, traits.category[columns]] / of[rows],
        }
    )


def _usual_prices(owned: sp.csr_matrix[np.float32], price: Floats) -> Floats:
    priced = np.where(np.isfinite(price), price, 0.0).astype(np.float64)
    binary = sp.csr_matrix((np.ones(owned.nnz), owned.indices, owned.indptr), shape=owned.shape)
    count = binary @ (priced > 0).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((binary @ priced) / np.where(count > 0, count, np.nan), dtype=np.float32)


def _of_category(owned: sp.csr_matrix[np.float32], category: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """People × categories: products bought of each; the last column is of products without one."""
    size = int(category.max(initial=-1)) + 2
    rows = np.repeat(np.arange(owned.shape[0]), np.diff(owned.indptr))
    keys = rows * size + category[owned.indices] % size
    return np.bincount(keys, minlength=owned.shape[0] * size).reshape(owned.shape[0], size).astype(np.float64)


def _baskets(history: Interactions) -> Floats:
    made = np.zeros(len(history.person_keys), dtype=np.float32)
    np.maximum.at(made, history.steps.rows, history.steps.baskets.astype(np.float32) + 1)
    return made


def _ages(history: Interactions) -> sp.csr_matrix[np.float32]:
    """People × products: days since the person last took the product, and 1."""
    steps, products = history.steps, len(history.product_ids)
    keys = steps.rows * products + steps.columns
    # Entries are in order, the oldest first: of a product taken again, the last one stands.
    newest, first = np.unique(keys[::-1], return_index=True)
    ages = steps.ages[::-1][first] + 1
    rows, columns = np.divmod(newest, max(products, 1))
    return sp.csr_matrix((ages.astype(np.float32), (rows, columns)), shape=(len(history.person_keys), products))
