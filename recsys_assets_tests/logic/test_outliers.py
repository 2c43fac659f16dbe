import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.outliers import Anomaly, catalog_prices, daily_prices, flag_bots, judge, usable
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, MICROS
from recsys_assets.tuning import Quality

ZONE = "America/New_York"
DAY = date(2024, 5, 8)  # a Wednesday
WEEKS = [DAY - timedelta(n) for n in range(28, 0, -1)]
QUALITY = Quality()


def events(day: date, count: int, hours: tuple[int, int] = (8, 20), **values: Any) -> pl.DataFrame:
    """``count`` purchases evenly over the shop's hours, each of a person and product in turn, at its price."""
    first, last = hours
    opened = datetime.combine(day, time(first), ZoneInfo(ZONE)).astimezone(UTC)
    rows = [
        {
            "event_id": f"{day}-{n}",
            "event_type": "purchase",
            "event_time": opened + timedelta(hours=last - first) * (n / count),
            "event_date": day,
            "user_key": f"person {n % 50}",
            "product_id": f"p{n % 20}",
            "quantity": 1,
            "unit_price_micros": (n % 20 + 1) * MICROS,
        }
        | {name: value(n) if callable(value) else value for name, value in values.items()}
        for n in range(count)
    ]
    return CLEAN_EVENTS.conform(
        pl.concat([CLEAN_EVENTS.empty(), pl.DataFrame(rows, schema_overrides=CLEAN_EVENTS.columns)], how="diagonal")
    )


def weeks(count: Callable[[date], int] = lambda day: 300 if day.weekday() < 5 else 600, **values: Any) -> pl.LazyFrame:
    """Four ordinary weeks, a little restless."""
    made = random.Random(1)
    return pl.concat(events(day, round(count(day) * made.uniform(0.9, 1.1)), **values) for day in WEEKS).lazy()


def found(
    day: pl.DataFrame, past: pl.LazyFrame | None = None, quality: Quality = QUALITY
) -> list[tuple[str, str, str]]:
    anomalies = judge(day, weeks() if past is None else past, [DAY], ZONE, quality)[1]
    assert {one.day for one in anomalies} <= {DAY}
    return [(one.kind, one.severity, one.text) for one in anomalies]


def test_an_ordinary_day_and_a_somewhat_quiet_one_are_as_usual() -> None:
    assert found(events(DAY, 300)) == []
    assert found(events(DAY, 250)) == []
    ((kind, severity, text),) = found(events(DAY, 200))
    assert (kind, severity) == ("volume", "warn")
    assert text.startswith("200 events, on a Wednesday 302 are expected (chance 1 in ")


def test_half_a_day_is_an_error_with_its_weekdays_usual_count() -> None:
    ((kind, severity, text),) = found(events(DAY, 150))
    assert (kind, severity) == ("volume", "error")
    assert text.startswith("150 events, on a Wednesday 302 are expected (chance ")


def test_far_more_than_usual_is_a_warning() -> None:
    assert [one[:2] for one in found(events(DAY, 700))] == [("volume", "warn")]


def test_a_weekday_is_compared_with_itself() -> None:
    closed_on_wednesdays = weeks(lambda day: 300 if day.weekday() != 2 else 2)
    assert found(events(DAY, 2), closed_on_wednesdays) == []


def test_a_day_without_any_event_is_an_error_even_of_a_restless_shop() -> None:
    made = random.Random(3)
    restless = weeks(lambda _: made.choice([50, 300, 900]))
    assert [one[:2] for one in found(CLEAN_EVENTS.empty(), restless)] == [("volume", "error")]


def test_a_restless_shop_is_not_stopped_by_a_quiet_day() -> None:
    made = random.Random(3)
    restless = weeks(lambda _: made.choice([150, 300, 600]))
    assert [one for one in found(events(DAY, 100), restless) if one[1] == "error"] == []
    somewhat = weeks(lambda _: made.choice([200, 300, 400]))
    assert [one[:2] for one in found(events(DAY, 150), somewhat)] == [("volume", "warn")]


def test_purchases_that_are_missing_beside_many_views_are_named() -> None:
    def views(n: int) -> str:
        return "view" if n % 10 else "purchase"

    past = weeks(lambda _: 3000, event_type=views)
    ((kind, severity, text),) = found(events(DAY, 3000, event_type="view"), past)
    assert (kind, severity) == ("volume", "error")
    assert text.startswith("0 events of type purchase, on a Wednesday 303 are expected (chance ")


def test_hours_that_are_missing_are_named_by_the_shops_clock() -> None:
    # As many events as ever, all before 13:00: a file that was cut off, and delivered twice.
    ((kind, severity, text),) = found(events(DAY, 300, hours=(8, 13)))
    assert (kind, severity) == ("hours", "error")
    assert text == (
        "300 events, and none in 7 of the 12 usual hours (chance below 1 in a million): "
        "13:00, 14:00, 15:00, 16:00, 17:00, 18:00, 19:00"
    )


def test_a_young_shop_is_not_judged() -> None:
    last_week = pl.concat(events(day, 300) for day in WEEKS[-8:]).lazy()
    assert found(events(DAY, 3), last_week) == []
    two_weeks = pl.concat(events(day, 300) for day in WEEKS[-14:]).lazy()
    assert [one[:2] for one in found(events(DAY, 3), two_weeks)] != []


def test_bots_are_flagged_and_named_without_a_key_and_do_not_hide_a_missing_half() -> None:
    bot = events(DAY, 50_000, user_key="b" * 32, event_type="view")
    day = pl.concat([events(DAY, 150), bot.with_columns(pl.format("bot {}", "event_id").alias("event_id"))])
    flagged, anomalies = judge(day, weeks(), [DAY], ZONE, QUALITY)
    assert [(one.kind, one.severity) for one in anomalies] == [("bots", "warn"), ("volume", "error")]
    assert str(anomalies[0]) == (
        f"{DAY}: 1 bot made 50,000 of 50,150 events; they are flagged and left out of features and lists"
    )
    assert usable(flagged.lazy()).collect().equals(events(DAY, 150))


def test_a_keen_person_is_no_bot_and_below_the_floor_nobody_is() -> None:
    usual = events(DAY, 500)  # ten events each

    def with_one(count: int) -> set[str | None]:
        keen = events(DAY, count, user_key="keen").with_columns(pl.format("keen {}", "event_id").alias("event_id"))
        return set(flag_bots(pl.concat([usual, keen]), QUALITY)["flag"])

    assert with_one(1_000) == {None}
    assert with_one(10 * 200) == {None}
    assert with_one(10 * 200 + 1) == {None, "bot"}
    assert flag_bots(events(DAY, 10_000, user_key="all that there is"), QUALITY)["flag"].null_count() == 10_000
    assert flag_bots(events(DAY, 10_001, user_key="all that there is"), QUALITY)["flag"].null_count() == 0


@pytest.mark.parametrize(("times", "told"), [(100, "cost 100 times"), (0.01, "cost 1/100 of")])
def test_a_day_at_a_hundred_times_the_price_is_an_error(times: float, told: str) -> None:
    dear = events(DAY, 300, unit_price_micros=lambda n: int((n % 20 + 1) * MICROS * times))
    flagged, (anomaly,) = judge(dear, weeks(), [DAY], ZONE, QUALITY)
    assert (anomaly.kind, anomaly.severity) == ("prices", "error")
    assert anomaly.text == f"300 of 300 lines sold {told} what they did in the last 8 weeks"
    assert usable(flagged.lazy()).collect()["unit_price_micros"].null_count() == 300


def test_a_few_wrong_prices_are_flagged_and_stop_nothing() -> None:
    day = events(DAY, 300, unit_price_micros=lambda n: MICROS * (n % 20 + 1) * (100 if n == 7 else 1))
    flagged, anomalies = judge(day, weeks(), [DAY], ZONE, QUALITY)
    assert anomalies == []
    assert flagged.filter(pl.col("flag") == "price_outlier")["event_id"].to_list() == [f"{DAY}-7"]
    assert flagged.drop("flag").equals(day.drop("flag"))


def test_what_always_varies_by_much_and_what_is_new_is_no_outlier() -> None:
    made = random.Random(5)
    postage = weeks(lambda _: 20, unit_price_micros=lambda _: round(MICROS * 10 ** made.uniform(0, 3)))
    assert found(events(DAY, 20, unit_price_micros=900 * MICROS), postage) == []
    assert found(events(DAY, 300, product_id="new", unit_price_micros=900 * MICROS)) == []


def test_a_dear_day_does_not_make_the_next_one_look_cheap() -> None:
    dear = pl.col("event_date") == DAY - timedelta(1)
    price = pl.col("unit_price_micros")
    past = weeks().with_columns(pl.when(dear).then(price * 100).otherwise(price).alias("unit_price_micros"))
    assert found(events(DAY, 300), past) == []


def test_a_range_is_judged_as_its_days_one_by_one() -> None:
    days = [*WEEKS[-10:], DAY]
    past = weeks()
    bad = pl.concat([past.collect(), events(DAY, 100, unit_price_micros=lambda n: MICROS * 5000)])
    inside = pl.col("event_date").is_in(days)
    flagged, anomalies = judge(bad.filter(inside), bad.filter(~inside).lazy(), days, ZONE, QUALITY)
    alone: list[Anomaly] = []
    for day in days:
        own = pl.col("event_date") == day
        before = bad.filter(pl.col("event_date").is_between(day - timedelta(28), day - timedelta(1)))
        single, told = judge(bad.filter(own), before.lazy(), [day], ZONE, QUALITY)
        assert single.equals(flagged.filter(own))
        alone += told
    assert sorted(map(str, anomalies)) == sorted(map(str, alone))
    assert {one.kind for one in anomalies} == {"volume", "prices"}


@given(st.permutations(range(40)))
def test_flags_do_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    day = events(DAY, 40, unit_price_micros=lambda n: MICROS * (n % 20 + 1) * (100 if n in (3, 9) else 1))
    first, _ = judge(day, WEEKS_FRAME, [DAY], ZONE, QUALITY)
    second, _ = judge(day[order], WEEKS_FRAME, [DAY], ZONE, QUALITY)
    assert second.sort("event_id").equals(first.sort("event_id"))


WEEKS_FRAME = weeks(lambda _: 60)


def catalog(times: int = 1, **values: Any) -> pl.DataFrame:
    rows = [{"product_id": f"p{n}", "unit_price_micros": (n + 1) * MICROS * times} | values for n in range(20)]
    return CATALOG.conform(
        pl.concat([CATALOG.empty(), pl.DataFrame(rows, schema_overrides=CATALOG.columns)], how="diagonal")
    )


def test_a_catalogue_whose_prices_jump_is_an_error_by_what_people_paid_or_by_earlier_catalogues() -> None:
    paid = daily_prices(weeks()).collect()
    nothing = daily_prices(CLEAN_EVENTS.empty().lazy()).collect()
    for prices, listed in ((paid, CATALOG.empty()), (nothing, catalog())):
        assert catalog_prices(catalog(), prices, listed, DAY, QUALITY) == []
        (anomaly,) = catalog_prices(catalog(100), prices, listed, DAY, QUALITY)
        assert anomaly == Anomaly(
            DAY, "prices", "error", "20 of 20 products cost 100 times what they did in the last 8 weeks"
        )
        assert catalog_prices(catalog(100, not_recommendable="out_of_stock"), prices, listed, DAY, QUALITY) == []
    assert catalog_prices(catalog(100), nothing, CATALOG.empty(), DAY, QUALITY) == []
