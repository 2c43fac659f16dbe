"""Variants of one product (sizes, colours), which crowd a list: those of one ``parent_id`` are a family."""

import polars as pl


def family(product: str = "product_id") -> pl.Expr:
    """Of each product: its parent, or itself where it has none."""
    return pl.coalesce("parent_id", product)


def few_of_each(listed: pl.DataFrame, by: str, at_most: int, source: str | None = None) -> pl.DataFrame:
    """The first ``at_most`` rows of each ``_family`` per value of ``by``; the order stays. 0: all rows.

    >>> shirts = pl.DataFrame({"list": "x", "product": ["S", "M", "cap"], "_family": ["shirt", "shirt", "cap"]})
    >>> few_of_each(shirts, "list", 1)["product"].to_list()
    ['S', 'cap']

    Args:
        listed: ordered, with ``_family``.
        by: what tells the lists apart.
        at_most: knob ``variants_at_most``.
        source: column with the family of the product that the list stands beside, which counts as one of it.
    """
    if not at_most:
        return listed
    place = pl.int_range(pl.len()).over(by, "_family")
    beside = 0 if source is None else (pl.col(source) == pl.col("_family")).cast(pl.Int64)
    return listed.filter(place + beside < at_most)
