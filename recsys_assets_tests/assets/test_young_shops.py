"""A shop with little: a day without events, a day of one person."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

from recsys_assets.stores.publishing import generations
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import FIRST, LAST

OpenShop = Callable[..., AbstractContextManager[Shop]]


def test_a_day_without_events_and_a_day_of_one_person_stop_until_they_are_accepted(open_shop: OpenShop) -> None:
    def quiet(rows: list[dict[str, str]]) -> None:
        # The last day has one person's rows, the day before none.
        if rows and rows[0].get("event_time", "").startswith(LAST.isoformat()):
            rows[:] = [row for row in rows if row["user_id"] == rows[0]["user_id"]]
        if rows and rows[0].get("event_time", "").startswith((LAST - timedelta(1)).isoformat()):
            rows[:] = []

    with open_shop(quiet) as shop:
        history = shop.run("history", FIRST, LAST)
        assert history["success"], history["failures"]
        assert history["assets"]["clean_events"][(LAST - timedelta(1)).isoformat()]["dagster/row_count"] == 0
        for day, usual in ((LAST - timedelta(1), "0 events, on a Wednesday "), (LAST, "events, on a Thursday")):
            told = shop.run("daily", day, day)
            assert not told["success"]
            passed, description = told["checks"]["days_are_whole"]
            assert not passed
            assert usual in description
            assert told["checks"]["events_keep_the_contract"][0] == (day == LAST)  # no rows at all: a warning
        assert generations(shop.servers.postgres_url) == []

        with (shop.home.path / "home.toml").open("a") as file:
            file.write(f"\n[tuning.quality]\naccept_days = [{LAST}]\n")
            file.write('\n[tuning.blend]\nmembers = ["als", "item_cf", "popularity", "personal"]\n')
        told = shop.run("daily", LAST, LAST)
        assert told["success"], told["failures"]
        made = {name: days[LAST.isoformat()] for name, days in told["assets"].items() if LAST.isoformat() in days}
        assert "transitions" not in made["blend"]["weights"]["all"]  # trained all the same, for what follows a product
        assert made["transitions"]["trained"]
        assert made["next_items"]["dagster/row_count"] > 0
        passed, description = told["checks"]["days_are_whole"]
        assert not passed
        assert description.endswith("accepted by quality.accept_days")
        assert [g.day for g in generations(shop.servers.postgres_url) if g.live] == [LAST]
