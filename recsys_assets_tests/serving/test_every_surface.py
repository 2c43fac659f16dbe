"""A small shop in which every rule is on, and one walk over every surface on which a product can be shown."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import polars as pl
import psycopg
import pytest

from recsys_assets.commands.email import write_order_confirmation
from recsys_assets.local.supervisor import Servers
from recsys_assets.logic.catalog import catalog
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.offers import offers
from recsys_assets.logic.popular import popular_items
from recsys_assets.logic.price_tiers import price_tiers, product_tiers
from recsys_assets.logic.ranking import Ranking
from recsys_assets.models.base import Interactions
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.models.next_items import next_items
from recsys_assets.models.similar import similar_items
from recsys_assets.models.transitions import Transitions
from recsys_assets.settings import Home, load_settings, open_home
from recsys_assets.stores.export import Wanted, export_lists
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.publishing import Frames
from recsys_assets.tables import (
    CANDIDATES,
    CLEAN_EVENTS,
    COPY,
    LANDING_CATALOG,
    LANDING_RATES,
    MICROS,
    PLANS,
    REPURCHASE_CYCLES,
    USER_PROFILES,
)
from recsys_assets_tests.models.builders import bought, in_order, stats
from recsys_assets_tests.published import PLANNING, Stores, frame, plan
from recsys_assets_tests.serving.running import api
from recsys_assets_tests.serving.shop import token
from recsys_assets_tests.serving.test_lists import without_postgres, without_redis

DAY = date(2024, 12, 6)
# Product → price, category, parent. 90 and 95 are premium; nobody has done anything with the last three.
PRODUCTS: dict[str, tuple[int, str, str | None]] = {
    "sofa": (90, "Home", None), "lamp": (10, "Home", None), "table": (20, "Home", None), "chair": (12, "Home", None),
    "ban": (11, "Home", None), "few": (11, "Home", None), "rug": (11, "Home", None),
    "S": (12, "Clothes", "shirt"), "M": (12, "Clothes", "shirt"), "L": (12, "Clothes", "shirt"),
    "cap": (10, "Clothes", None), "coat": (90, "Clothes", None),
    "socks": (9, "Clothes", None), "poster": (95, "Home", None), "throne": (95, "Home", None),
}  # fmt: skip
PINS = ("poster", "socks")
DEAR = {"coat", "throne"}  # new to the owner, whose segment is offered nothing premium
OWNED = {"sofa": 3, "cap": 3, "S": 200, "rug": 200}  # days ago; a cycle is 30 days
BEYOND = {"rug"}  # no candidate of anybody who owns it, so that no row of theirs says that they bought it
NOWHERE = {"ban", "few"}
SOLD = list(PRODUCTS)[:12]
TUNING = """
[tuning]
k_anonymity = 2
bans = ["ban"]
stock_at_least = 3
pins = ["poster", "socks"]
segment_filter.enabled = true
repurchase_cycle.enabled = true
"""


@dataclass(frozen=True)
class Surface:
    """What was shown; ``personal``: to the owner; ``led``: pins come first; ``there``: what stands on the page."""

    ids: list[str]
    personal: bool = True
    led: tuple[str, ...] = PINS
    there: tuple[str, ...] = ()
    no_repeats: bool = False


def night(home: Home, people: dict[str, dict[str, int]], *, repeats: bool) -> Frames:
    """What the lists' stages make of the shop; ``people`` by key, with the days since they bought each product."""
    tuning = home.config.tuning
    landed = [
        {"product_id": name, "event_date": DAY, "name": f"Thing {name}", "unit_price_micros": price * MICROS,
         "currency": "EUR", "category": category, "parent_id": parent, "stock_level": 2 if name == "few" else 9}
        for name, (price, category, parent) in PRODUCTS.items()
    ]  # fmt: skip
    facts = catalog(
        frame(LANDING_CATALOG, landed), CLEAN_EVENTS.empty(), DAY, LANDING_RATES.empty(), "EUR",
        bans=tuning.bans, stock_at_least=tuning.stock_at_least,
    )  # fmt: skip
    may = set(facts.filter(pl.col("not_recommendable").is_null())["product_id"])
    ago = [(key, name, days) for key, own in people.items() for name, days in own.items()]
    dates = pl.Series("last_purchase_date", [DAY - timedelta(days) for *_, days in ago])
    seen = bought([(key, name, 1) for key, name, _ in ago]).with_columns(dates)
    train = in_order(Interactions.from_frame(seen), np.random.default_rng(1))
    near, follows = ItemCf(), Transitions()
    near.fit(train)
    follows.fit(train)
    listable = np.array([name in may for name in train.product_ids.tolist()])
    sellers = stats(dict(Counter(name for _, name, _ in ago)))
    pool = [
        {"person_key": key, "product_id": name, "score": 1 - place / 20, "als": 1 - place / 20, "item_cf": place / 20,
         "purchased": name in own, "similar_owned": 0}
        for key, own in people.items()
        for place, name in enumerate(
            name for name in PRODUCTS if name in may and (name not in own or (repeats and name not in BEYOND))
        )
    ]  # fmt: skip
    profiles = frame(
        USER_PROFILES,
        [{"person_key": key, "spending_segment": "small" if len(own) < 9 else "high"} for key, own in people.items()],
    )  # fmt: skip
    ranking = Ranking(
        facts, sellers, seen, profiles, REPURCHASE_CYCLES.empty(), as_of=DAY,
        choices=Choices(repeats, 1.0, 1.0), tuning=tuning,
    )  # fmt: skip
    lists = ranking.rank(frame(CANDIDATES, pool)).lists
    plans = frame(PLANS, [plan(key, (), intent="accessory", categories=["Home", "Clothes"]) for key in people])
    beside = lists.join(facts.select("product_id", "parent_id", "brand", "name"), on="product_id", how="left")
    offered = offers(plans, beside, tuning, seen.join(facts.select("product_id", "category"), on="product_id"))
    of_each = {
        key: rows["product_id"].to_list() for (key,), rows in offered.group_by("person_key", maintain_order=True)
    }
    return Frames(
        lists,
        similar_items(near, train, listable, facts, tuning),
        next_items(follows, listable, facts, tuning),
        popular_items(sellers, facts, tuning),
        facts,
        profiles,
        plans=frame(PLANS, [plan(key, of_each.get(key, [])) for key in people]),
        copy=COPY.empty(),
        planning=PLANNING,
        owned=ranking.owned(),
        tiers=product_tiers(facts, price_tiers(facts, tuning)),
    )


@pytest.fixture(params=["repeats are never", "repeats wait for their cycle"])
def shop(request: pytest.FixtureRequest, home: Home, database: Callable[[], str], redis_url: str) -> Stores:
    path = home.path / "home.toml"
    path.write_text(path.read_text() + TUNING)
    stores = Stores(open_home(load_settings({"RECSYS_HOME": str(home.path)})), database(), redis_url)
    others = {stores.key(f"p{n}"): dict.fromkeys(SOLD[n % 2 :], 400) for n in range(12)}
    people = {stores.key("owner"): OWNED, stores.key("hoarder"): dict.fromkeys(PRODUCTS, 1)} | others
    made = night(stores.home, people, repeats=request.param != "repeats are never")
    stores.publisher.publish(DAY, made, model_version="1", keep=2)
    return stores


def ids(answer: httpx.Response, at: str = "recommendations", name: str = "item_id") -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one[name] for one in answer.json()[at]]


def over_http(client: httpx.Client, headers: dict[str, str], who: str) -> dict[str, Surface]:
    """Every surface of the API, for one person; where nobody is asked for, for anybody."""

    def asked(**wanted: Any) -> list[str]:
        return ids(client.get("/api/recommendations", params={"limit": 50} | wanted), "products", "id")

    def posted(**wanted: Any) -> list[str]:
        return ids(client.post("/api/v1/recommendations", json={"user_id": who, "num_recommendations": 50} | wanted))

    made: dict[str, Surface] = {
        "list": Surface(asked(userId=who)),
        "list, short": Surface(asked(userId=who, limit=3)),
        "page": Surface(asked(userId=who, productId="table"), there=("table",)),
        "page of a shirt": Surface(asked(userId=who, productId="M"), there=("M",)),
        "cart": Surface(asked(userId=who, cart=["table", "M"]), there=("table", "M")),
        "visit": Surface(asked(userId=who, recent=["table", "lamp"])),
        "category": Surface(asked(userId=who, context="Home"), led=("poster",)),
        "all of it": Surface(
            asked(userId=who, productId="table", cart="lamp", recent=["M", "chair"], exclude="chair"), there=("table",)
        ),
        "v1": Surface(ids(client.get(f"/api/v1/recommendations/{quote(who)}", params={"n": 50}))),
        "nothing owned": Surface(posted(exclude_purchased=True), no_repeats=True),
        "top-up": Surface(posted(exclude=["lamp", "table", "chair"])),
        "popular": Surface(ids(client.get("/api/v1/items/popular", params={"n": 50}), "popular_items"), personal=False),
        "popular at home": Surface(
            ids(client.get("/api/v1/items/popular", params={"n": 50, "category": "Home"}), "popular_items"),
            personal=False, led=("poster",),
        ),
        "offer": Surface(
            ids(client.post("/mcp/generator", json={"plan": {}, "catalogSlice": list(PRODUCTS), "userId": who}),
                "recommendations", "productId"), led=(),
        ),
        "offer to anybody": Surface(
            ids(client.post("/mcp/generator", json={"plan": {}, "catalogSlice": ["ban", "few", "S", "M", "sofa"]}),
                "recommendations", "productId"), personal=False, led=(),
        ),
        "nobody": Surface(asked(), personal=False),
        "nobody's page": Surface(asked(productId="table"), personal=False, there=("table",)),
    }  # fmt: skip
    for model in ("als", "item_cf"):
        made[f"model {model}"] = Surface(posted(model_type=model))
        made[f"model {model}, nothing owned"] = Surface(
            posted(model_type=model, exclude_purchased=True), no_repeats=True
        )
    for product in PRODUCTS:
        near = client.get(f"/api/v1/items/{product}/similar", params={"n": 50})
        made[f"similar to {product}"] = Surface(ids(near, "similar_items"), personal=False, led=(), there=(product,))
        made[f"after {product}"] = Surface(asked(recent=product), personal=False)
        made[f"{product}, then mine"] = Surface(asked(userId=who, recent=product))
    for repeats in (False, True):
        body = {"user_ids": [who, "nobody"], "num_recommendations": 50, "exclude_purchased": repeats}
        lines = client.post("/api/v1/recommendations/bulk", json=body, headers=headers).text.splitlines()
        mine, other = ([one["item_id"] for one in json.loads(line)["recommendations"]] for line in lines)
        made[f"bulk {repeats}"] = Surface(mine, no_repeats=repeats)
        made[f"bulk, nobody {repeats}"] = Surface(other, personal=False)
    return made


def elsewhere(stores: Stores, who: str, folder: Path) -> dict[str, Surface]:
    """Plans, e-mails and files."""
    key, home, url = stores.key(who), stores.home, stores.postgres_url
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT product_id FROM live_offers WHERE person_key = %s ORDER BY place", [key])
        made = {"plan": Surface([row[0] for row in rows], led=())}
    order = folder / "order.json"
    line = {"product_id": "M", "name": "A shirt", "quantity": 1, "unit_price": 1}
    order.write_text(json.dumps({"order_id": "1", "currency": "EUR", "lines": [line]}))
    for person, name in ((key, "e-mail"), (stores.key("nobody"), "e-mail to nobody")):
        _, text = write_order_confirmation(Servers(url, url, url, stores.redis_url), home, person, order, folder)
        shown = re.findall(r"Thing (\w+)", text.read_text())
        made[name] = Surface(shown, personal=person == key, there=("M",))
    out = folder / "lists.csv"
    export_lists(Postgres(url), home.keys, out, "csv", Wanted(ids={key: who}, candidates=True), "EUR")
    with out.open() as file:
        made["export"] = Surface([row["product_id"] for row in csv.DictReader(file)])
    return made


def check(surfaces: dict[str, Surface], withheld: set[str]) -> None:
    """Every rule on every surface."""
    for name, surface in surfaces.items():
        shown = surface.ids
        assert len(shown) == len(set(shown)), name
        assert not NOWHERE & {*shown}, (name, shown)
        families = Counter(PRODUCTS[product][2] or product for product in (*surface.there, *shown))
        assert max(families.values(), default=1) == 1, (name, shown)
        lead = [pin for pin in surface.led if pin not in surface.there]
        assert shown[: len(lead)] == lead, (name, shown)
        if surface.personal:
            assert not withheld & {*shown}, (name, shown)
            assert not DEAR & {*shown}, (name, shown)
        if surface.no_repeats:
            assert not OWNED.keys() & {*shown}, (name, shown)


def test_every_rule_holds_on_every_surface(shop: Stores, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    never = "never" in request.node.name
    withheld = set(OWNED) if never else {"sofa", "cap"}
    headers = token(shop, "listings")
    surfaces = elsewhere(shop, "owner", tmp_path)
    assert all(surface.ids for surface in surfaces.values()), surfaces
    check(surfaces, withheld)
    with ExitStack() as stack:
        for one in (shop, without_redis(shop)):
            client = stack.enter_context(api(one.settings))
            found = over_http(client, headers, "owner")
            check(found, withheld)
            assert all(surface.ids for name, surface in found.items() if "similar" not in name), found
            # What the rules keep from the owner is there for others, so that each of them could have failed.
            assert {"sofa", "cap", "coat"} < {*found["popular"].ids}
            assert {"sofa", "cap"} < {*found["nobody's page"].ids} & {*found["after table"].ids}
            assert {"S", "M", "L"} & {*found["similar to lamp"].ids}
            assert ("S" in found["list"].ids) == (not never)
            # Who owns everything is shown nothing of it where repeats are never, and pins alone where they wait.
            hoard = over_http(client, headers, "hoarder")
            left = set() if never else {*PINS}
            assert all({*s.ids} <= left for name, s in hoard.items() if s.personal and name != "offer"), hoard
    if never:
        assert elsewhere(shop, "hoarder", tmp_path)["e-mail"].ids == []


def test_without_postgres_nothing_that_may_be_owned_stands_in(shop: Stores) -> None:
    """Redis holds what is withheld; all of what a person owns stands in the record alone."""
    with api(without_postgres(shop).settings) as client:
        body = {"user_id": "owner", "num_recommendations": 50, "exclude_purchased": True}
        shown = {*ids(client.post("/api/v1/recommendations", json=body))}
        assert shown
        assert not OWNED.keys() & shown
        page = client.get("/api/recommendations", params={"userId": "owner", "productId": "table", "limit": 50})
        assert not {"sofa", "cap"} & {*ids(page, "products", "id")}
