import struct
from collections.abc import Callable
from datetime import date, timedelta

import polars as pl
import pytest

from recsys_assets.plots import events_per_day, gains_by_history, markdown_image, metrics_by_model, sessions_per_day
from recsys_assets.tables import EVALUATION, EVENT_TYPES, SLICES
from recsys_assets_tests.models.builders import rows

FIRST = date(2024, 1, 1)
MOST_BYTES = 60_000  # Dagster keeps every picture in its event log


def event_counts(days: int, kinds: tuple[str, ...] = EVENT_TYPES) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (FIRST + timedelta(day), kind, 1_000 // place + 37 * (day % 7))
            for day in range(days)
            for place, kind in enumerate(kinds, 1)
        ],
        schema={"event_date": pl.Date, "event_type": pl.String, "count": pl.UInt32},
        orient="row",
    )


def session_counts(days: int) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (FIRST + timedelta(day), converted, 90 + 11 * (day % 7))
            for day in range(days)
            for converted in (True, False)
        ],
        schema={"event_date": pl.Date, "converted": pl.Boolean, "count": pl.UInt32},
        orient="row",
    )


def evaluation(models: int) -> pl.DataFrame:
    names = ["random", "ceiling", "popularity", "personal", "item_cf", "als", "blend"][:models]
    return rows(
        EVALUATION,
        [
            {"split": split, "model": name, "target": target, "metric": "ndcg", "k": 10, "people": 2_000,
             "value": 0.9 if name == "ceiling" else place / 40, "low": place / 44, "high": place / 36}
            for split in ("test", "validation") for target in ("all", "new") for place, name in enumerate(names)
        ],
    )  # fmt: skip


def slices(counts: int) -> pl.DataFrame:
    return rows(
        SLICES,
        [
            {"split": "test", "slice": "after", "group": str(count), "model": model, "target": "new", "metric": "ndcg",
             "k": 10, "people": 300, "gain": count / 100, "gain_low": count / 100 - 0.02, "gain_high": count / 50}
            for count in range(counts) for model in ("published", "popularity")
        ],
    )  # fmt: skip


PLOTS: dict[str, Callable[[], bytes]] = {
    "events of no day": lambda: events_per_day(event_counts(0)),
    "events of one day": lambda: events_per_day(event_counts(1)),
    "events of a week": lambda: events_per_day(event_counts(7)),
    "events of a year": lambda: events_per_day(event_counts(365, EVENT_TYPES[:5])),
    "sessions of no day": lambda: sessions_per_day(session_counts(0)),
    "sessions of one day": lambda: sessions_per_day(session_counts(1)),
    "sessions of a year": lambda: sessions_per_day(session_counts(365)),
    "no metrics": lambda: metrics_by_model(EVALUATION.empty()),
    "only the floor and the ceiling": lambda: metrics_by_model(evaluation(2)),
    "one model": lambda: metrics_by_model(evaluation(3)),
    "all models": lambda: metrics_by_model(evaluation(7)),
    "gains of nobody": lambda: gains_by_history(SLICES.empty()),
    "gains after no and three interactions": lambda: gains_by_history(slices(4)),
    "a metric that was not measured": lambda: metrics_by_model(evaluation(7), "recall", 5),
}


@pytest.mark.parametrize("what", PLOTS)
def test_a_picture_is_a_small_png_800_pixels_wide_and_the_same_at_every_drawing(what: str) -> None:
    png = PLOTS[what]()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert width == 800
    assert 130 <= height <= 500
    assert len(png) <= MOST_BYTES
    assert png == PLOTS[what]()
    assert b"Software" not in png
    assert len(markdown_image(png, what)) < MOST_BYTES * 4 / 3 + 100


def test_the_order_of_rows_does_not_matter() -> None:
    for draw, frame in (
        (events_per_day, event_counts(3)), (sessions_per_day, session_counts(3)), (metrics_by_model, evaluation(7)),
        (gains_by_history, slices(4)),
    ):  # fmt: skip
        assert draw(frame) == draw(frame.reverse())


def test_a_day_without_a_kind_of_event_and_a_missing_day_are_drawn() -> None:
    gap = event_counts(5).filter(
        (pl.col("event_date") != FIRST + timedelta(2)) & ~((pl.col("event_type") == "view") & (pl.col("count") > 260))
    )
    assert events_per_day(gap) != events_per_day(event_counts(5))


def test_models_that_hit_nothing_are_drawn() -> None:
    none = evaluation(7).with_columns(pl.lit(0.0).alias(name) for name in ("value", "low", "high"))
    assert metrics_by_model(none).startswith(b"\x89PNG")
