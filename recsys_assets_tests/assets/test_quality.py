"""Bad days, planted in a made shop: each is named by a failed check before anything of it is published."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest

from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.publishing import generations
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import FIRST, LAST

OpenShop = Callable[..., AbstractContextManager[Shop]]
BAD, BOT = LAST - timedelta(1), LAST  # half of the one is missing, the rest of it is dear
BOT_EVENTS = 50_000


def plant(rows: list[dict[str, str]]) -> None:
    day = rows[0].get("event_time", "")[:10] if rows else ""
    if day == BAD.isoformat():
        rows[:] = [row for row in rows if row["event_time"][11:13] < "15"]  # the shop is open from 8 to 22
        for row in rows:
            row["unit_price"] = row["unit_price"].replace(".50", "50.00")
    if day == BOT.isoformat():
        one = next(row for row in rows if row["event_type"] == "view")
        rows += [one | {"user_id": "a bot", "product_id": f"p{n % 60}"} for n in range(BOT_EVENTS)]


@pytest.fixture(scope="module")
def shop(open_shop: OpenShop) -> Iterator[Shop]:
    with open_shop(plant) as made:
        history = made.run("history", FIRST, BAD - timedelta(1))
        assert history["success"], history["failures"]
        yield made


def test_bad_days_are_named_and_not_published_and_a_bot_is_left_out(shop: Shop) -> None:
    bad = shop.run("daily", BAD, BAD)
    assert not bad["success"]
    failed = {name: told for name, (passed, told) in bad["checks"].items() if not passed}
    assert set(failed) == {"days_are_whole", "prices_are_usual"}
    assert f"{BAD}: 47 events, and none in 7 of the 14 usual hours" in failed["days_are_whole"]
    assert "lines sold cost 100 times what they did in the last 8 weeks" in failed["prices_are_usual"]
    # Of so few events half a day is named, and chance once in 250 nights; what is sold at a hundred times stops it.
    assert "quality.accept_days" in failed["prices_are_usual"]
    assert generations(shop.servers.postgres_url) == []

    bot = shop.run("daily", BOT, BOT)
    assert bot["success"], bot["failures"]
    failed = {name: told for name, (passed, told) in bot["checks"].items() if not passed}
    assert list(failed) == ["no_bots"]
    assert f"{BOT}: 1 bot made {BOT_EVENTS:,} of " in failed["no_bots"]
    assert [one.day for one in generations(shop.servers.postgres_url) if one.live] == [BOT]
    with Postgres(shop.servers.postgres_url).connect() as connection:
        listed = {row["mark"].hex for row in connection.execute("SELECT mark FROM lists").fetchall()}
    keys = shop.home.keys
    assert keys.mark(keys.user_key("person 1")) in listed
    assert keys.mark(keys.user_key("a bot")) not in listed

    docs = shop.home.data_docs
    index = (docs / "index.html").read_text()
    for table in ("clean_events", "catalog", "user_profiles", "lists", "similar_items", "next_items", "popular_items"):
        assert f"href='{table}/index.html'" in index
        assert (docs / table / "index.html").exists()
    assert "1 bot made" in index
    needles = [keys.user_key("a bot"), keys.user_key("person 1"), "a bot<", "person 1<"]
    pages = [path.read_text() for path in docs.rglob("*") if path.suffix in (".html", ".json")]
    assert not [needle for needle in needles for page in pages if needle in page]
