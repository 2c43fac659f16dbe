"""Shopify's CSV exports of orders and products."""

import polars as pl

from recsys_assets.importers.orders import first_of

ORDERS = ("Name", "Email", "Financial Status", "Created at", "Lineitem quantity", "Lineitem name", "Lineitem price")
PRODUCTS = ("Handle", "Title", "Variant Price")
_OPTIONS = ("Option1 Value", "Option2 Value", "Option3 Value")


def orders(sent: pl.DataFrame) -> pl.DataFrame:
    """Lines with `State`: the financial status, or "cancelled" of an order that was cancelled and not refunded."""
    cancelled = next((name for name in ("Cancelled at", "Canceled at") if name in sent.columns), None)
    order = pl.col("Name")
    status = pl.col("Financial Status").forward_fill().over(order).str.to_lowercase()
    off = pl.col(cancelled).is_not_null().any().over(order) if cancelled else pl.lit(False)
    return sent.with_columns(
        pl.when(off & (status != "refunded")).then(pl.lit("cancelled")).otherwise(status).alias("State"),
        pl.col("Email").str.to_lowercase(),
    )


def products(sent: pl.DataFrame) -> pl.DataFrame:
    """A row per variant, with `Product`, `Variant`, `In stock` and the list price; further pictures are no rows.

    Further lines of a handle leave blank what its first line says. `Product` is the SKU, else the name as orders have
    it: title and options.
    """
    handle = pl.col("Handle")
    whole = ("Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Tags", "Status", "Published", "Image Src")
    sent = sent.with_columns(pl.col(name).forward_fill().over(handle) for name in whole if name in sent.columns).filter(
        pl.col("Variant Price").is_not_null() | pl.col("problem").is_not_null()
    )
    for column in ("Variant SKU", "Variant Compare At Price", "Variant Inventory Qty", "Variant Inventory Policy",
                 "Variant Inventory Tracker", "Status", "Published", "Tags", *_OPTIONS):  # fmt: skip
        if column not in sent.columns:
            sent = sent.with_columns(pl.lit(None, dtype=pl.String).alias(column))
    sent = first_of(sent, "Variant Compare At Price|Variant Compare-at Price")
    values = [pl.when(pl.col(name) != "Default Title").then(pl.col(name)) for name in _OPTIONS]
    options = pl.concat_str(values, separator=" / ", ignore_nulls=True)
    name = pl.when(options == "").then(pl.col("Title")).otherwise(pl.concat_str("Title", options, separator=" - "))
    shown = pl.col("Status").fill_null("active").str.to_lowercase() == "active"
    published = pl.col("Published").fill_null("true").str.to_lowercase() != "false"
    left = pl.col("Variant Inventory Qty").cast(pl.Float64, strict=False)
    counted = pl.col("Variant Inventory Tracker").is_not_null() & (pl.col("Variant Inventory Policy") != "continue")
    sold_out = (counted & (left <= 0)).fill_null(False)
    price = pl.col("Variant Price").cast(pl.Float64, strict=False)
    listed = pl.col("Variant Compare At Price|Variant Compare-at Price")
    return sent.with_columns(
        pl.coalesce("Variant SKU", name).alias("Product"),
        name.alias("Variant"),
        (shown & published & ~sold_out).cast(pl.String).alias("In stock"),
        pl.when(listed.cast(pl.Float64, strict=False) > price).then(listed).alias("List price"),
        pl.col("Tags").str.split(",").list.eval(pl.element().str.strip_chars()).list.join("|").alias("Tags"),
    )
