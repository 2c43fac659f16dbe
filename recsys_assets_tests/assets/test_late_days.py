"""Rows that come late and days that grow old, as one real Dagster run sees them."""

import csv
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from recsys_assets.logic import retention
from recsys_assets.logic.late_days import told
from recsys_assets.settings import open_home
from recsys_assets.stores.lake import Lake, days_between
from recsys_assets.stores.late_days import stale_days
from recsys_assets.stores.publishing import generations
from recsys_assets.tables import CLEAN_EVENTS, INTERACTIONS, LANDING_CATALOG, LISTS, SESSIONS
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import COLUMNS, FIRST, LAST

NEAR, FAR = LAST - timedelta(2), LAST - timedelta(20)
KEPT_DAYS = 35
FIRST_KEPT = LAST - timedelta(KEPT_DAYS - 1)
ROWS = 3


def deliver(shop: Shop, name: str, day: date) -> None:
    """A file that brings purchases of a person nobody knew."""
    with (Path(shop.home.config.sources[0].path) / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for number in range(ROWS):
            writer.writerow(
                {"event_type": "purchase", "event_time": f"{day}T1{number}:00:00Z", "user_id": "a latecomer",
                 "product_id": f"p{number}", "quantity": "1", "unit_price": f"{number + 1}.50", "currency": "EUR"}
            )  # fmt: skip


def test_a_night_redoes_late_days_names_older_ones_and_drops_the_oldest(
    open_shop: Callable[..., AbstractContextManager[Shop]],
) -> None:
    with open_shop() as shop:
        lake = Lake(shop.home.lake_url)
        latecomer = shop.home.keys.user_key("a latecomer")
        assert shop.run("history", FIRST, LAST)["success"]
        before = lake.read(CLEAN_EVENTS, NEAR).height
        deliver(shop, "late.csv", NEAR)
        deliver(shop, "older.csv", FAR)
        deliver(shop, "too old.csv", FIRST)
        with (shop.home.path / "home.toml").open("a") as file:
            file.write(f"\n[tuning]\nwindow_days = {KEPT_DAYS}\nretention_days = {KEPT_DAYS}\n")
        lists_of_a_day_long_ago = lake.write(LISTS, FIRST, LISTS.empty())

        ran = shop.run("daily", LAST, LAST)

        assert ran["success"], ran["failures"]
        assert [g.day for g in generations(shop.servers.postgres_url) if g.live] == [LAST]
        # The late day holds its rows everywhere, and Dagster knows of it.
        assert lake.read(CLEAN_EVENTS, NEAR).height == before + ROWS
        assert latecomer in lake.read(SESSIONS, NEAR)["person_key"]
        assert lake.read(INTERACTIONS, LAST).filter(pl.col.person_key == latecomer).height == ROWS
        for asset in ("clean_events", "rejected_events", "delivery_audit", "sessions"):
            assert sorted(ran["assets"][asset]) == [str(NEAR), str(LAST)], asset
        assert sorted(ran["assets"]["landing_events"]) == [str(FIRST), str(FAR), str(NEAR), str(LAST)]
        assert ran["assets"]["clean_events"][str(NEAR)]["dagster/row_count"] == before + ROWS
        assert ran["assets"]["delivery_audit"][str(LAST)]["late_days_redone"] == [str(NEAR)]
        assert ran["checks"]["nothing_is_lost"][0]
        # The older one is named, the one that is too old is not: it was dropped, with what had just landed on it.
        assert ran["checks"]["late_days_are_redone"] == [False, told([FAR])]
        assert stale_days(lake, open_home(shop.settings).config, LAST) == [FAR]
        assert latecomer not in lake.read(CLEAN_EVENTS, FAR)["user_key"]
        said = ran["assets"]["retention"][str(LAST)]
        old = days_between(FIRST, FIRST_KEPT)[:-1]
        assert said["first_day_kept"] == str(FIRST_KEPT)
        assert said["days"]["clean_events"] == said["days"]["landing_events"] == len(old)
        assert said["files"]["landing_events"] == len(old) + 1
        assert said["days"]["lists"] == lists_of_a_day_long_ago + 1
        assert min(lake.days(CLEAN_EVENTS)) == FIRST_KEPT
        assert lake.days(LISTS) == [LAST]
        assert lake.days(LANDING_CATALOG), "what is still sold has no age"
        root = Path(shop.home.lake_url)
        made = {str(folder.relative_to(root)) for folder in root.glob("models/*")}
        # Manifests go with the parts that they are of.
        standing = {"models", "deliveries", "tombstones", "sweeps", "reference", "manifests", *retention.STANDING}
        assert {day.name for day in (root / "manifests/lists").iterdir()} == {str(LAST)}
        made |= {folder.name for folder in root.iterdir()} - standing
        assert made <= set(retention.KEPT)
