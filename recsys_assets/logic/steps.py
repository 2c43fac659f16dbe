"""What each person took, in order, over the window that models look at."""

from datetime import date, timedelta

import polars as pl

from recsys_assets.logic.returns import LINE, order_name, purchases_after_returns
from recsys_assets.tables import STEPS
from recsys_assets.tuning import Tuning

_MICROSECONDS_PER_MINUTE = 60_000_000


def steps(events: pl.DataFrame | pl.LazyFrame, as_of: date, tuning: Tuning) -> pl.DataFrame:
    """One row per person, basket and product: table STEPS, ordered by its grain; the oldest basket is 0.

    The same events as in INTERACTIONS: those of the window whose weight is above 0, purchases less what was returned.
    What was bought in one order (or, without an order, on one day) is one basket. Anything else is a basket by
    itself, because it has an order: the clicks of a visit follow one another. What was looked at several times in a
    visit counts once, the last time; what was also bought in that visit counts as bought. Visits are cut as in
    SESSIONS: by the shop's session and day, else by a silence.

    Args:
        events: table CLEAN_EVENTS, any range of days; days outside the window are ignored.
        as_of: the last day of the window, from which ages count.
        tuning: ``window_days``, ``event_weights``, ``session_gap_minutes`` and ``steps_per_person`` are read.
    """
    counting = [name for name, weight in tuning.event_weights.model_dump().items() if weight > 0]
    window = (
        events.lazy()
        .filter(
            pl.col("event_date").is_between(as_of - timedelta(days=tuning.window_days - 1), as_of),
            pl.col("product_id").is_not_null(),
            pl.col("event_type").is_in([*counting, "return"]),
        )
        .select(pl.coalesce("user_key", "anon_key").alias("person_key"), "session_id", *LINE)
        .filter(pl.col("person_key").is_not_null())
        .collect()
    )
    lines = _with_visits(window.filter(pl.col("event_type") != "return"), tuning.session_gap_minutes)
    bought = _bought(window, lines)
    taken = pl.concat([bought, _looked_at(lines, bought)])
    newest = taken.sort("person_key", "_visit", "_time", "_basket", "product_id").filter(
        pl.int_range(pl.len(), 0, -1).over("person_key") <= tuning.steps_per_person
    )
    return STEPS.conform(
        newest.with_columns(
            _numbered("_visit").alias("visit"),
            _numbered("_visit", "_basket").alias("basket"),
            (pl.lit(as_of) - pl.col("event_date")).dt.total_days().alias("age_days"),
        ).with_columns((pl.col(name) - pl.col(name).min().over("person_key")) for name in ("visit", "basket"))
    )


def _with_visits(lines: pl.DataFrame, gap_minutes: int) -> pl.DataFrame:
    """``lines`` with ``_visit``: a number that ascends with the start of each person's visits."""
    ordered = lines.sort("person_key", "event_date", "session_id", "event_time")
    changed = pl.any_horizontal(_changes(name) for name in ("person_key", "event_date", "session_id"))
    silence = pl.col("event_time").diff().dt.total_microseconds() > gap_minutes * _MICROSECONDS_PER_MINUTE
    starts = changed | (pl.col("session_id").is_null() & silence)
    cut = ordered.with_columns(starts.fill_null(True).cum_sum().alias("_cut"))
    visits = (
        cut.group_by("_cut")
        .agg(pl.col("person_key", "session_id").first(), pl.col("event_time").min().alias("_start"))
        .sort("person_key", "_start", "session_id")
        .select("_cut", pl.int_range(pl.len(), dtype=pl.Int64).alias("_visit"))
    )
    return cut.join(visits, on="_cut").drop("_cut")


def _bought(window: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """One row per person, order and product of which something was kept."""
    kept = purchases_after_returns(window).filter(pl.col("_kept") > 0)
    of_line = lines.filter(pl.col("event_type") == "purchase").with_columns(order_name().alias("_order"))
    baskets = of_line.group_by("person_key", "_order").agg(
        pl.col("_visit").min(), pl.col("event_time").min().alias("_time"), pl.col("event_date").min()
    )
    return (
        kept.select("person_key", "product_id", "_order")
        .unique()
        .join(baskets, on=["person_key", "_order"])
        .select("person_key", "_visit", "_time", pl.col("_order").alias("_basket"), "product_id", "event_date")
    )


def _looked_at(lines: pl.DataFrame, bought: pl.DataFrame) -> pl.DataFrame:
    """One row per person, visit and product that was looked at, put into a cart … and not bought in that visit."""
    return (
        lines.filter(pl.col("event_type") != "purchase")
        .group_by("person_key", "_visit", "product_id")
        .agg(pl.col("event_time").max().alias("_time"), pl.col("event_date").min())
        .join(bought, on=["person_key", "_visit", "product_id"], how="anti")
        .with_columns(pl.concat_str(pl.lit("look "), "product_id").alias("_basket"))
        .select("person_key", "_visit", "_time", "_basket", "product_id", "event_date")
    )


def _changes(name: str) -> pl.Expr:
    return pl.col(name).ne_missing(pl.col(name).shift(1))


def _numbered(*names: str) -> pl.Expr:
    """Counts up, over the whole frame, where the person or one of ``names`` changes."""
    return pl.any_horizontal(_changes(name) for name in ("person_key", *names)).cum_sum().cast(pl.Int64)
