"""A day against the weeks before it: how much happened, when, by whom, at which prices.

Prices are compared with medians, counts with what chance allows. What people did on holidays looks like a broken
delivery: only the shop can tell, by ``quality.accept_days``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic import counts
from recsys_assets.tables import CLEAN_EVENTS
from recsys_assets.tuning import Quality

BOT, PRICE_OUTLIER = "bot", "price_outlier"

Hours = npt.NDArray[np.int64]  # events per hour of a day
Kind = Literal["volume", "hours", "bots", "prices"]
_WARNS = 10  # times ``false_stops`` below which a chance is a warning
_MAD_TO_SPREAD = 1.4826  # of a normal distribution
_USUAL_HOUR = 0.75  # share of a weekday's days on which an hour must have had events to be missed
_HOURS_AT_LEAST = 4  # of a shop with fewer usual hours in a day, none is missed
_VARIES = 4.0  # spreads of its own logarithms by which a product's price must be off
_PURCHASES = "events of type purchase"
_SALES_AT_LEAST = 5  # judged lines, or products, of which a share says something
_SOLD = pl.col("event_type").is_in(["purchase", "return"])
_PERSON = pl.coalesce("user_key", "anon_key")


@dataclass(frozen=True)
class Anomaly:
    """What is odd about one day, in words that name no person; ``error``: it should not be published unseen."""

    day: date
    kind: Kind
    severity: Literal["error", "warn"]
    text: str

    def __str__(self) -> str:
        return f"{self.day}: {self.text}"


def daily_counts(events: pl.LazyFrame, time_zone: str) -> pl.LazyFrame:
    """Events per day, hour of the shop's clock (``_hour``) and type (``_count``), bots left out."""
    hour = pl.col("event_time").dt.convert_time_zone(time_zone).dt.hour().alias("_hour")
    people = events.filter(pl.col("flag").ne_missing(BOT))
    return people.group_by("event_date", hour, "event_type").agg(pl.len().cast(pl.Int64).alias("_count"))


def daily_people(events: pl.LazyFrame) -> pl.LazyFrame:
    """Persons and anonymous visitors per day (``_people``), bots left out."""
    people = events.filter(pl.col("flag").ne_missing(BOT))
    return people.group_by("event_date").agg(_PERSON.n_unique().cast(pl.Int64).alias("_people"))


def daily_prices(events: pl.LazyFrame) -> pl.LazyFrame:
    """Per day and product the median of what was paid for it (``_price``, micros), bots left out."""
    sold = events.filter(
        pl.col("event_type") == "purchase", pl.col("unit_price_micros") > 0, pl.col("flag").ne_missing(BOT)
    )
    return sold.group_by("event_date", "product_id").agg(pl.col("unit_price_micros").median().alias("_price"))


def judge(
    events: pl.DataFrame, past: pl.LazyFrame, days: Sequence[date], time_zone: str, quality: Quality
) -> tuple[pl.DataFrame, list[Anomaly]]:
    """CLEAN_EVENTS with outliers flagged, and what is odd about ``days``.

    Args:
        events: table CLEAN_EVENTS, all of ``days``.
        past: the same of other days, at least of the ``weeks`` before each.
        days: which to judge.
        time_zone: the home's, for the hour.
        quality: all is read.
    """
    events = flag_bots(events, quality)
    # Summed up apart and joined then: the past is read from files, of which only the columns in use are loaded.
    parts = (past, events.lazy())
    made = pl.collect_all(
        [daily_counts(part, time_zone) for part in parts]
        + [daily_people(part) for part in parts]
        + [daily_prices(part) for part in parts]
    )
    hourly, people, prices = (pl.concat(made[n : n + 2]) for n in (0, 2, 4))
    flagged, odd_prices = flag_prices(events, prices, quality)
    return flagged, [*bots(flagged), *volumes(hourly, people, days, quality), *odd_prices]


def flag_bots(events: pl.DataFrame, quality: Quality) -> pl.DataFrame:
    """CLEAN_EVENTS with ``flag`` = ``bot`` on all events of a person and day beyond what people do.

    Beyond ``bot_events`` in a day, or beyond ``bot_floor`` and ``bot_times`` the median person of the day. A day is
    judged by itself, so that a rebuilt one is flagged as it was.
    """
    people = events.group_by("event_date", _PERSON.alias("_person")).agg(pl.len().alias("_events"))
    usual = pl.col("_events").median().over("event_date")
    count = pl.col("_events")
    bots = people.filter(
        (count > quality.bot_events) | ((count > quality.bot_floor) & (count > quality.bot_times * usual))
    )
    if bots.is_empty():
        return events
    marked = events.with_columns(_PERSON.alias("_person")).join(
        bots.select("event_date", "_person", pl.lit(BOT).alias("_bot")),
        on=["event_date", "_person"],
        how="left",
        maintain_order="left",
    )
    return CLEAN_EVENTS.conform(marked.with_columns(pl.coalesce("_bot", "flag").alias("flag")))


def flag_prices(events: pl.DataFrame, prices: pl.DataFrame, quality: Quality) -> tuple[pl.DataFrame, list[Anomaly]]:
    """CLEAN_EVENTS with ``flag`` = ``price_outlier`` on sales and returns far off the product's usual price.

    Far off: by ``price_times`` or more either way, and by more than the product's own prices vary. With it the days
    on which ``price_share`` or more of the lines sold are such; fewer are only flagged.

    Args:
        events: whole days, bots flagged.
        prices: `daily_prices` of these days and of the weeks before each.
        quality: ``price_…`` and ``weeks`` are read.
    """
    priced = _SOLD & (pl.col("unit_price_micros") > 0) & pl.col("flag").ne_missing(BOT)
    usual = usual_prices(prices, events.filter(priced).select("event_date", "product_id").unique(), quality)
    judged = events.join(usual, on=["event_date", "product_id"], how="left", maintain_order="left").with_columns(
        (priced & _far_off(quality)).fill_null(False).alias("_odd")
    )
    found = []
    sold = judged.filter(priced, pl.col("event_type") == "purchase", pl.col("_usual").is_not_null())
    for (day,), lines in sold.partition_by("event_date", as_dict=True, maintain_order=True).items():
        odd = lines.filter("_odd")
        found += _prices(day, "lines sold", lines.height, odd["unit_price_micros"] / odd["_usual"], quality)
    flag = pl.when("_odd").then(pl.lit(PRICE_OUTLIER)).otherwise("flag")
    return CLEAN_EVENTS.conform(judged.with_columns(flag.alias("flag"))), found


def usable(events: pl.LazyFrame) -> pl.LazyFrame:
    """CLEAN_EVENTS as features see them: without bots, and without prices that are outliers."""
    odd = pl.col("flag").eq_missing(PRICE_OUTLIER)
    return events.filter(pl.col("flag").ne_missing(BOT)).with_columns(
        pl.when(~odd).then(name).alias(name) for name in ("unit_price_micros", "list_price_micros")
    )


def bots(events: pl.DataFrame) -> list[Anomaly]:
    """One warning for each day with bots: their events are left out, so the day may be published."""
    found = (
        events.filter(pl.col("flag") == BOT)
        .group_by("event_date")
        .agg(_PERSON.n_unique().alias("_people"), pl.len().alias("_events"))
        .sort("event_date")
    )
    of_all = dict(events.group_by("event_date").len().iter_rows())
    return [
        Anomaly(
            day,
            "bots",
            "warn",
            f"{people:,} {'bot' if people == 1 else 'bots'} made {count:,} of {of_all[day]:,} events; they are flagged "
            f"and left out of features and lists",
        )
        for day, people, count in found.iter_rows()
    ]


def volumes(hourly: pl.DataFrame, people: pl.DataFrame, days: Sequence[date], quality: Quality) -> list[Anomaly]:
    """Days with far fewer events or people than usual (or purchases), with empty hours, or with far more events.

    Each is a test of a count (`logic.counts`) against the ``weeks`` before, once ``weeks_at_least`` of them are known:
    it stops a day that lacks so much that it matters (``volume_at_least``) and that chance alone shows on fewer than
    ``false_stops`` of nights. Ten times as often, and half as much missing, is a warning.

    Args:
        hourly: `daily_counts` of these days and of the weeks before each.
        people: `daily_people` of the same.
        days: which to judge.
        quality: ``weeks…``, ``volume_…`` and ``false_stops`` are read.
    """
    of_type = {
        str(kind): _by_day(rows)
        for (kind,), rows in hourly.sort("event_type").group_by("event_type", maintain_order=True)
    }
    whole = _by_day(hourly)
    total = _totals(whole)
    series = {"people": dict(people.select("event_date", "_people").iter_rows())}
    series |= {f"events of type {kind}": _totals(hours) for kind, hours in of_type.items()}
    tables = {f"events of type {kind}": hours for kind, hours in of_type.items()} | {"people": whole, "events": whole}
    found: list[Anomaly] = []
    for day in days:
        past = [day - timedelta(n) for n in range(1, 7 * quality.weeks + 1)]
        first = min((one for one in past if one in total), default=day)
        past = [one for one in past if one >= first]  # before its first event a shop is not empty but unknown
        if sum(one.weekday() == day.weekday() for one in past) < quality.weeks_at_least:
            continue
        events = _volume(day, "events", total, whole, past, quality)
        parts = [one for name, own in series.items() for one in _volume(day, name, own, tables[name], past, quality)]
        # Where the whole day is off, its parts say the same once more: the worse of the two is told.
        severe = [said for said in (events, parts) if any(one.severity == "error" for one in said)]
        found += severe[0] if severe else events or parts
        found += _empty_hours(day, whole, past, quality)
    return found


def _by_day(hourly: pl.DataFrame) -> dict[date, Hours]:
    made: dict[date, Hours] = {}
    for day, hour, count in hourly.select("event_date", "_hour", "_count").iter_rows():
        made.setdefault(day, np.zeros(24, dtype=np.int64))[hour] += count
    return made


def _totals(hours: Mapping[date, Hours]) -> dict[date, int]:
    return {day: int(row.sum()) for day, row in hours.items()}


def _burst(hours: Mapping[date, Hours], past: Sequence[date]) -> float:
    none = np.zeros(24, dtype=np.int64)
    return counts.burst(
        np.array([hours.get(one, none) for one in past if one.weekday() == weekday] or [none]) for weekday in range(7)
    )


def _volume(
    day: date,
    what: str,
    series: Mapping[date, int],
    hours: Mapping[date, Hours],
    past: Sequence[date],
    quality: Quality,
) -> list[Anomaly]:
    usual, count = counts.expected(series, day, past), series.get(day, 0)
    whole = what == "events"
    least = quality.volume_at_least
    few, many = count < (1 + least) / 2 * usual, whole and count > quality.volume_at_most * usual
    if not (least and few) and not many:
        return []
    spread = max(counts.spread(series, day, past), 1.0 if what == "people" else _burst(hours, past))
    text = f"{count:,} {what}, on a {day:%A} {usual:,.0f} are expected"
    if many:
        chance = counts.chance_of_so_many(count, usual, spread)
        odd = chance < quality.false_stops
        return [Anomaly(day, "volume", "warn", f"{text} ({counts.odds(chance)})")] if odd else []
    chance = counts.chance_of_so_few(count, usual, spread)
    if not count:  # the quietest day has visits, in restless shops too: only their bursts are chance
        chance = min(chance, counts.chance_of_so_few(0, usual / _burst(hours, past), 1.0))
    text = f"{text} ({counts.odds(chance)})"
    far = chance < quality.false_stops and count < least * usual
    # The other types are few, or vary with what is sold: of the year of UCI's shop, returns were low on 9 days.
    matters = whole or what in ("people", _PURCHASES)
    if far and matters:
        return [Anomaly(day, "volume", "error", text)]
    if far or (matters and chance < _WARNS * quality.false_stops):
        return [Anomaly(day, "volume", "warn", text)]
    return []


def _empty_hours(day: date, hours: Mapping[date, Hours], past: Sequence[date], quality: Quality) -> list[Anomaly]:
    """The longest run of usual hours without events, where it is long enough to matter and too long for chance."""
    none = np.zeros(24, dtype=np.int64)
    own, alike = (
        hours.get(day, none),
        np.array([hours.get(one, none) for one in past if one.weekday() == day.weekday()]),
    )
    usual = np.flatnonzero((alike > 0).mean(axis=0) >= _USUAL_HOUR)
    empty = usual[own[usual] == 0]
    if not own.sum() or len(usual) < _HOURS_AT_LEAST or len(empty) <= (1 - quality.volume_at_least) * len(usual):
        return []
    runs = np.split(usual, np.flatnonzero(np.diff((own[usual] == 0).astype(np.int8))) + 1)
    inside = max(int(alike[:, run].sum()) for run in runs if not own[run].any())
    # It is the longest of all the runs that there can be, so its chance is that of so many tries.
    tries = len(usual) * (len(usual) + 1) // 2
    chance = tries * counts.chance_of_empty(inside, int(alike.sum()) - inside, int(own.sum()), _burst(hours, past))
    if chance >= _WARNS * quality.false_stops:
        return []
    named = ", ".join(f"{hour}:00" for hour in empty)
    said = f"{own.sum():,} events, and none in {len(empty)} of the {len(usual)} usual hours ({counts.odds(chance)})"
    return [Anomaly(day, "hours", "error" if chance < quality.false_stops else "warn", f"{said}: {named}")]


def usual_prices(prices: pl.DataFrame, wanted: pl.DataFrame, quality: Quality) -> pl.DataFrame:
    """Per wanted day and product: ``_usual``, its median price in micros, and ``_vary``, the median deviation.

    Both over the days of the ``weeks`` before, in logarithms, of products sold on ``price_days`` or more of them.
    """
    key = ["event_date", "product_id"]
    rows = pl.concat(
        [prices.select(*key, pl.col("_price").log()), wanted.join(prices, on=key, how="anti")], how="diagonal"
    )
    price = pl.col("_price")
    return (
        rows.sort("product_id", "event_date")
        .rolling("event_date", period=f"{quality.weeks}w", closed="left", group_by="product_id")
        .agg(
            price.median().exp().alias("_usual"),
            (price - price.median()).abs().median().alias("_vary"),
            price.count().alias("_days"),
        )
        .join(wanted, on=key, how="semi")
        .filter(pl.col("_days") >= quality.price_days)
        .drop("_days")
    )


def _far_off(quality: Quality) -> pl.Expr:
    off = (pl.col("unit_price_micros") / pl.col("_usual")).log().abs()
    return (off >= math.log(quality.price_times)) & (off > _VARIES * _MAD_TO_SPREAD * pl.col("_vary"))


def catalog_prices(
    catalog: pl.DataFrame, prices: pl.DataFrame, listed: pl.DataFrame, day: date, quality: Quality
) -> list[Anomaly]:
    """At most one anomaly: ``price_share`` or more of the products that may be listed have an outlier's price.

    Args:
        catalog: table CATALOG of the day.
        prices: `daily_prices` of the weeks before.
        listed: rows of CATALOG of earlier days of those weeks; they judge what nobody bought.
        day: the day.
        quality: ``price_…`` and ``weeks`` are read.
    """
    offered = catalog.filter(pl.col("not_recommendable").is_null())
    bought = usual_prices(prices, offered.select(pl.lit(day).alias("event_date"), "product_id"), quality)
    before = (
        listed.filter(pl.col("unit_price_micros") > 0)
        .group_by("product_id")
        .agg(pl.col("unit_price_micros").median().alias("_usual"), pl.lit(0.0).alias("_vary"))
        .join(bought, on="product_id", how="anti")
    )
    judged = offered.join(pl.concat([bought.select(before.columns), before]), on="product_id")
    odd = judged.filter(_far_off(quality))
    return _prices(day, "products", judged.height, odd["unit_price_micros"] / odd["_usual"], quality)


def _prices(day: date, what: str, judged: int, times: pl.Series, quality: Quality) -> list[Anomaly]:
    if judged < _SALES_AT_LEAST or len(times) < quality.price_share * judged:
        return []
    by = times.median()
    assert isinstance(by, float)
    size = f"{by:,.0f} times" if by > 1 else f"1/{1 / by:,.0f} of"
    text = f"{len(times):,} of {judged:,} {what} cost {size} what they did in the last {quality.weeks} weeks"
    return [Anomaly(day, "prices", "error", text)]
