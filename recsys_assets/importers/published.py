"""What the importers of published data sets share: refusing another file, and what changed from one row to the next."""

from collections.abc import Collection
from pathlib import Path

import polars as pl

from recsys_assets.contract import Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS
from recsys_assets.importers.headers import describe_header


def demand_no_options(name: str, mapping: Path | None, kind: Kind | None) -> None:
    """Refuses what only the general formats take.

    Raises:
        SourceError: a mapping file or a kind was named.
    """
    if mapping is not None or kind is not None:
        raise SourceError(f"the format {name} takes neither --map nor --kind. Leave them out.")


def demand_columns(where: Path | str, columns: Collection[str], needed: Collection[str], what: str) -> None:
    """Refuses a file that lacks a column; ``what`` says what it should have been.

    Raises:
        SourceError: naming every missing column, and those that are there.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        there = [name for name in columns if name not in RAW_COLUMNS]
        raise SourceError(
            f"{where}:1: {what} has the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"{describe_header(there, 'this one has ')}. Other columns are imported with `mapped --map FILE`."
        )


def demand_form(path: Path, column: pl.Series, form: str, example: str) -> None:
    """Refuses a file of which no row at all has a value of the ``form`` (a regular expression) in ``column``.

    What stands there instead is not repeated: in a file of swapped columns it may be people's ids.

    Raises:
        SourceError: naming the column and an ``example``.
    """
    if not column.str.contains(form).any():
        raise SourceError(
            f"{path}: {column.name} is in no row written like {example}. "
            "Are the columns in another order than their names?"
        )


def middle(price: pl.Expr) -> pl.Expr:
    """Median of whole micros, half to even: one mistyped price, or the order of rows, changes nothing."""
    return price.median().round(mode="half_to_even").cast(pl.Int64)  # exact: two whole numbers below 2^53


def changes(daily: pl.DataFrame, columns: Collection[str]) -> pl.DataFrame:
    """Rows in which one of ``columns`` differs from the row before of the same product_id, and each product's first.

    ``daily`` is ordered by product and time.
    """
    now = pl.struct(columns)
    return daily.filter(pl.col("product_id").is_first_distinct() | (now != now.shift(1)))
