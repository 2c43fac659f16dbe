"""Landed rows of users files → everybody as last told, and who said no."""

from datetime import date, timedelta

import polars as pl

from recsys_assets.logic.identities import owned
from recsys_assets.logic.newest import ORDER, since, start_of_day
from recsys_assets.logic.wishes import Wishes
from recsys_assets.tables import USERS

_NO = {"consent": False, "transactional_only": True}  # each wish, and what of it is the stricter word


def users(landed: pl.DataFrame, as_of: date | None = None) -> pl.DataFrame:
    """One row per person named by the end of ``as_of`` (None: by now): table USERS, ordered by person.

    Of a person's rows the newest one holds: by day, then time, then landing, then line (`logic.newest`). A wish
    (``consent``, ``transactional_only``) that it leaves out stays as last told: a file of changes, or one without that
    column, must not lift a no. Of an undated row that did not land on its day, nobody knows the hour: a no in it is
    taken to be the last word of that day, so that no yes lifts it that may have come before it.

    Args:
        landed: table LANDING_USERS; rows with a ``problem`` and rows of later days are ignored.
        as_of: the day.
    """
    rows = landed.filter(pl.col("problem").is_null())
    if as_of is not None:
        rows = rows.filter(pl.col("event_date") <= as_of)
    facts = [pl.col(name).last() for name in USERS.columns if name not in ("person_key", "updated_date", *_NO)]
    made = (
        rows.with_columns(since())
        .sort("user_key", *ORDER)
        .group_by(pl.col("user_key").alias("person_key"), maintain_order=True)
        .agg(*facts, pl.col("event_date").last().alias("updated_date"))
    )
    for wish, no in _NO.items():
        # Of undated rows of one day the last one speaks, and stands behind or before those whose hour is known.
        last = pl.col(wish).last().over("user_key", "event_date", since(of_unknown=pl.lit(None)).is_null())
        unknown = pl.when(last == no).then(start_of_day() + timedelta(days=3)).otherwise(start_of_day())
        told = (
            rows.drop_nulls(wish)
            .sort("user_key", *(name for name in ORDER if name != "_since"))
            .with_columns(since(unknown))
            .sort("user_key", *ORDER)
            .group_by(pl.col("user_key").alias("person_key"), maintain_order=True)
            .agg(pl.col(wish).last())
        )
        made = made.join(told, on="person_key", how="left", maintain_order="left")
    return USERS.conform(made)


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
