"""WooCommerce: orders as the API gives them and as export plugins write them, and the products' CSV export."""

import re

import polars as pl

from recsys_assets.importers.orders import first_of

API = ("id", "status", "customer_id", "line_items")
LINES = ("order_id", "order_date", "status", "line_item_1")  # a row per order
ITEMS = ("Order Number", "Order Status", "Order Date", "Item Cost")  # a row per line of an order
PRODUCTS = ("ID", "Type", "SKU", "Name", "Regular price")
_CUSTOMERS = ("customer_id", "customer_user", "Customer User ID", "Customer ID")
_MAILS = ("billing_email", "billing.email", "customer_email", "Email (Billing)")
_ITEM = ("line_items[].sku", "line_items[].variation_id", "line_items[].product_id")
API_ALSO = ("customer_id", "billing.email", *_ITEM)
_LINE = re.compile(r"line_item_\d+")
_PARTS = ("product_id", "sku", "quantity", "total", "_variation_id")
_WRITTEN = r"(?:^|\|){}:([^|]*)"


def lines_of_api(sent: pl.DataFrame) -> pl.DataFrame:
    """Lines with `Person` and `Sold`, the SKU or id of what was sold; a product without variations has variation 0."""
    ids = [pl.when(pl.col(name) != "0").then(pl.col(name)) for name in _ITEM]
    return guests(sent.with_columns(pl.coalesce(ids).alias("Sold")))


def lines(sent: pl.DataFrame) -> pl.DataFrame:
    """A row per `line_item_n` (`name:…|sku:…|quantity:…|total:…`) of an order, and one of an order without any."""
    names = [name for name in sent.columns if _LINE.fullmatch(name)]
    kept = sent.drop(names)
    every = pl.concat([kept.with_columns(sent[name].alias("_item"), place=place) for place, name in enumerate(names)])
    some = pl.any_horizontal(pl.col(names).is_not_null())
    none = kept.filter(~sent.select(some).to_series()).with_columns(
        pl.lit(None, dtype=pl.String).alias("_item"), place=pl.lit(0)
    )
    rows = pl.concat([every.filter(pl.col("_item").is_not_null()), none]).sort("source_line", "place")
    item = pl.col("_item").str
    parts = [item.extract(_WRITTEN.format(part)).replace("", None).alias(f"item_{part}") for part in _PARTS]
    return guests(rows.with_columns(*parts, _status("status")))


def items(sent: pl.DataFrame) -> pl.DataFrame:
    """Lines with their state, and e-mail addresses in small letters."""
    return guests(sent.with_columns(_status("Order Status")))


def _status(column: str) -> pl.Expr:
    """`wc-on-hold` and `On hold` are on-hold."""
    small = pl.col(column).str.strip_chars().str.to_lowercase().str.strip_prefix("wc-").str.replace_all(" ", "-")
    return small.alias("State")


def guests(sent: pl.DataFrame) -> pl.DataFrame:
    """`Person`: the customer's id, or a guest's e-mail address; 0 is nobody's id."""
    ids = [name for name in _CUSTOMERS if name in sent.columns]
    mails = [name for name in _MAILS if name in sent.columns]
    known: list[pl.Expr] = [pl.when(pl.col(name) != "0").then(pl.col(name)) for name in ids]
    known += [pl.col(name).str.strip_chars().str.to_lowercase() for name in mails]
    return sent.with_columns((pl.coalesce(known) if known else pl.lit(None, dtype=pl.String)).alias("Person"))


def products(sent: pl.DataFrame) -> pl.DataFrame:
    """Rows with `Product` (SKU, else ID), `Parent`, prices and stock. A variable product stands for its variations."""
    sent = sent.with_columns(
        pl.lit(None, dtype=pl.String).alias(name)
        for name in ("Sale price", "Parent", "In stock?", "Published", "Images", "Categories", "Tags")
        if name not in sent.columns
    )
    sent = first_of(first_of(sent, "SKU|ID"), "Sale price|Regular price")
    shown = pl.col("Published").fill_null("1").is_in(["1", "true", "yes"])
    there = pl.col("In stock?").fill_null("1").str.to_lowercase().is_in(["1", "true", "yes", "backorder"])
    variable = pl.col("Type").str.contains(r"\bvariable\b").fill_null(False)
    return sent.with_columns(
        pl.col("SKU|ID").alias("Product"),
        pl.col("Parent").str.strip_prefix("id:").alias("Parent"),
        (shown & there & ~variable).cast(pl.String).alias("In stock"),
        pl.when(pl.col("Sale price").is_not_null()).then("Regular price").alias("List price"),
        pl.col("Categories").str.split(",").list.first().str.strip_chars().alias("Category"),
        pl.col("Images").str.split(",").list.first().str.strip_chars().alias("Image"),
        pl.col("Tags").str.replace_all(r"\s*,\s*", "|"),
    )
