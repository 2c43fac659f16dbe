"""Clean events → one row per visit."""

import hashlib

import polars as pl

from recsys_assets.tables import SESSIONS

_MICROSECONDS_PER_MINUTE = 60_000_000
_COUNTED = {
    "views": ("view",), "clicks": ("click", "search_click"), "carts": ("add_to_cart",),
    "removals": ("remove_from_cart",), "wishes": ("wishlist_add",), "purchases": ("purchase",), "returns": ("return",),
    "reviews": ("review",), "searches": ("search",), "impressions": ("impression",),
}  # fmt: skip


def sessions(events: pl.DataFrame, gap_minutes: int) -> pl.DataFrame:
    """One row per visit: table SESSIONS, ordered by day, start and id.

    Events of one person, day and session id of the shop are one visit, however far apart. A person's events without
    a session id are cut where more than ``gap_minutes`` lie between two of them. Midnight of the home's time zone
    ends every visit, as in Universal Analytics, so that a day can be rebuilt from its own events.

    A login does not end a visit: what the shop's session holds of one anonymous key is of the one user in it, and the
    row names both keys, so that erasing either takes it whole. A session id that several users or several anonymous
    keys share is cut by person. Without a session id, what a person did before logging in is a visit of the anonymous
    key.

    A return is no visit, and makes none longer: it is counted in the visit around it, if any.

    Args:
        events: table CLEAN_EVENTS, whole days.
        gap_minutes: a silence longer than this ends a visit.
    """
    kind = pl.col("event_type")
    bought = kind == "purchase"
    group = ["event_date", "person_key", "session_id"]
    ordered = (
        _with_people(events)
        .select(
            "person_key", "anon_key", "_before", "event_id", "event_type", "event_date", "session_id", "product_id",
            "device", "referrer",
            pl.when(kind != "return").then("event_time").alias("_at"), "event_time",
            pl.when(bought).then(pl.col("quantity") * pl.col("unit_price_micros")).alias("_value"),
        )
        .filter(pl.col("person_key").is_not_null())
        .sort(*group, "event_time", "event_id")
        .with_columns(pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in group).alias("_new"))
        .with_columns(pl.col("_new").fill_null(True).cum_sum().alias("_group"))
    )  # fmt: skip
    last = pl.col("_at").forward_fill().shift(1).over("_group")
    silence = (pl.col("_at") - last).dt.total_microseconds() > gap_minutes * _MICROSECONDS_PER_MINUTE
    starts = pl.col("_new").fill_null(True) | (pl.col("session_id").is_null() & silence.fill_null(False))
    here = pl.col("_at").is_not_null()
    visits = (
        ordered.with_columns(starts.cum_sum().alias("_visit"))
        .group_by("_visit")
        .agg(
            pl.col("person_key", "event_date", "session_id").first(),
            pl.col("event_id").filter(here).first(),
            pl.col("anon_key").filter("_before").max(),
            pl.col("_at").min().alias("started_at"),
            pl.col("_at").max().alias("ended_at"),
            _count(pl.lit(True), "events"),
            *(_count(kind.is_in(types), name) for name, types in _COUNTED.items()),
            pl.col("product_id").filter(here).drop_nulls().n_unique().cast(pl.Int64).alias("products"),
            pl.col("_value").sum().alias("value_micros"),
            pl.col("device", "referrer").drop_nulls().first(),
        )
        .filter(pl.col("started_at").is_not_null())
    )
    return SESSIONS.conform(
        visits.with_columns(
            _visit_ids(visits).alias("session_id"),
            (pl.col("ended_at") - pl.col("started_at")).dt.total_seconds().alias("duration_seconds"),
            (pl.col("purchases") > 0).alias("converted"),
        )
    ).sort("event_date", "started_at", "session_id")


def _with_people(events: pl.DataFrame) -> pl.DataFrame:
    """``events`` with ``person_key``, and ``_before``: whether it is a login that says whose the event is."""
    named = pl.col("session_id").is_not_null()
    logins = (
        events.filter(named)
        .group_by("event_date", "session_id")
        .agg(
            pl.col("user_key").max().alias("_user"),
            pl.col("user_key").drop_nulls().n_unique().alias("_users"),
            pl.col("anon_key").drop_nulls().n_unique().alias("_anons"),
        )
        .filter(pl.col("_users") == 1, pl.col("_anons") == 1)
        .drop("_users", "_anons")
    )
    before = (pl.col("user_key").is_null() & pl.col("_user").is_not_null()).alias("_before")
    return (
        events.join(logins, on=["event_date", "session_id"], how="left", maintain_order="left")
        .with_columns(before, pl.coalesce("user_key", "_user", "anon_key").alias("person_key"))
    )  # fmt: skip


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
