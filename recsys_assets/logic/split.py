"""One global cut-off in time: what lies after it is never seen by what is evaluated on it (promise 6)."""

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl


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
        """One row per person and product bought after the cut-off and not returned in the same window.

        Args:
            events: table CLEAN_EVENTS, any range of days.

        Returns:
            ``person_key``, ``product_id``, ordered.
        """
        return (
            events.lazy()
            .filter(
                pl.col("event_date").is_between(self.cutoff, self.until, closed="right"),
                pl.col("event_type").is_in(["purchase", "return"]),
                pl.col("product_id").is_not_null(),
            )
            .select(
                pl.coalesce("user_key", "anon_key").alias("person_key"),
                "product_id",
                (
                    pl.col("quantity").abs().fill_null(1)
                    * pl.when(pl.col("event_type") == "return").then(-1).otherwise(1)
                ).alias("_units"),
                (pl.col("event_type") == "purchase").alias("_bought"),
            )
            .filter(pl.col("person_key").is_not_null())
            .group_by("person_key", "product_id")
            .agg(pl.col("_units").sum(), pl.col("_bought").any())
            .filter(pl.col("_bought"), pl.col("_units") > 0)
            .select("person_key", "product_id")
            .sort("person_key", "product_id")
            .collect()
        )  # fmt: skip


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
