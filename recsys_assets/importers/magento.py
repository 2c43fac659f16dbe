"""Magento's order items: of the API's orders, or as the table sales_order_item joined to its orders.

A configurable product is two items: the parent, with units and price, and the variant that was chosen, at price 0. They
are one line: the variant, at the parent's price. Parts of a bundle are parts of its line.
"""

import polars as pl

API = ("increment_id", "items", "created_at")
ITEMS = ("item_id", "parent_item_id", "order_id", "sku", "qty_ordered", "price")
_PEOPLE = ("customer_id", "customer_email")
API_ALSO = (*_PEOPLE, "items[].item_id", "items[].parent_item_id", "items[].product_type", "items[].sku")
_NO_PARENT = ("0", "")


def sold(sent: pl.DataFrame) -> pl.DataFrame:
    """Items of the API's orders with `Person`, `Sold`, a line's product, and `Part`, whether it is of another line."""
    return _sold(
        sent, "increment_id", "items[].item_id", "items[].parent_item_id", "items[].product_type", "items[].sku"
    )


def sold_of_items(sent: pl.DataFrame) -> pl.DataFrame:
    """The same of a table of items."""
    if "product_type" not in sent.columns:
        sent = sent.with_columns(pl.lit("configurable").alias("product_type"))
    return _sold(sent, "order_id", "item_id", "parent_item_id", "product_type", "sku")


def _sold(sent: pl.DataFrame, order: str, item: str, parent: str, kind: str, sku: str) -> pl.DataFrame:
    above = pl.when(~pl.col(parent).is_in(_NO_PARENT)).then(pl.col(parent))
    variants = (
        sent.select(pl.col(order), above.alias(item), pl.col(sku).alias("_variant"))
        .drop_nulls()
        .unique([order, item], keep="first", maintain_order=True)
    )
    rows = sent.join(variants, on=[order, item], how="left", maintain_order="left")
    chosen = pl.when(pl.col(kind) == "configurable").then(pl.col("_variant"))
    known = {name: pl.col(name) for name in _PEOPLE if name in sent.columns}
    if _PEOPLE[1] in known:
        known[_PEOPLE[1]] = known[_PEOPLE[1]].str.strip_chars().str.to_lowercase()
    return rows.with_columns(
        (pl.coalesce(known.values()) if known else pl.lit(None, dtype=pl.String)).alias("Person"),
        pl.coalesce(chosen, pl.col(sku)).alias("Sold"),
        above.is_not_null().cast(pl.String).alias("Part"),
    )
