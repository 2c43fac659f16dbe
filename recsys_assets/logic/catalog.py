"""Landed catalogue rows and events → every product known by a day."""

from collections.abc import Collection
from datetime import date

import polars as pl

from recsys_assets.logic.newest import ORDER, since
from recsys_assets.logic.rates import converted, with_rate
from recsys_assets.tables import CATALOG

# Of table CLEAN_EVENTS.
LOOKED_AT = (
    "event_id", "event_type", "event_time", "event_date", "product_id", "unit_price_micros", "list_price_micros",
    "currency",
)  # fmt: skip
_PRICE = pl.col("unit_price_micros")


def top_category(category: pl.Expr) -> pl.Expr:
    """First part of a category path; null where there is none.

    >>> pl.select(top_category(pl.lit("Grocery > Bread > Rye"))).item()
    'Grocery'
    """
    first = category.str.split(">").list.first().str.strip_chars()
    return pl.when(first != "").then(first)


def catalog(
    landed: pl.DataFrame,
    events: pl.DataFrame,
    as_of: date,
    rates: pl.DataFrame,
    base_currency: str,
    *,
    bans: Collection[str] = (),
    stock_at_least: int = 1,
) -> pl.DataFrame:
    """One row per product known by the end of ``as_of``: table CATALOG, ordered by product.

    Of a product's rows the newest one holds: by day, then time, then landing, then line (`logic.newest`). A
    catalogue without any price gets the last price above 0 that somebody paid, with that line's list price; one that
    holds prices means what it leaves out. A product that only events know has no name; a shop that has sent no
    catalogue at all has only such products, and may recommend them.

    Prices are converted to the base currency at the newest rate not after ``as_of``; a product whose currency has none
    has no price, and keeps its currency. ``not_recommendable`` is the first that holds of ``banned``,
    ``product_unknown``, ``currency_without_rate``, ``price_missing`` (null or 0) and ``out_of_stock`` (the shop says
    so, or ``stock_level`` lies below ``stock_at_least``), else null. Whatever lists products asks it and nothing else.

    Args:
        landed: table LANDING_CATALOG; rows with a ``problem`` and rows of later days are ignored.
        events: table CLEAN_EVENTS of the window; later days are ignored.
        as_of: the day.
        rates: table LANDING_RATES; later days are ignored.
        base_currency: the home's.
        bans: knob.
        stock_at_least: knob.
    """
    seen = events.filter(pl.col("event_date") <= as_of, pl.col("product_id").is_not_null())
    newest = _newest(landed, as_of)
    products = _in_base(newest, as_of, rates, base_currency)
    if newest["unit_price_micros"].null_count() == newest.height:
        products = (
            products.drop("unit_price_micros", "currency")
            .join(
                _last_prices(seen).rename({"_paid": "unit_price_micros", "_currency": "currency"}),
                on="product_id",
                how="left",
            )
            .with_columns(pl.coalesce("list_price_micros", "_list").alias("list_price_micros"))
        )
    out = pl.col("in_stock").not_().fill_null(False) | (pl.col("stock_level") < stock_at_least).fill_null(False)
    why = pl.when("_unrated").then(pl.lit("currency_without_rate")).otherwise(_why_not(_PRICE, out))
    known = products.with_columns(why.alias("not_recommendable"))
    # Where there is a catalogue, what it does not hold is not for sale. Where there is none, the events are it.
    why = pl.lit("product_unknown") if products.height else _why_not(pl.col("_paid"))
    unknown = (
        seen.select("product_id")
        .unique()
        .join(known, on="product_id", how="anti")
        .join(_last_prices(seen), on="product_id", how="left")
        .select(
            "product_id",
            pl.col("_paid").alias("unit_price_micros"),
            pl.col("_list").alias("list_price_micros"),
            pl.col("_currency").alias("currency"),
            why.alias("not_recommendable"),
        )
    )
    both = pl.concat([known.select(list(CATALOG.columns)), unknown], how="diagonal")
    banned = pl.when(pl.col("product_id").is_in(list(bans))).then(pl.lit("banned"))
    return CATALOG.conform(
        both.with_columns(banned.otherwise("not_recommendable").alias("not_recommendable")).sort("product_id")
    )


def _newest(landed: pl.DataFrame, as_of: date) -> pl.DataFrame:
    return (
        landed.filter(pl.col("problem").is_null(), pl.col("event_date") <= as_of)
        .with_columns(since(), pl.col("event_date").alias("updated_date"))
        .sort("product_id", *ORDER)
        .unique("product_id", keep="last", maintain_order=True)
    )


def _in_base(products: pl.DataFrame, as_of: date, rates: pl.DataFrame, base_currency: str) -> pl.DataFrame:
    """Prices in the base currency; ``_unrated`` where there is a price and no rate for it."""
    products = with_rate(products, pl.lit(as_of), rates, base_currency)
    unrated = pl.col("_rate").is_null() & _PRICE.is_not_null()
    made = [converted(products, price) for price in ("unit_price_micros", "list_price_micros")]
    currency = pl.when("_unrated").then("currency").otherwise(pl.lit(base_currency)).alias("currency")
    return products.with_columns(unrated.alias("_unrated")).with_columns(*made, currency)


def _last_prices(events: pl.DataFrame) -> pl.DataFrame:
    """Per product: the newest price paid above 0, with the list price and currency of the same line.

    Of several of one second the highest, since ids of events may be keyed: homes with the same files show one price.
    """
    paid = events.lazy().filter(pl.col("event_type") == "purchase", pl.col("unit_price_micros") > 0)
    return (
        paid.select("product_id", "event_time", "event_id", "unit_price_micros", "list_price_micros", "currency")
        .filter(pl.col("event_time") == pl.col("event_time").max().over("product_id"))
        .sort("product_id", "unit_price_micros", "list_price_micros", "currency", "event_id")
        .unique("product_id", keep="last", maintain_order=True)
        .select(
            "product_id",
            pl.col("unit_price_micros").alias("_paid"),
            pl.col("list_price_micros").alias("_list"),
            pl.col("currency").alias("_currency"),
        )
        .collect()
    )


def _why_not(price: pl.Expr, out_of_stock: pl.Expr | None = None) -> pl.Expr:
    missing = pl.when(price.fill_null(0) == 0).then(pl.lit("price_missing"))
    return missing if out_of_stock is None else missing.when(out_of_stock).then(pl.lit("out_of_stock"))
