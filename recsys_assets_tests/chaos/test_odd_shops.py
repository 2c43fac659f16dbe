"""Shops that lack something: each has a night that is published, or of which a check says why not."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest

from recsys_assets.stores.publishing import generations
from recsys_assets_tests.assets import made_shop
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import LAST
from recsys_assets_tests.chaos.test_every_knob import stopped_by

OpenShop = Callable[..., AbstractContextManager[Shop]]
Rows = list[dict[str, str]]
FIRST = LAST - timedelta(20)


def only_anonymous_people(rows: Rows) -> None:
    rows[:] = [row | {"anon_id": row["user_id"], "user_id": ""} if "user_id" in row else row for row in rows]


def one_product(rows: Rows) -> None:
    rows[:] = [row | {"product_id": "p0"} for row in rows] if rows and "event_type" in rows[0] else rows[:1]


def no_prices(rows: Rows) -> None:
    rows[:] = [row | {"unit_price": "", "currency": ""} for row in rows]


NOTHING_OFFERED = {
    "catalog_keeps_its_rules": "at least one product may be listed: 0 of 20 products may be listed, 20 price_missing"
}
SHOPS: dict[Callable[[Rows], None], dict[str, str]] = {
    only_anonymous_people: {},
    one_product: {},
    no_prices: NOTHING_OFFERED,
}


@pytest.mark.skipif("CHAOS_ROUNDS" not in os.environ, reason="whole nights: `make chaos` runs them")
@pytest.mark.parametrize("change", SHOPS, ids=lambda change: str(change.__name__))
def test_an_odd_shop_is_published_or_told_why_not(
    open_shop: OpenShop, change: Callable[[Rows], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FIRST": FIRST, "PEOPLE": 20, "PRODUCTS": 20}.items():
        monkeypatch.setattr(made_shop, name, value)
    monkeypatch.setattr(made_shop, "COLUMNS", (*made_shop.COLUMNS, "anon_id"))
    with open_shop(change) as shop:
        with (shop.home.path / "home.toml").open("a") as file:
            file.write("\n[tuning.evaluation]\nholdout_days = 4\nbootstrap = 100\n")
        history = shop.run("history", FIRST, LAST)
        assert history["success"], history["failures"]
        assert stopped_by(shop.run("daily", LAST, LAST)) == SHOPS[change]
        live = [one.day for one in generations(shop.servers.postgres_url) if one.live]
        assert live == ([] if SHOPS[change] else [LAST])
