"""Exchange rates → prices in the base currency, exact to the millionth.

A rate is what one unit of a currency is worth in the base currency. It holds from its day until the currency's next
one; the base currency is always worth 1, whatever a file says.
"""

from fractions import Fraction

import polars as pl

from recsys_assets.contract import MAX_AMOUNT
from recsys_assets.logic.landing import by_value
from recsys_assets.tables import MICROS

RATES: dict[str, pl.DataType] = {"currency": pl.String(), "event_date": pl.Date(), "rate": pl.String()}
_TOO_MUCH = MAX_AMOUNT * MICROS + 1  # stands for anything above the bound, so that it fits 64 bits


def newest(landed: pl.DataFrame) -> pl.DataFrame:
    """One row per currency and day, ordered: of several the one that landed last, in a file the last line.

    Args:
        landed: table LANDING_RATES, any range of days; rows with a ``problem`` are ignored.
    """
    return (
        landed.filter(pl.col("problem").is_null())
        .sort("currency", "event_date", "landed_at", "source_file", "source_line")
        .unique(["currency", "event_date"], keep="last", maintain_order=True)
        .select(list(RATES))
    )


def with_rate(rows: pl.DataFrame, day: pl.Expr, rates: pl.DataFrame, base_currency: str) -> pl.DataFrame:
    """``rows`` in their order, with ``_rate``: the newest of their ``currency`` not after ``day``; null without one.

    Args:
        rows: with a column ``currency``.
        day: of each row.
        rates: table LANDING_RATES, every day up to the last one of the rows.
        base_currency: the home's; its rate is 1.
    """
    asked = rows.select("currency", day.alias("_day"))
    needed = asked.unique().filter(pl.col("currency") != base_currency).sort("currency", "_day")
    if needed.is_empty():
        return rows.with_columns(pl.when(pl.col("currency") == base_currency).then(pl.lit("1")).alias("_rate"))
    known = newest(rates).select("currency", pl.col("event_date").alias("_from"), pl.col("rate").alias("_found"))
    found = needed.join_asof(
        known, left_on="_day", right_on="_from", by="currency", strategy="backward", check_sortedness=False
    ).select("currency", "_day", "_found")
    joined = asked.join(found, on=["currency", "_day"], how="left", maintain_order="left")
    base = pl.when(pl.col("currency") == base_currency).then(pl.lit("1")).otherwise("_found")
    return rows.with_columns(joined.select(base.alias("_rate")).to_series())


def converted(rows: pl.DataFrame, price: str) -> pl.Series:
    """The column ``price`` (micros) times ``_rate``, half to even; null where either is null.

    A result above `MAX_AMOUNT` is some number above it.
    """
    foreign = (pl.col("_rate") != "1") & pl.col(price).is_not_null()
    if not rows.select(foreign.any()).item():
        return rows.select(pl.when(pl.col("_rate").is_not_null()).then(price).alias(price)).to_series()
    pair = pl.concat_str(pl.col(price).cast(pl.String), "_rate", separator="×")
    made = by_value(rows.select(pl.when(foreign).then(pair)).to_series(), _product, pl.Int64())
    own = rows.select(pl.when(pl.col("_rate") == "1").then(price)).to_series()
    return own.zip_with(own.is_not_null(), made).alias(price)


def _product(pair: str) -> int:
    """Micros of "micros×rate".

    >>> _product("1000000×0.9321"), _product("1×0.5"), _product("3×0.5"), _product("-1×0.5")
    (932100, 0, 2, 0)
    """
    micros, rate = pair.split("×")
    return max(-_TOO_MUCH, min(round(int(micros) * Fraction(rate)), _TOO_MUCH))
