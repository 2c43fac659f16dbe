"""What exports of orders share: further lines of an order leave blank what its first line says."""

import polars as pl

from recsys_assets.importers.mapping import MappingFile

_OF_ORDERS = {"event_type", "event_time", "user_id", "anon_id", "session_id", "currency", "order_id"}


def inherit(sent: pl.DataFrame, rules: MappingFile) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Rows with their order's values where they leave them blank, and what is to be said of it.

    A value is that of the last line of the same order above. What differs from line to line (product, units, price)
    is no order's.
    """
    order = rules.columns.get("order_id")
    if order is None:
        return sent, ()
    decide = rules.where.columns
    filling = {column for field, column in rules.columns.items() if field in _OF_ORDERS} | set(decide)
    blank = [name for name in rules.asked if name in filling and name != order and sent[name].null_count()]
    if not blank:
        return sent, ()
    known = pl.col(order).is_not_null()
    filled = sent.with_columns(
        pl.when(known).then(pl.col(name).forward_fill().over(order)).otherwise(pl.col(name)).alias(name)
        for name in blank
    )
    said = []
    for name in blank:
        if count := sent[name].null_count() - filled[name].null_count():
            said.append(f"{name}: {count:,} further lines of an order take it from the line above")
    return filled, tuple(said)


def first_of(sent: pl.DataFrame, column: str) -> pl.DataFrame:
    """``sent`` with a column of the name `a|b` made of the columns it names: the first that is not blank."""
    there = [name.strip() for name in column.split("|") if name.strip() in sent.columns]
    if column in sent.columns or not there:
        return sent
    texts = [pl.col(name).cast(pl.String).replace("", None) for name in there]
    return sent.with_columns(pl.coalesce(texts).alias(column))
