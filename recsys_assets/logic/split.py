"""One global cut-off in time: what lies after it is never seen by what is evaluated on it (promise 6)."""

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from recsys_assets.logic.returns import LINE, purchases_after_returns


@dataclass(frozen=True)
class Window:
    """Days that models may see (up to and with ``cutoff``) and the days after it, up to and with ``until``."""

    cutoff: date
    until: date

    def before(self) -> "Window":
        """The window of the same length that ends where this one begins.

        >>> Window(date(2017, 12, 3), date(2017, 12, 17)).before()
        Window(cutoff=datetime.date(2017, 11, 19), until=datetime.date(2017, 12, 3))
        """
        return Window(self.cutoff - (self.until - self.cutoff), self.cutoff)

    def purchases(self, events: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
        """One row per person and product bought after the cut-off and kept to the end (`logic.returns`).

        What comes back of purchases up to the cut-off takes nothing from those after it: give the days before it too.

        Args:
            events: table CLEAN_EVENTS, any range of days.

        Returns:
            ``person_key``, ``product_id``, ordered.
        """
        lines = (
            events.lazy()
            .filter(
                pl.col("event_date") <= self.until,
                pl.col("event_type").is_in(["purchase", "return"]),
                pl.col("product_id").is_not_null(),
            )
            .select(pl.coalesce("user_key", "anon_key").alias("person_key"), *LINE)
            .filter(pl.col("person_key").is_not_null())
            .collect()
        )
        kept = purchases_after_returns(lines).filter(pl.col("event_date") > self.cutoff, pl.col("_kept") > 0)
        return kept.select("person_key", "product_id").unique().sort("person_key", "product_id")


def origins(as_of: date, holdout_days: int, count: int) -> list[date]:
    """The last day of each of ``count`` test windows, newest first, one holdout apart.

    >>> origins(date(2017, 12, 31), 14, 2)
    [datetime.date(2017, 12, 31), datetime.date(2017, 12, 17)]
    """
    return [as_of - timedelta(days=holdout_days * place) for place in range(count)]


def windows(as_of: date, holdout_days: int) -> dict[str, Window]:
    """``validation`` (choices are made on it) and ``test`` (nothing is): two holdouts, one after the other.

    >>> windows(date(2017, 12, 31), 14)["validation"]
    Window(cutoff=datetime.date(2017, 12, 3), until=datetime.date(2017, 12, 17))
    >>> windows(date(2017, 12, 31), 14)["test"]
    Window(cutoff=datetime.date(2017, 12, 17), until=datetime.date(2017, 12, 31))
    """
    middle = as_of - timedelta(days=holdout_days)
    return {"validation": Window(middle - timedelta(days=holdout_days), middle), "test": Window(middle, as_of)}
