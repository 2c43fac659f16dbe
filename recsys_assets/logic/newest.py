"""Which of several landed rows of one product or person is the later one."""

from datetime import timedelta

import polars as pl

# A day of the home's time zone begins up to 14 hours before that of UTC, and ends up to 12 hours after it.
_BEFORE, _AFTER = timedelta(hours=14), timedelta(hours=36)
ORDER = ("event_date", "_since", "landed_at", "source_file", "source_line", "row_hash")


def since(of_unknown: pl.Expr | None = None) -> pl.Expr:
    """``_since``: from when on its day a row of a catalogue or users file holds.

    That is ``updated_at``; of an undated row that landed on its day, the landing; of another undated one
    ``of_unknown``, by default the start of the day.

    Rows of one product or person are in order by `ORDER`: the day comes first, because it is of the home's time zone,
    so that an evening west of Greenwich, when UTC has the next day already, does not outlive the undated row of that
    next day. Of one time, what landed later is later, and in one file the later line.
    """
    start = start_of_day()
    landed = pl.when(pl.col("landed_at").is_between(start - _BEFORE, start + _AFTER)).then("landed_at")
    return pl.coalesce("updated_at", landed, start if of_unknown is None else of_unknown).alias("_since")


def start_of_day() -> pl.Expr:
    """Of ``event_date``, in UTC."""
    return pl.col("event_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
