"""One person's habits as of a day."""

import math
from datetime import date, timedelta

import polars as pl

from recsys_assets.logic.price_tiers import TIERS
from recsys_assets.logic.returns import LINE, purchases_after_returns
from recsys_assets.tables import USER_PROFILES
from recsys_assets.tuning import Tuning, UserSegments, UserTypes

SEASONS = ("winter", "spring", "summer", "autumn")
FAVOURITES = 3
_PERSON = "person_key"
_FLOAT_DUST = 1e-9


def user_profiles(
    events: pl.DataFrame,
    sessions: pl.DataFrame,
    item_stats: pl.DataFrame,
    users: pl.DataFrame,
    as_of: date,
    tuning: Tuning,
    time_zone: str,
) -> pl.DataFrame:
    """One row per person with an event in the window: table USER_PROFILES, ordered by person.

    - An order is an order id, or the day's purchases that have none; a purchase is a line.
    - Orders, lines and units are as bought; ``return_rate`` is lines returned per line bought, at most 1.
    - Lifetime value is what the window's purchases cost less what was returned: at the return's own price, else at the
      price paid. Of a product that a person bought at unknown prices alone, neither is counted. Where a person bought
      and no price paid is known, it is null. ``spending_segment`` cuts it at the quantiles of ``user_segments`` over
      everybody who bought and has one (nearest rank: equal values fall in one segment).
    - The average item price is the mean over products bought, not over units, as in INTERACTIONS: fuel, sold by the
      thousandth of a gallon, would otherwise make everything else look dear.
    - Favourite categories are ordered by lines bought, then events, then name. Hour, weekday and season are those in
      which most visits began (seasons of the northern half of the earth); on a tie the earlier one.
    - ``orders_per_30_days`` counts from the first purchase of the window, over at least 30 days.
    - ``click_rate`` is the share of the products shown that were clicked: of a person, product and day at most as many
      clicks count as there were impressions.
    - A return is no visit. A rate with nothing below its line is null; so is every habit of which nothing was seen.

    Args:
        events: table CLEAN_EVENTS of everybody who has a profile; days outside the window are ignored.
        sessions: table SESSIONS; days outside the window are ignored.
        item_stats: table ITEM_STATS of the day; top categories and price tiers come from it.
        users: table USERS of the day; locale and market come from it.
        as_of: last day of the window of ``tuning.window_days`` days.
        tuning: ``window_days``, ``user_segments`` and ``user_types`` are read.
        time_zone: the home's, for the hour.
    """
    inside = pl.col("event_date").is_between(as_of - timedelta(tuning.window_days - 1), as_of)
    lines = (
        events.filter(inside)
        .select(
            pl.coalesce("user_key", "anon_key").alias(_PERSON),
            *LINE,
        )
        .filter(pl.col(_PERSON).is_not_null())
    )
    bought = lines.filter(pl.col("event_type") == "purchase")
    visits = sessions.filter(inside)
    parts = [
        _spending(bought),
        _value(lines),
        _clicked(lines),
        _average_item_price(bought),
        _favourite_categories(lines, item_stats),
        _favourite_tier(bought, item_stats),
        _visit_habits(visits, time_zone),
    ]
    people = _activity(lines)
    for part in [*parts, users.select(_PERSON, "locale", "market")]:
        people = people.join(part, on=_PERSON, how="left")
    people = people.with_columns(
        pl.col("orders", "unique_items", "units", "lifetime_value_micros", "_prices").fill_null(0),
        pl.col("favourite_categories").fill_null([]),
    )
    observed = (pl.lit(as_of) - pl.col("first_purchase_date")).dt.total_days() + 1
    return USER_PROFILES.conform(
        people.with_columns(
            _user_type(tuning.user_types).alias("user_type"),
            _segment(people, tuning.user_segments).alias("spending_segment"),
            pl.when(_known_value()).then("lifetime_value_micros").alias("lifetime_value_micros"),
            (pl.lit(as_of) - pl.col("last_visit_date")).dt.total_days().alias("days_since_last_visit"),
            (pl.col("orders") * 30 / observed.clip(lower_bound=30)).fill_null(0.0).alias("orders_per_30_days"),
            _share("_returns", "purchases").alias("return_rate"),
            _share("_clicks", "_impressions").alias("click_rate"),
        ).sort(_PERSON)
    )


def _activity(lines: pl.DataFrame) -> pl.DataFrame:
    kind = pl.col("event_type")
    return lines.group_by(_PERSON).agg(
        _count(kind == "purchase", "purchases"),
        _count(kind == "return", "_returns"),
        pl.col("event_date").filter(kind != "return").max().alias("last_visit_date"),
    )


def _value(lines: pl.DataFrame) -> pl.DataFrame:
    """Per person who bought or returned: what it was worth, less what came back, and the count of known prices paid."""
    kind, price = pl.col("event_type"), pl.col("unit_price_micros")
    purchase = kind == "purchase"
    unpriced = (
        purchases_after_returns(lines.filter(pl.col("product_id").is_not_null()))
        .group_by(_PERSON)
        .agg(pl.col("_refunded_micros").sum())
    )
    paid = purchase & price.is_not_null()
    # What came back of a purchase whose price nobody knows takes nothing from the others'.
    counted = paid.any() | ~purchase.any()
    value = pl.when(counted.over(_PERSON, "product_id")).then(pl.col("quantity") * price)
    return (
        lines.filter(kind.is_in(["purchase", "return"]))
        .with_columns(value.alias("_value"), paid.alias("_paid"))  # units of a return are below 0
        .group_by(_PERSON)
        .agg(pl.col("_value").sum(), pl.col("_paid").sum().cast(pl.Int64).alias("_prices"))
        .join(unpriced, on=_PERSON, how="left")
        .select(
            _PERSON,
            "_prices",
            (pl.col("_value") - pl.col("_refunded_micros").fill_null(0)).alias("lifetime_value_micros"),
        )
    )


def _clicked(lines: pl.DataFrame) -> pl.DataFrame:
    shown = (
        lines.filter(pl.col("event_type").is_in(["click", "impression"]))
        .group_by(_PERSON, "product_id", "event_date")
        .agg(_count(pl.col("event_type") == "click", "_clicks"), _count(pl.col("event_type") == "impression", "_shown"))
    )
    clicks = pl.min_horizontal("_clicks", "_shown").sum()
    return shown.group_by(_PERSON).agg(clicks.alias("_clicks"), pl.col("_shown").sum().alias("_impressions"))


def _spending(bought: pl.DataFrame) -> pl.DataFrame:
    # Labelled, so that an order named "2024-05-01" is not taken for that day's lines without an order.
    order = pl.coalesce(pl.lit("o") + pl.col("order_id"), pl.lit("d") + pl.col("event_date").cast(pl.String))
    return bought.group_by(_PERSON).agg(
        order.n_unique().cast(pl.Int64).alias("orders"),
        pl.col("product_id").n_unique().cast(pl.Int64).alias("unique_items"),
        pl.col("quantity").sum().alias("units"),
        pl.col("event_date").min().alias("first_purchase_date"),
        pl.col("event_date").max().alias("last_purchase_date"),
    )


def _average_item_price(bought: pl.DataFrame) -> pl.DataFrame:
    spend, units = pl.col("quantity") * pl.col("unit_price_micros"), pl.col("quantity")
    return (
        bought.filter(pl.col("unit_price_micros").is_not_null())
        .group_by(_PERSON, "product_id")
        .agg((spend.sum() // units.sum()).alias("_price"))
        .group_by(_PERSON)
        .agg((pl.col("_price").sum() // pl.len()).alias("average_item_price_micros"))
    )


def _favourite_categories(lines: pl.DataFrame, item_stats: pl.DataFrame) -> pl.DataFrame:
    return (
        lines.join(item_stats.select("product_id", "category"), on="product_id")
        .drop_nulls("category")
        .group_by(_PERSON, "category")
        .agg(_count(pl.col("event_type") == "purchase", "_bought"), pl.len().alias("_events"))
        .sort(_PERSON, "_bought", "_events", "category", descending=[False, True, True, False])
        .group_by(_PERSON, maintain_order=True)
        .agg(pl.col("category").head(FAVOURITES).alias("favourite_categories"))
    )


def _favourite_tier(bought: pl.DataFrame, item_stats: pl.DataFrame) -> pl.DataFrame:
    tiers = item_stats.select("product_id", pl.col("price_tier").cast(pl.Enum(TIERS)))  # a tie goes to the cheaper
    favourite = _favourite(bought.join(tiers, on="product_id"), pl.col("price_tier"), "price_tier")
    return favourite.with_columns(pl.col("price_tier").cast(pl.String))


def _visit_habits(visits: pl.DataFrame, time_zone: str) -> pl.DataFrame:
    hour = pl.col("started_at").dt.convert_time_zone(time_zone).dt.hour()
    season = pl.col("event_date").dt.month() % 12 // 3  # December, January, February: 0
    seasons = _favourite(visits, season, "_season").select(
        _PERSON,
        pl.col("_season").replace_strict(dict(enumerate(SEASONS)), return_dtype=pl.String).alias("favourite_season"),
    )
    totals = visits.group_by(_PERSON).agg(
        (pl.col("converted").sum() / pl.len()).alias("conversion_rate"),
        (pl.col("duration_seconds").sum() / pl.len()).alias("average_session_seconds"),
    )
    return (
        totals.join(_favourite(visits, hour, "favourite_hour"), on=_PERSON)
        .join(_favourite(visits, pl.col("event_date").dt.weekday(), "favourite_weekday"), on=_PERSON)
        .join(seasons, on=_PERSON)
    )


def _favourite(rows: pl.DataFrame, value: pl.Expr, name: str) -> pl.DataFrame:
    """Per person the commonest value that is not null; the smallest of several."""
    return (
        rows.select(_PERSON, value.alias(name))
        .drop_nulls(name)
        .group_by(_PERSON, name)
        .agg(pl.len().alias("_times"))
        .sort(_PERSON, "_times", name, descending=[False, True, False])
        .unique(_PERSON, keep="first", maintain_order=True)
        .drop("_times")
    )


def _user_type(types: UserTypes) -> pl.Expr:
    orders = pl.col("orders")
    return (
        pl.when(orders >= types.loyal_from).then(pl.lit("loyal"))
        .when(orders >= types.regular_from).then(pl.lit("regular"))
        .when(orders >= types.sparse_from).then(pl.lit("sparse"))
        .otherwise(pl.lit("new"))
    )  # fmt: skip


def _known_value() -> pl.Expr:
    """Of whom it is known what they are worth: of those who bought nothing too."""
    return (pl.col("purchases") == 0) | (pl.col("_prices") > 0)


def _segment(people: pl.DataFrame, segments: UserSegments) -> pl.Expr:
    spent = (pl.col("purchases") > 0) & _known_value()
    values = people.filter(spent)["lifetime_value_micros"].sort()
    chain = pl.lit("high")
    for name in ("average", "low_average", "small"):
        rank = max(math.ceil(len(values) * getattr(segments, name) - _FLOAT_DUST), 1)
        if len(values):
            bound = values[min(rank, len(values)) - 1]
            chain = pl.when(pl.col("lifetime_value_micros") <= bound).then(pl.lit(name)).otherwise(chain)
    return pl.when(spent).then(chain)


def _count(condition: pl.Expr, name: str) -> pl.Expr:
    return condition.sum().cast(pl.Int64).alias(name)


def _share(part: str, whole: str) -> pl.Expr:
    return pl.when(pl.col(whole) > 0).then(pl.min_horizontal(part, whole) / pl.col(whole))
