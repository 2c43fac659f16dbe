"""Clean events → one row per visit."""

import hashlib

import polars as pl

from recsys_assets.tables import SESSIONS

_MICROSECONDS_PER_MINUTE = 60_000_000


def sessions(events: pl.DataFrame, gap_minutes: int) -> pl.DataFrame:
    """One row per visit: table SESSIONS, ordered by day, start and id.

    Events of one person, day and session id of the shop are one visit, however far apart. A person's events without
    a session id are cut where more than ``gap_minutes`` lie between two of them. Midnight of the home's time zone
    ends every visit, as in Universal Analytics, so that a day can be rebuilt from its own events. What a person did
    before logging in is a visit of the anonymous key: erasing either key takes the whole row.

    Args:
        events: table CLEAN_EVENTS, whole days.
        gap_minutes: a silence longer than this ends a visit.
    """
    kind = pl.col("event_type")
    bought = kind == "purchase"
    ordered = (
        events.select(
            pl.coalesce("user_key", "anon_key").alias("person_key"),
            "event_id", "event_type", "event_time", "event_date", "session_id", "product_id", "device", "referrer",
            pl.when(bought).then(pl.col("quantity") * pl.col("unit_price_micros")).alias("_value"),
        )
        .filter(pl.col("person_key").is_not_null())
        .sort("event_date", "person_key", "session_id", "event_time", "event_id")
    )  # fmt: skip
    changed = pl.any_horizontal(
        pl.col(name).ne_missing(pl.col(name).shift(1)) for name in ("event_date", "person_key", "session_id")
    )
    silence = pl.col("event_time").diff().dt.total_microseconds() > gap_minutes * _MICROSECONDS_PER_MINUTE
    starts = changed | (pl.col("session_id").is_null() & silence)
    visits = (
        ordered.with_columns(starts.fill_null(True).cum_sum().alias("_visit"))
        .group_by("_visit")
        .agg(
            pl.col("person_key", "event_date", "session_id", "event_id").first(),
            pl.col("event_time").first().alias("started_at"),
            pl.col("event_time").last().alias("ended_at"),
            _count(pl.lit(True), "events"),
            _count(kind == "view", "views"),
            _count(kind.is_in(["click", "search_click"]), "clicks"),
            _count(kind == "add_to_cart", "carts"),
            _count(bought, "purchases"),
            _count(kind == "return", "returns"),
            _count(kind == "search", "searches"),
            _count(kind == "impression", "impressions"),
            pl.col("product_id").drop_nulls().n_unique().cast(pl.Int64).alias("products"),
            pl.col("_value").sum().alias("value_micros"),
            pl.col("device", "referrer").drop_nulls().first(),
        )
    )
    return SESSIONS.conform(
        visits.with_columns(
            _visit_ids(visits).alias("session_id"),
            (pl.col("ended_at") - pl.col("started_at")).dt.total_seconds().alias("duration_seconds"),
            (pl.col("purchases") > 0).alias("converted"),
        )
    ).sort("event_date", "started_at", "session_id")


def _count(condition: pl.Expr, name: str) -> pl.Expr:
    # `lit` alone would count once per group instead of once per row.
    return (condition & pl.col("event_time").is_not_null()).sum().cast(pl.Int64).alias(name)


def _visit_ids(visits: pl.DataFrame) -> pl.Series:
    """A key per visit out of what identifies it: the shop's session and the day, else its first event.

    Hashed with SHA-256, because polars' own hash changes between its versions.
    """
    parts = zip(
        visits["person_key"],
        visits["event_date"].cast(pl.String),
        visits["session_id"].is_not_null(),
        visits["session_id"].fill_null(visits["event_id"]),
        strict=True,
    )
    ids = [hashlib.sha256(f"{who}\0{day}\0{own}\0{what}".encode()).hexdigest()[:32] for who, day, own, what in parts]
    return pl.Series("session_id", ids, dtype=pl.String)
