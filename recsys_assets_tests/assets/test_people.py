"""Consent, anonymous keys and another currency through a whole day, in the lake and in the stores."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import polars as pl
import psycopg

from recsys_assets.stores.cache import Cache
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.suppressions import Suppressions
from recsys_assets.tables import (
    CANDIDATES,
    CLEAN_EVENTS,
    IDENTITIES,
    INTERACTIONS,
    ITEM_STATS,
    LISTS,
    STEPS,
    USER_PROFILES,
    USERS,
    Table,
)
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import FIRST, LAST

OpenShop = Callable[..., AbstractContextManager[Shop]]


def put(shop: Shop, name: str, rows: list[dict[str, object]]) -> None:
    path = Path(shop.home.config.sources[0].path) / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def bought(product: int, hour: int, **who: str) -> dict[str, object]:
    return {
        "event_type": "purchase", "event_time": f"{LAST}T{hour:02}:00:00Z", "product_id": f"p{product}",
        "unit_price": 2, "currency": "USD", **who,
    }  # fmt: skip


def test_noes_logins_rates_and_an_erasure_in_one_day(open_shop: OpenShop) -> None:
    with open_shop() as shop:
        keys, lake = shop.home.keys, Lake(shop.home.lake_url)
        no, plain, user, gone, later = (keys.user_key(f"person {n}") for n in range(5))
        cookie, hers, left, tv = (keys.anon_key(name) for name in ("cookie", "hers", "left", "tv"))
        stores = Suppressions(Postgres(shop.servers.postgres_url), Cache(shop.servers.redis_url), keys)

        def people(table: Table) -> set[str]:
            return set(lake.read(table, LAST)["person_key"])

        put(shop, "rates.jsonl", [{"date": "2024-02-29", "currency": "USD", "rate": "0.5"}])
        put(
            shop,
            "users.jsonl",
            [
                {"user_id": "person 0", "consent": False},
                {"user_id": "person 1", "consent": True, "locale": "de-DE", "transactional_only": True},
                {"user_id": "person 4", "consent": False, "updated_at": f"{LAST + timedelta(2)}T00:00:00Z"},
            ],
        )
        logins: list[dict[str, object]] = [
            bought(1, 8, anon_id="cookie"),
            bought(3, 9, anon_id="cookie", user_id="person 2"),
            bought(5, 9, anon_id="hers", user_id="person 0"),
            bought(7, 8, anon_id="left"),
            bought(9, 9, anon_id="left", user_id="person 3"),
            bought(11, 8, anon_id="tv", user_id="person 6") | {"unit_price": 25},
            bought(13, 9, anon_id="tv", user_id="person 8") | {"unit_price": 29},
            bought(15, 9, anon_id="tv") | {"unit_price": 33},
        ]
        put(shop, "logins.jsonl", logins)
        stores.forget(gone)
        for job, first in (("history", FIRST), ("daily", LAST)):
            told = shop.run(job, first, LAST)
            assert told["success"], (told["failures"], told["checks"])

        paid = lake.read(CLEAN_EVENTS, LAST).filter(pl.col("anon_key") == cookie)
        assert paid.select("unit_price_micros", "currency").unique().rows() == [(1_000_000, "EUR")]

        both = [(tv, keys.user_key(f"person {n}")) for n in (6, 8)]
        pairs = set(lake.read(IDENTITIES, LAST).select("anon_key", "user_key").iter_rows())
        assert pairs == {(cookie, user), (hers, no), *both}
        interactions = lake.read(INTERACTIONS, LAST)
        assert cookie not in people(INTERACTIONS)
        assert {"p1", "p3"} <= set(interactions.filter(person_key=user)["product_id"])
        # Erased before the first day, and swept by it: what was done on the device went with its only user.
        events = lake.read(CLEAN_EVENTS, LAST)
        assert not {gone, left} & {*people(INTERACTIONS), *events["user_key"], *events["anon_key"]}

        assert people(USERS) == {no, plain}
        assert lake.read(USER_PROFILES, LAST).filter(person_key=plain)["locale"].to_list() == ["de-DE"]
        # Whichever day is computed, today's noes hold: nobody learns from them, and they have no list.
        for table in (INTERACTIONS, STEPS, CANDIDATES, LISTS, USER_PROFILES):
            assert {plain, user} <= people(table)
            assert not {no, cookie, hers, later, gone, left, tv} & people(table)
        sold = lake.read(ITEM_STATS, LAST)["purchases"].sum()
        bought_by_all = lake.scan(CLEAN_EVENTS, lake.days(CLEAN_EVENTS)).filter(event_type="purchase").collect().height
        assert sold > bought_by_all  # sales count everybody who is there, `gone` too until the sweep at the end

        assert stores.marks() == {keys.mark(key) for key in (no, hers, gone, later, left)}
        with psycopg.connect(shop.servers.postgres_url) as connection:
            served = {key.hex for (key,) in connection.execute("SELECT person_key FROM lists")}
            without_mail = [mark.hex for (mark,) in connection.execute("SELECT mark FROM transactional_only")]
        assert served == people(LISTS)
        assert without_mail == [keys.mark(plain)]
