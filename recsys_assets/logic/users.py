"""Landed rows of users files → everybody as last told, and who said no."""

from datetime import date

import polars as pl

from recsys_assets.logic.identities import owned
from recsys_assets.logic.wishes import Wishes
from recsys_assets.tables import USERS

_WISHES = ("consent", "transactional_only")


def users(landed: pl.DataFrame, as_of: date | None = None) -> pl.DataFrame:
    """One row per person named by the end of ``as_of`` (None: by now): table USERS, ordered by person.

    Of a person's rows the newest one holds: by ``event_date``, then ``updated_at``, then the time of landing, then the
    line. A wish (``consent``, ``transactional_only``) that it leaves out stays as last told: a file of changes, or one
    without that column, must not lift a no.

    Args:
        landed: table LANDING_USERS; rows with a ``problem`` and rows of later days are ignored.
        as_of: the day.
    """
    since = pl.coalesce("updated_at", pl.col("event_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    rows = landed.filter(pl.col("problem").is_null())
    if as_of is not None:
        rows = rows.filter(pl.col("event_date") <= as_of)
    told = [pl.col(wish).drop_nulls().last().alias(wish) for wish in _WISHES]
    facts = [pl.col(name).last() for name in USERS.columns if name not in ("person_key", "updated_date", *_WISHES)]
    return USERS.conform(
        rows.with_columns(since.alias("_since"))
        .sort("user_key", "event_date", "_since", "landed_at", "source_file", "source_line")
        .group_by(pl.col("user_key").alias("person_key"), maintain_order=True)
        .agg(*facts, *told, pl.col("event_date").last().alias("updated_date"))
    )


def withheld(users: pl.DataFrame) -> pl.DataFrame:
    """``person_key`` of those who said no to recommendations.

    Args:
        users: table USERS.
    """
    return users.filter(pl.col("consent").not_()).select("person_key")


def wishes(users: pl.DataFrame, identities: pl.DataFrame) -> Wishes:
    """What everybody said; a no holds for the anonymous keys that belong to the person too.

    A key that belongs to somebody else by now, or to nobody (a shared device), is released.

    Args:
        users: table USERS.
        identities: table IDENTITIES.
    """
    refused = withheld(users)
    theirs = owned(identities).join(refused, left_on="user_key", right_on="person_key", how="semi")
    others = identities.select("anon_key").unique().join(theirs, on="anon_key", how="anti")
    granted = users.filter(pl.col("consent"))["person_key"]
    return Wishes(
        [*refused["person_key"], *theirs["anon_key"]],
        [*granted, *others["anon_key"]],
        users.filter(pl.col("transactional_only"))["person_key"].to_list(),
        users.filter(pl.col("transactional_only").not_())["person_key"].to_list(),
    )
