"""Which anonymous key belongs to which known user."""

from collections.abc import Callable, Collection
from datetime import date, timedelta

import polars as pl

from recsys_assets.tables import IDENTITIES


def identities(
    events: pl.DataFrame | pl.LazyFrame,
    as_of: date,
    window_days: int,
    erased: Collection[str] = (),
    mark: Callable[[str], str] = str,
) -> pl.DataFrame:
    """One row per anonymous key that stood beside a user's in an event: table IDENTITIES, ordered by key.

    A key seen with exactly one user within the window belongs to that user. One seen with several is a shared device:
    it belongs to nobody (``user_key`` is null), and what was done there without login stays apart. A key seen with
    somebody who was erased has no row, so that what they did without login stands alone again; another user of the
    same device does not inherit it.

    Args:
        events: table CLEAN_EVENTS; days outside the window are ignored.
        as_of: last day of the window.
        window_days: its length.
        erased: marks of everybody who was erased, under either key.
        mark: key → mark.
    """
    first = as_of - timedelta(days=window_days - 1)
    found = (
        events.lazy()
        .filter(
            pl.col("user_key").is_not_null(),
            pl.col("anon_key").is_not_null(),
            pl.col("event_date").is_between(first, as_of),
        )
        .group_by("anon_key", "user_key")
        .agg(pl.col("event_date").min().alias("_first"), pl.col("event_date").max().alias("_last"))
        .collect()
    )
    if erased and found.height:
        gone = [
            name
            for name in {*found["user_key"].unique().to_list(), *found["anon_key"].unique().to_list()}
            if mark(name) in erased
        ]
        tainted = found.filter(pl.col("user_key").is_in(gone) | pl.col("anon_key").is_in(gone)).select("anon_key")
        found = found.join(tainted.unique(), on="anon_key", how="anti")
    return IDENTITIES.conform(
        found.group_by("anon_key")
        .agg(
            pl.when(pl.len() == 1).then(pl.col("user_key").first()).alias("user_key"),
            pl.col("_first").min().alias("first_seen_date"),
            pl.col("_last").max().alias("last_seen_date"),
        )
        .sort("anon_key")
    )


def merged(events: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    """``events`` in their order; those of an anonymous key that belongs to a user bear that ``user_key``.

    Args:
        events: table CLEAN_EVENTS.
        identities: table IDENTITIES.
    """
    if identities["user_key"].null_count() == identities.height:
        return events
    owner = _owner(identities, pl.when(pl.col("user_key").is_null()).then("anon_key"), events)
    return events.with_columns(pl.coalesce("user_key", owner).alias("user_key"))


def merged_people(visits: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    """``visits`` in their order; an anonymous ``person_key`` that belongs to a user becomes that user's.

    Args:
        visits: with a column ``person_key``, such as table SESSIONS.
        identities: table IDENTITIES.
    """
    if identities["user_key"].null_count() == identities.height:
        return visits
    owner = _owner(identities, pl.col("person_key"), visits)
    return visits.with_columns(pl.coalesce(owner, "person_key").alias("person_key"))


def _owner(identities: pl.DataFrame, key: pl.Expr, rows: pl.DataFrame) -> pl.Series:
    known = identities.filter(pl.col("user_key").is_not_null())
    asked = rows.select(key.alias("_asked"))
    named = known.select(pl.col("anon_key").alias("_asked"), pl.col("user_key").alias("_owner"))
    return asked.join(named, on="_asked", how="left", maintain_order="left")["_owner"]
