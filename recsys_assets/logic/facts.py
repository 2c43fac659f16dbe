"""What the catalogue says of each product, as a matrix: all that is known of a product that nobody took."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.tables import MICROS

if TYPE_CHECKING:
    from recsys_assets.tuning import Content

    Facts = sp.csr_matrix[np.float32]

_WORD = r"[\p{L}\p{N}]{2,}"
_STEP = 2.0**0.5  # a price bucket's upper end over its lower one


def facts(catalog: pl.DataFrame, product_ids: Sequence[str] | npt.NDArray[np.str_], tuning: Content) -> Facts:
    """Products × facts, rows of length 1 in the order of ``product_ids``; a product of which nothing is known is 0.

    Five kinds of facts, each a TF-IDF of its own (Salton and Buckley 1988: (1 + ln tf) × ln((1 + n) / df), so that what
    every product shares says nothing) and of length 1, then joined with the kind's share: words of name, description
    and tags; every part of the category's path, from the top; the brand; ``attributes`` as name and value; the price's
    bucket, a factor of √2 wide. A fact that one product alone has is left out: no other one can be found by it.

    Args:
        catalog: table CATALOG, or the columns of it that describe; rows in any order.
        product_ids: the rows to make; those that the catalogue lacks are 0.
        tuning: the share of each kind.
    """
    places = pl.DataFrame(
        {"product_id": [str(product) for product in product_ids], "_row": np.arange(len(product_ids))},
        schema={"product_id": pl.String, "_row": pl.Int64},
    )
    known = catalog.join(places, on="product_id").sort("_row")
    blocks = [
        _tf_idf(tokens.drop_nulls("_fact"), len(product_ids)) * np.float32(share**0.5)
        for share, tokens in (
            (tuning.words, _words(known)),
            (tuning.category, _paths(known)),
            (tuning.brand, known.select("_row", pl.col("brand").alias("_fact"))),
            (tuning.attributes, _attributes(known)),
            (tuning.price, _prices(known)),
        )
        if share > 0
    ]
    if not blocks:
        return sp.csr_matrix(np.zeros((len(product_ids), 0), dtype=np.float32))
    return of_length_1(sp.csr_matrix(sp.hstack(blocks, format="csr"), dtype=np.float32))


def of_length_1(matrix: Facts) -> Facts:
    """``matrix`` with each row divided by its length; rows of zeros stay.

    >>> of_length_1(sp.csr_matrix([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).toarray().round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    square = np.bincount(rows, weights=matrix.data.astype(np.float64) ** 2, minlength=matrix.shape[0])
    made = matrix.copy()
    made.data = (matrix.data / np.sqrt(square)[rows]).astype(np.float32)
    return made


def _words(known: pl.DataFrame) -> pl.DataFrame:
    text = pl.concat_str("name", "description", pl.col("tags").list.join(" "), separator=" ", ignore_nulls=True)
    return known.select("_row", text.str.to_lowercase().str.extract_all(_WORD).alias("_fact")).explode("_fact")


def _paths(known: pl.DataFrame) -> pl.DataFrame:
    """Each product's category and those above it: "A > B" gives "A" and "A > B"."""
    paths = {path: category_path(path) for path in known["category"].drop_nulls().unique().sort()}
    named = pl.DataFrame(
        {"category": list(paths), "_fact": list(paths.values())},
        schema={"category": pl.String, "_fact": pl.List(pl.String)},
    )
    return known.select("_row", "category").join(named, on="category").select("_row", "_fact").explode("_fact")


def category_path(category: str) -> list[str]:
    """The category and those above it, from the top.

    >>> category_path("Grocery > Bread>Rye")
    ['Grocery', 'Grocery > Bread', 'Grocery > Bread > Rye']
    """
    parts = [part.strip() for part in category.split(">") if part.strip()]
    return [" > ".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _attributes(known: pl.DataFrame) -> pl.DataFrame:
    sent = known.select("_row", "attributes").drop_nulls()
    rows, facts = [], []
    for row, text in sent.iter_rows():
        for fact in spoken(json.loads(text)):
            rows.append(row)
            facts.append(fact)
    return pl.DataFrame({"_row": rows, "_fact": facts}, schema={"_row": pl.Int64, "_fact": pl.String})


def spoken(attributes: Mapping[str, object]) -> list[str]:
    """One text per attribute, and per value of a list.

    >>> spoken({"colour": ["Red", "blue"], "size": 42, "new": None})
    ['colour=red', 'colour=blue', 'size=42']
    """
    told = []
    for name, value in attributes.items():
        values = value if isinstance(value, list) else [value]
        told += [f"{name}={str(one).strip().lower()}" for one in values if one is not None]
    return told


def _prices(known: pl.DataFrame) -> pl.DataFrame:
    price = pl.col("unit_price_micros")
    bucket = ((price / MICROS).log() / np.log(_STEP)).floor().cast(pl.Int64).cast(pl.String)
    return known.select("_row", pl.when(price > 0).then(bucket).alias("_fact"))


def _tf_idf(tokens: pl.DataFrame, products: int) -> Facts:
    """Products × facts of one kind, rows of length 1. Counted in whole numbers, so that no order of rows matters."""
    counted = tokens.group_by("_row", "_fact").agg(pl.len().cast(pl.Int64).alias("_times"))
    shared = (
        counted.group_by("_fact")
        .agg(pl.len().cast(pl.Int64).alias("_products"))
        .filter(pl.col("_products") > 1, pl.col("_products") < products)
        .sort("_fact")
        .with_row_index("_column")
    )
    entries = counted.join(shared, on="_fact").sort("_row", "_column")
    idf = np.log((1 + products) / entries["_products"].to_numpy())
    values = (1 + np.log(entries["_times"].to_numpy())) * idf
    made = sp.csr_matrix(
        (values.astype(np.float32), (entries["_row"].to_numpy(), entries["_column"].to_numpy().astype(np.int64))),
        shape=(products, shared.height),
    )
    return of_length_1(made)
