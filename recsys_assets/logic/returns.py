"""What is left of each purchase after returns: the one rule, for whatever counts what people bought.

A return takes back units of earlier purchases of the same product by the same person. Returns are taken in the order
of their time, of one time those that name an order first. Each takes

1. from the order that it names, of that day or an earlier one;
2. what it did not find there, and all of a return without an order, or with one of which nothing was bought here (shops
   number their credit notes): from purchases of earlier days, the newest first;
3. then from purchases of its own day that are not later than it, the newest first.

So what came back is never held to be bought, over however many orders it was bought; and an exchange on one day leaves
the new one, whichever of its two lines comes first. What no purchase is left for takes nothing. Purchases that the
caller does not give (before its window) are none. What a day knows does not change with what comes later.

Money is the price paid: units that come back take their share of what the order's units cost, first those whose price
is unknown. An unknown price (missing, or an outlier) is no price of 0: it is counted in no sum and in no average.

The auditor (`logic.audit`) has these rules in code of its own.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.compiled import compiled

PAIR = ["person_key", "product_id"]
LINE = ("product_id", "event_type", "event_time", "event_date", "order_id", "quantity", "unit_price_micros")
_Int64s = npt.NDArray[np.int64]


def order_name() -> pl.Expr:
    """What a line was bought with: the order, or the day where there is no order."""
    return pl.coalesce(
        pl.concat_str(pl.lit("order "), "order_id"), pl.concat_str(pl.lit("day "), pl.col("event_date").cast(pl.String))
    )


def ordered(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """``frame`` with columns of text as enumerations in the text's order: grouped and sorted as fast as numbers."""
    kinds = {name: pl.Enum(frame[name].drop_nulls().unique().sort()) for name in names}
    return frame.with_columns(pl.col(name).cast(kind) for name, kind in kinds.items())


def share(total: pl.Expr, part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """``total × part ÷ whole`` of whole numbers, rounded down; exact where the product runs over 64 bits.

    ``part`` is at most ``whole``; of nothing it is 0.

    >>> pl.select(share(pl.lit(10**13), pl.lit(10**6), pl.lit(10**6))).item()
    10000000000000
    """
    made = total // whole * part + total % whole * part // whole
    return pl.when(whole > 0).then(made).otherwise(0)


def purchases_after_returns(lines: pl.DataFrame) -> pl.DataFrame:
    """One row per person, product, order (`order_name`) and day on which it sold the product, and what was kept of it.

    Args:
        lines: clean events with ``person_key`` (not null) and the columns `LINE`; other types than purchases and
            returns are ignored.

    Returns:
        The key (``_order``, ``event_date``), ``_bought_time`` (of the first line), ``_lines``; ``units``,
        ``_priced`` (units whose price is known) and ``spend_micros`` (of those) as bought; ``_kept``,
        ``_kept_priced`` and ``_kept_micros`` after returns; ``_refunded_micros`` of what came back without a price of
        its own; ``_returned_date``, on which the last unit came back, else null. Ordered by person, product and time.
    """
    price, kind = pl.col("unit_price_micros"), pl.col("event_type")
    names = (*PAIR, "_order")
    sold = ordered(
        lines.filter(kind.is_in(["purchase", "return"])).with_columns(
            pl.col("quantity").abs().fill_null(1).clip(lower_bound=1).alias("units"), order_name().alias("_order")
        ),
        names,
    )
    bought = (
        sold.filter(kind == "purchase")
        .group_by(*PAIR, "_order", "event_date")
        .agg(
            pl.col("units").sum(),
            pl.col("units").filter(price.is_not_null()).sum().alias("_priced"),
            (pl.col("units") * price).sum().alias("spend_micros"),
            pl.len().cast(pl.Int64).alias("_lines"),
            pl.col("event_time").min().alias("_bought_time"),
        )
        .sort(*PAIR, "event_date", "_bought_time", "_order")
    )
    returned, unpriced, emptied = _taken(bought, sold.filter(kind == "return"))
    units, priced, spend = pl.col("units"), pl.col("_priced"), pl.col("spend_micros")
    kept = units - pl.Series(returned)
    paid = spend - share(spend, pl.min_horizontal(priced, units - pl.Series(unpriced)), priced)
    gone = pl.when(kept == 0).then(pl.Series(emptied, dtype=pl.Int32).cast(pl.Date))
    return bought.with_columns(
        pl.col(names).cast(pl.String),
        kept.alias("_kept"),
        pl.min_horizontal(priced, kept).alias("_kept_priced"),
        share(spend, pl.min_horizontal(priced, kept), priced).alias("_kept_micros"),
        paid.alias("_refunded_micros"),
        gone.alias("_returned_date"),
    )


def _taken(bought: pl.DataFrame, returns: pl.DataFrame) -> tuple[_Int64s, _Int64s, _Int64s]:
    """Per row of ``bought``: units that came back, those without a price, and the day of the last of them."""
    nothing = np.zeros(bought.height, dtype=np.int64)
    if returns.is_empty() or bought.is_empty():
        return nothing, nothing, nothing
    numbered = bought.select(*PAIR, "_order").with_row_index("_place")
    orders = numbered.group_by(*PAIR, "_order").agg(pl.col("_place").min().alias("_code"))
    pairs = numbered.group_by(PAIR).agg(pl.col("_place").min().alias("_first"), pl.col("_place").max().alias("_last"))
    named = pl.when(pl.col("order_id").is_not_null()).then("_order").alias("_order")
    asked = (
        returns.with_columns(named)
        .join(pairs, on=PAIR)
        .join(orders, on=[*PAIR, "_order"], how="left")
        .select(
            "_first", "_last", pl.col("_code").cast(pl.Int64).fill_null(-1), "units",
            pl.col("event_date").to_physical().alias("_day"), pl.col("event_time").to_physical().alias("_time"),
            pl.col("unit_price_micros").is_null().alias("_unpriced"),
        )
        .sort("_first", "_time", pl.col("_code") < 0, "_unpriced", "_code", "units")
    )  # fmt: skip
    codes = numbered.join(orders, on=[*PAIR, "_order"], how="left", maintain_order="left")["_code"]
    return _take(
        *(_whole(asked[name]) for name in ("_first", "_last", "_code", "_day", "_time", "units", "_unpriced")),
        *(_whole(column) for column in (codes, bought["event_date"], bought["_bought_time"], bought["units"])),
    )


def _whole(column: pl.Series) -> _Int64s:
    return column.to_physical().cast(pl.Int64).to_numpy().copy()


@compiled
def _take(
    first: _Int64s, last: _Int64s, named: _Int64s, day: _Int64s, time: _Int64s, wanted: _Int64s, unpriced: _Int64s,
    order: _Int64s, bought_day: _Int64s, bought_time: _Int64s, units: _Int64s,
) -> tuple[_Int64s, _Int64s, _Int64s]:  # fmt: skip
    returned, without_price, emptied = np.zeros_like(units), np.zeros_like(units), np.zeros_like(units)
    for one in range(len(first)):
        left = wanted[one]
        for rule in range(3):
            for place in range(last[one], first[one] - 1, -1):
                if left == 0:
                    break
                if rule == 0:
                    fits = order[place] == named[one] and bought_day[place] <= day[one]
                elif rule == 1:
                    fits = bought_day[place] < day[one]
                else:
                    fits = bought_day[place] == day[one] and bought_time[place] <= time[one]
                taken = min(left, units[place] - returned[place])
                if fits and taken > 0:
                    left -= taken
                    returned[place] += taken
                    without_price[place] += taken * unpriced[one]
                    emptied[place] = day[one]
    return returned, without_price, emptied
