"""What each person did with each product, over the window that models look at."""

from datetime import date, timedelta

import polars as pl

from recsys_assets.logic.returns import LINE, ordered, purchases_after_returns, share
from recsys_assets.logic.returns import PAIR as _PAIR
from recsys_assets.tables import INTERACTIONS, MICROS
from recsys_assets.tuning import EventWeights, Tuning


def interactions(events: pl.DataFrame | pl.LazyFrame, as_of: date, tuning: Tuning) -> pl.DataFrame:
    """One row per person and product: table INTERACTIONS, ordered by its grain.

    Only integers are summed, so the result is the same in any order of rows and on any number of threads. Returns take
    back weight, units and spend, as `logic.returns` says; returning some of the units takes their share. Pairs of which
    nothing is left have no row. ``spend_micros`` is what ``priced_units`` cost; it is null where units were bought and
    no price is known.

    Args:
        events: table CLEAN_EVENTS, any range of days; days outside the window are ignored.
        as_of: the last day of the window of ``tuning.window_days`` days.
        tuning: ``window_days``, ``event_weights`` and ``repeats.half_life_days`` are read.
    """
    window = _window(events, as_of, tuning)
    bought = _kept_purchases(window, as_of, tuning)
    other = (
        window.filter(pl.col("event_type").is_in(["purchase", "return"]).not_())
        .with_columns(_weight(tuning.event_weights))
        .filter(pl.col("_weight") > 0)
        .group_by(_PAIR)
        .agg(pl.col("_weight").sum(), pl.col("event_date").max().alias("_seen_date"))
    )
    pairs = bought.join(other, on=_PAIR, how="full", coalesce=True).with_columns(
        (pl.col("_bought_weight").fill_null(0) + pl.col("_weight").fill_null(0)).alias("weight_micros"),
        pl.max_horizontal("_seen_date", "_bought_date").alias("last_event_date"),
        pl.col("frequency_micros", "purchases", "units", "spend_micros", "priced_units").fill_null(0),
    )
    return INTERACTIONS.conform(_with_ratios(pairs).sort(_PAIR))


def purchase_days(events: pl.DataFrame | pl.LazyFrame, as_of: date, tuning: Tuning) -> pl.DataFrame:
    """One row per person, product and day on which it was bought and not given back, in that order.

    Args:
        events: table CLEAN_EVENTS, any range of days; days outside the window are ignored.
        as_of: the last day of the window of ``tuning.window_days`` days.
        tuning: ``window_days`` is read.

    Returns:
        ``person_key`` and ``product_id`` (both as `ordered`), ``event_date``.
    """
    lines = _window(events, as_of, tuning)
    bought = lines.filter(pl.col("event_type") == "purchase")
    # Orders are looked at one by one where something came back, which is nowhere in many shops.
    returned = lines.filter(pl.col("event_type") == "return").select(_PAIR).unique()
    kept = purchases_after_returns(lines.join(returned, on=_PAIR, how="semi")).filter(pl.col("_kept") > 0)
    days = pl.concat(
        [bought.join(returned, on=_PAIR, how="anti").select(*_PAIR, "event_date"), kept.select(*_PAIR, "event_date")]
    )
    return ordered(days, _PAIR).unique().sort(*_PAIR, "event_date")


def _window(events: pl.DataFrame | pl.LazyFrame, as_of: date, tuning: Tuning) -> pl.DataFrame:
    return (
        events.lazy()
        .filter(
            pl.col("event_date").is_between(as_of - timedelta(days=tuning.window_days - 1), as_of),
            pl.col("product_id").is_not_null(),
        )
        .select(pl.coalesce("user_key", "anon_key").alias("person_key"), *LINE)
        .filter(pl.col("person_key").is_not_null())
        .collect()
    )


def _weight(weights: EventWeights) -> pl.Expr:
    micros = {name: round(weight * MICROS) for name, weight in weights.model_dump().items()}
    return pl.col("event_type").replace_strict(micros, default=0, return_dtype=pl.Int64).alias("_weight")


def _kept_purchases(window: pl.DataFrame, as_of: date, tuning: Tuning) -> pl.DataFrame:
    """One row per person and product ever bought in the window, after returns."""
    orders = purchases_after_returns(window)
    weight = round(tuning.event_weights.purchase * MICROS)
    kept = orders.with_columns(
        share(pl.col("_lines") * weight, pl.col("_kept"), pl.col("units")).alias("_bought_weight"),
        pl.col("_kept_micros").alias("spend_micros"),
        pl.col("_kept_priced").alias("priced_units"),
        pl.col("_kept").alias("units"),
        pl.when(pl.col("_kept") > 0).then(pl.col("event_date")).alias("_kept_date"),
    )
    # A purchase day counts once, however many orders fell on it, and fades by half every half-life.
    ages = range(tuning.window_days)
    decay = pl.DataFrame(
        {
            "_kept_date": [as_of - timedelta(days=age) for age in ages],
            "_decay": [round(MICROS * 2.0 ** (-age / tuning.repeats.half_life_days)) for age in ages],
        },
        schema={"_kept_date": pl.Date, "_decay": pl.Int64},
    )
    days = (
        kept.select(*_PAIR, "_kept_date")
        .drop_nulls()
        .unique()
        .join(decay, on="_kept_date")
        .group_by(_PAIR)
        .agg(
            pl.col("_decay").sum().alias("frequency_micros"),
            pl.len().cast(pl.Int64).alias("purchases"),
            pl.col("_kept_date").max().alias("last_purchase_date"),
        )
    )
    return (
        kept.group_by(_PAIR)
        .agg(
            pl.col("_bought_weight", "units", "spend_micros", "priced_units").sum(),
            pl.col("event_date").max().alias("_bought_date"),
        )
        .join(days, on=_PAIR, how="left")
    )


def _with_ratios(pairs: pl.DataFrame) -> pl.DataFrame:
    """B4: the price against what the person usually pays, the units against what people usually take of it.

    What a person usually pays is the mean over the products bought, not over units: fuel, sold by the thousandth of a
    gallon, would otherwise make everything else look dear. A product without a known price is left out of it, and has
    no ratio.
    """
    sold, priced = pl.col("units") > 0, pl.col("priced_units") > 0
    price = pl.when(priced).then(pl.col("spend_micros") // pl.col("priced_units"))
    quantity = pl.col("units") / pl.col("purchases")
    item_quantity = pl.col("units").sum().over("product_id") / pl.col("purchases").sum().over("product_id")
    return (
        pairs.with_columns(price.alias("_price"))
        .with_columns((pl.col("_price").sum() / pl.col("_price").count()).over("person_key").alias("_usual_price"))
        .with_columns(
            pl.when(priced & (pl.col("_usual_price") > 0))
            .then(pl.col("_price") / pl.col("_usual_price"))
            .alias("spending_ratio"),
            pl.when(sold).then(quantity / item_quantity).alias("quantity_ratio"),
            pl.when(priced | ~sold).then("spend_micros").alias("spend_micros"),
        )
        .filter((pl.col("weight_micros") > 0) | sold)
    )
