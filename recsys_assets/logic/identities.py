"""Which anonymous keys were seen with which known users, and whose each is."""

from collections.abc import Callable, Collection
from datetime import date, timedelta

import polars as pl

from recsys_assets.tables import IDENTITIES


def identities(
    events: pl.DataFrame | pl.LazyFrame,
    as_of: date,
    window_days: int,
    shared: Collection[str] = (),
    apart: Collection[str] = (),
    mark: Callable[[str], str] = str,
) -> pl.DataFrame:
    """One row per anonymous key and user that stood in one event: table IDENTITIES, ordered by both.

    A key seen with exactly one user within the window belongs to that user (see `owned`). One seen with several is a
    shared device: it is nobody's, and what was done there without login stays apart. Somebody who was erased is a row
    without a user: the device stays shared, and who is left does not inherit what may have been theirs.

    Args:
        events: table CLEAN_EVENTS; days outside the window are ignored.
        as_of: last day of the window.
        window_days: its length.
        shared: marks of anonymous keys that somebody who was erased shared with others.
        apart: marks of those who opted out; an anonymous key among them has no row, and passes nothing on to a user.
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
        .agg(pl.col("event_date").min().alias("first_seen_date"), pl.col("event_date").max().alias("last_seen_date"))
        .collect()
    )
    marks = {key: mark(key) for key in found["anon_key"].unique()} if shared or apart else {}
    found = found.filter(~pl.col("anon_key").is_in([key for key, of in marks.items() if of in apart]))
    with_erased = [key for key, of in marks.items() if of in shared]
    lost = (
        found.filter(pl.col("anon_key").is_in(with_erased))
        .group_by("anon_key")
        .agg(pl.col("first_seen_date").min(), pl.col("last_seen_date").max())
        .with_columns(pl.lit(None, dtype=pl.String).alias("user_key"))
    )
    rows = pl.concat([IDENTITIES.conform(found), IDENTITIES.conform(lost)])
    return rows.sort("anon_key", "user_key")


def owned(identities: pl.DataFrame) -> pl.DataFrame:
    """``anon_key`` and the one user, ``user_key``, that it belongs to.

    Args:
        identities: table IDENTITIES.
    """
    alone = identities.filter(pl.len().over("anon_key") == 1, pl.col("user_key").is_not_null())
    return alone.select("anon_key", "user_key")


def shared(identities: pl.DataFrame) -> pl.Series:
    """Anonymous keys of devices that several people use.

    Args:
        identities: table IDENTITIES.
    """
    return identities.join(owned(identities), on="anon_key", how="anti")["anon_key"].unique().sort()


def merged(events: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    """``events`` in their order; those of an anonymous key that belongs to a user bear that ``user_key``.

    Args:
        events: table CLEAN_EVENTS.
        identities: table IDENTITIES.
    """
    known = owned(identities)
    if known.is_empty():
        return events
    owner = _owner(known, pl.when(pl.col("user_key").is_null()).then("anon_key"), events)
    return events.with_columns(pl.coalesce("user_key", owner).alias("user_key"))


def merged_people(visits: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    """``visits`` in their order; an anonymous ``person_key`` that belongs to a user becomes that user's.

    Args:
        visits: with a column ``person_key``, such as table SESSIONS.
        identities: table IDENTITIES.
    """
    known = owned(identities)
    if known.is_empty():
        return visits
    owner = _owner(known, pl.col("person_key"), visits)
    return visits.with_columns(pl.coalesce(owner, "person_key").alias("person_key"))


def of_somebody(events: pl.DataFrame, identities: pl.DataFrame, out: Collection[str]) -> pl.DataFrame:
    """`merged` events without those of nobody (without login, on a shared device) and of the people ``out``.

    Args:
        events: table CLEAN_EVENTS, merged.
        identities: table IDENTITIES.
        out: keys of either kind.
    """
    hidden = pl.concat([shared(identities), pl.Series(sorted(out), dtype=pl.String)]).implode()
    return events.filter(~pl.coalesce("user_key", "anon_key").is_in(hidden).fill_null(False))


def _owner(known: pl.DataFrame, key: pl.Expr, rows: pl.DataFrame) -> pl.Series:
    asked = rows.select(key.alias("_asked"))
    named = known.select(pl.col("anon_key").alias("_asked"), pl.col("user_key").alias("_owner"))
    return asked.join(named, on="_asked", how="left", maintain_order="left")["_owner"]
