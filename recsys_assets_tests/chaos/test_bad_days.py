"""One shop, one live day, and then bad ones: the live lists do not change, and the refusal says why."""

import csv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recsys_assets.settings import Home
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.publishing import Generation, generations
from recsys_assets.stores.tracking import Tracking
from recsys_assets_tests.assets import made_shop
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import FIRST, LAST

OpenShop = Callable[..., AbstractContextManager[Shop]]
GOOD, FEW, DEAR, SAME = (LAST - timedelta(ago) for ago in (3, 2, 1, 0))
BOT_EVENTS = 50_000


def plant(rows: list[dict[str, str]]) -> None:
    day = rows[0].get("event_time", "")[:10] if rows else ""
    if day == FEW.isoformat():
        rows[:] = rows[::4]  # of 84: half of so few comes by chance too often to stop the night
    if day == DEAR.isoformat():
        for row in rows:
            row["unit_price"] = row["unit_price"].replace(".50", "50.00")


@pytest.fixture(scope="module")
def shop(open_shop: OpenShop) -> Iterator[Shop]:
    with open_shop(plant) as made:
        history = made.run("history", FIRST, GOOD)
        assert history["success"], history["failures"]
        good = made.run("daily", GOOD, GOOD)
        assert good["success"], good["failures"]
        yield made


def live(shop: Shop) -> Generation:
    return next(one for one in generations(shop.servers.postgres_url) if one.live)


def read(shop: Shop) -> list[Any]:
    """What readers are shown."""
    with Postgres(shop.servers.postgres_url).connect() as connection:
        query = "SELECT person_key, product_id, position, reason FROM live_lists ORDER BY 1, 3, 2"
        return [tuple(row.values()) for row in connection.execute(query).fetchall()]


def refused(shop: Shop, day: object, module: str = "recsys_assets_tests.assets.run_job") -> dict[str, str]:
    """Runs a day that must not go live: the failed checks and what they say; nothing that readers see has changed."""
    before, seen = live(shop), read(shop)
    told = shop.run("daily", day, day, module=module)
    assert not told["success"]
    assert live(shop).generation == before.generation
    assert read(shop) == seen
    failed = {name: said for name, (passed, said) in told["checks"].items() if not passed}
    assert all(said[:80] in told["alert"] for said in failed.values()), told["alert"]
    return failed


def a_bot(home: Home) -> None:
    """Someone with many events on the good day, delivered late."""
    folder = Path(home.config.sources[0].path)
    with (folder / f"events-{GOOD}.csv").open() as file:
        one = next(row for row in csv.DictReader(file) if row["event_type"] == "view")
    with (folder / "late.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, made_shop.COLUMNS)
        writer.writeheader()
        writer.writerows(one | {"user_id": "a bot", "product_id": f"p{n % 60}"} for n in range(BOT_EVENTS))


def test_three_quarters_of_the_events_are_missing(shop: Shop) -> None:
    failed = refused(shop, FEW)
    assert list(failed) == ["days_are_whole"]
    assert f"{FEW}: " in failed["days_are_whole"]


def test_prices_are_a_hundred_times_as_high(shop: Shop) -> None:
    failed = refused(shop, DEAR)
    assert "cost 100 times what they did in the last 8 weeks" in failed["prices_are_usual"]


def test_everybody_gets_the_same_list(shop: Shop) -> None:
    failed = refused(shop, SAME, module="recsys_assets_tests.chaos.run_same_for_all")
    assert list(failed) == ["may_go_live"]
    assert "coverage: products on anybody's list: " in failed["may_go_live"]
    assert f"generation {live(shop).generation} for {GOOD} (recsys/1) stays live" in failed["may_go_live"]
    tracking = Tracking(shop.settings.mlflow_postgres_url, shop.home.artifacts)
    champion, challenger = tracking.champion(), tracking.aliased("challenger")
    assert champion is not None
    assert challenger is not None
    assert (champion.version, challenger.version) == (1, 2)
    assert tracking.aliased("reference") == champion


def test_one_user_with_tens_of_thousands_of_events_changes_nothing(shop: Shop) -> None:
    before, seen = live(shop), read(shop)
    a_bot(shop.home)
    told = shop.run("daily", GOOD, GOOD)
    assert told["success"], told["failures"]
    assert f"{GOOD}: 1 bot made {BOT_EVENTS:,} of " in told["checks"]["no_bots"][1]
    assert told["assets"]["evaluation"][GOOD.isoformat()]["champion"] == "recsys/1"
    assert told["checks"]["may_go_live"][1] == (
        f"every rule holds against generation {before.generation} for {GOOD} (recsys/1)"
    )
    after = live(shop)
    assert (after.generation > before.generation, after.list_hash) == (True, before.list_hash)
    assert read(shop) == seen
