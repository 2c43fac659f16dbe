"""Landed events → clean ones, rejected ones and the count of both. Every row ends in exactly one place."""

from dataclasses import dataclass

import polars as pl

from recsys_assets.contract import MAX_AMOUNT, Reason
from recsys_assets.logic.landing import out_of_bounds
from recsys_assets.logic.rates import converted, with_rate
from recsys_assets.tables import CLEAN_EVENTS, DELIVERY_AUDIT, EVENT_TYPES, MICROS, REJECTED_EVENTS


@dataclass(frozen=True)
class Cleaned:
    """CLEAN_EVENTS, REJECTED_EVENTS and DELIVERY_AUDIT of the same rows."""

    clean: pl.DataFrame
    rejected: pl.DataFrame
    audit: pl.DataFrame


_TYPE, _QUANTITY, _PRICE = pl.col("event_type"), pl.col("quantity"), pl.col("unit_price_micros")
_SOLD = _TYPE.is_in(["purchase", "return"])
_PRICED = _PRICE.is_not_null() | pl.col("list_price_micros").is_not_null()
_PRICES = {"unit_price_micros": "_paid", "list_price_micros": "_list"}  # as sent, and in the base currency
# In floats, because the product may not fit 64 bits; the bound is a millionth of what a float holds exactly enough.
_AMOUNT = pl.col("_paid").cast(pl.Float64) * _QUANTITY.cast(pl.Float64).fill_null(1)

_REJECT: tuple[tuple[pl.Expr, Reason], ...] = (
    (_TYPE.is_null() | ~_TYPE.is_in(EVENT_TYPES), "event_type_unknown"),
    (pl.col("user_key").is_null() & pl.col("anon_key").is_null(), "person_missing"),
    (pl.col("product_id").is_null() & (_TYPE != "search"), "product_missing"),
    (_QUANTITY == 0, "quantity_zero"),
    ((_QUANTITY < 0) & (_TYPE != "return"), "quantity_negative"),
    *out_of_bounds("events"),
    (_PRICED & pl.col("_rate").is_null(), "currency_without_rate"),
    (_AMOUNT.abs() > MAX_AMOUNT * MICROS, "amount_too_large"),
    (pl.col("_list") > MAX_AMOUNT * MICROS, "amount_too_large"),
)
_FLAG = pl.coalesce(
    pl.when(_SOLD & (_PRICE == 0)).then(pl.lit("price_zero")),
    pl.when(_SOLD & _PRICE.is_null()).then(pl.lit("price_missing")),
    pl.when((_TYPE == "return") & (_QUANTITY > 0)).then(pl.lit("return_turned")),
)
# The sign of a return says nothing that its type does not say; units that are not named are one.
_UNITS = (
    pl.when(_TYPE == "return").then(-_QUANTITY.abs().fill_null(1))
    .when(_TYPE == "purchase").then(_QUANTITY.fill_null(1))
    .otherwise(_QUANTITY)
)  # fmt: skip


def clean(landed: pl.DataFrame, rates: pl.DataFrame, base_currency: str) -> Cleaned:
    """LANDING_EVENTS of whole days (all deliveries of each) → `Cleaned`.

    Prices of clean events are in the base currency, converted at the newest rate not after their day; rejected ones
    keep what was sent.

    Days are independent: a window gives what its days give one by one. Within a day, rows of one event_id and one
    content are duplicates of the first of them. Of rows of one event_id with other content, the valid one with the
    smallest row_hash stays; the others are rejected. The result depends neither on the order of rows nor on how
    they were spread over files.

    Args:
        landed: table LANDING_EVENTS.
        rates: table LANDING_RATES, every day up to the last one of ``landed``.
        base_currency: the home's.
    """
    reasons = [pl.when(wrong).then(pl.lit(reason)) for wrong, reason in _REJECT]
    rows = with_rate(landed, pl.col("event_date"), rates, base_currency)
    rows = rows.with_columns(converted(rows, price).alias(made) for price, made in _PRICES.items())
    rows = rows.lazy().with_columns(pl.coalesce("problem", *reasons).alias("reason")).drop("problem").collect()
    again = rows.select(pl.struct("event_date", "event_id").is_duplicated()).to_series()
    if again.any():
        settled = _settle(rows.filter(again))
        rows = pl.concat([rows.filter(~again).with_columns(pl.lit(False).alias("_copy")), settled])
    else:
        rows = rows.with_columns(pl.lit(False).alias("_copy"))
    good = rows.filter(~pl.col("_copy") & pl.col("reason").is_null())
    rejected = rows.filter(~pl.col("_copy") & pl.col("reason").is_not_null())
    return Cleaned(
        clean=CLEAN_EVENTS.conform(
            good.with_columns(
                _FLAG.alias("flag"),
                _UNITS.alias("quantity"),
                pl.lit(base_currency).alias("currency"),
                *(pl.col(made).alias(price) for price, made in _PRICES.items()),
            ).sort("event_date", "event_time", "event_id")
        ),
        rejected=REJECTED_EVENTS.conform(rejected).sort("event_date", "source_file", "source_line"),
        audit=_audit(rows),
    )


def _settle(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that share their day and event_id: which is the event, which a copy of it, which a conflict."""
    event = ["event_date", "event_id"]
    # A row that was delivered twice may have been in the future the first time: the valid one counts.
    ordered = rows.sort(*event, "row_hash", pl.col("reason").is_not_null(), "source_file", "source_line")
    ordered = ordered.with_columns((pl.int_range(pl.len()).over(*event, "row_hash") > 0).alias("_copy"))
    valid = ~pl.col("_copy") & pl.col("reason").is_null()
    others = valid & (valid.cast(pl.Int64).cum_sum().over(event) > 1)
    conflict = pl.when(others).then(pl.lit("event_id_conflict")).otherwise("reason")
    return ordered.with_columns(conflict.alias("reason"))


def _audit(rows: pl.DataFrame) -> pl.DataFrame:
    kept = ~pl.col("_copy")
    counted = rows.group_by("event_date", "source_file").agg(
        pl.len().cast(pl.Int64).alias("rows"),
        (kept & pl.col("reason").is_null()).sum().cast(pl.Int64).alias("clean"),
        (kept & pl.col("reason").is_not_null()).sum().cast(pl.Int64).alias("rejected"),
        pl.col("_copy").sum().cast(pl.Int64).alias("duplicates"),
    )
    return DELIVERY_AUDIT.conform(counted).sort("event_date", "source_file")
