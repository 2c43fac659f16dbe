"""Plans and copy of a generation: in both stores with it, out of both with the person, and as views for e-mails."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from recsys_assets.logic.copywriting import discount_percent
from recsys_assets.logic.plans import plan_of
from recsys_assets.logic.product_changes import ProductChange
from recsys_assets.logic.wishes import Wishes
from recsys_assets.stores import staging, wishes
from recsys_assets.stores.cache import plan_key
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.product_changes import ProductChanges
from recsys_assets.stores.publishing import Frames, Published
from recsys_assets.tables import CATALOG, COPY, PLANS
from recsys_assets_tests.published import DAY, ODD, PLAN, PLANNING, Stores, frame, frames, plan, words


def publish(stores: Stores, made: Frames, **how: Any) -> Published:
    return stores.publisher.publish(DAY, made, model_version="1", **{"keep": 5} | how)


def select(stores: Stores, text: str, *values: object) -> list[dict[str, Any]]:
    with psycopg.connect(stores.postgres_url, row_factory=dict_row) as connection:
        return connection.execute(text.encode(), values).fetchall()


def planned(stores: Stores, generation: int) -> dict[str, dict[str, Any]]:
    """Plans by the person's key, as Postgres holds them."""
    found = select(stores, "SELECT person_key, plan FROM plans WHERE generation = %s", generation)
    return {row["person_key"].hex: row["plan"] for row in found}


def cached(stores: Stores, generation: int) -> dict[str, dict[str, Any]]:
    """Plans by the person's mark, as Redis holds them."""
    prefix = plan_key(generation, "")
    return {
        name.removeprefix(prefix): json.loads(value)
        for name, value in stores.redis().items()
        if name.startswith(prefix)
    }


def mark(stores: Stores, user: str) -> str:
    return stores.home.keys.mark(stores.key(user))


def test_both_stores_hold_the_plan_as_the_lake_has_it_of_people_without_a_list_too(stores: Stores) -> None:
    listed, new = stores.key("1"), stores.key("has no list")
    made = frames([listed])
    odd = plan(new, [], intent=ODD, purchase_probability=None, price_low_micros=None, category_scores=[1e-7, -2.25])
    made = replace(made, plans=frame(PLANS, [*made.plans.to_dicts(), odd]))
    done = publish(stores, made)
    assert (done.rows["lists"], done.rows["plans"], done.rows["copy_texts"], done.problems) == (1, 2, 1, [])
    there = planned(stores, done.generation)
    assert there == {row.pop("person_key"): row for row in made.plans.to_dicts()}
    assert cached(stores, done.generation) == {stores.home.keys.mark(key): value for key, value in there.items()}
    assert plan_of(there[listed]).purchase_probability == PLAN["purchase_probability"]
    (generation,) = select(stores, "SELECT planning FROM generations")
    assert generation["planning"] == PLANNING
    assert json.loads(stores.redis()["recsys:pointer"])["planning"] == PLANNING
    (copy,) = select(stores, "SELECT * FROM live_copy")
    assert {name: copy[name] for name in COPY.columns} == words("a")


def test_the_view_of_plans_has_columns_of_their_types(stores: Stores) -> None:
    publish(stores, frames([stores.key("1")], ("a", ODD)))
    (row,) = select(stores, "SELECT * FROM live_plans")
    assert row.pop("person_key") == UUID(stores.key("1"))
    offer = {"product_ids": ["a", ODD], "reason_codes": ["code", "code"], "offer_intents": ["replenish"] * 2}
    wanted = {name: value for name, value in PLAN.items() if not name.endswith("_scores") and "scored" not in name}
    assert row == {"generation": 1, **wanted, **offer}


def test_a_generation_without_plans_is_one(stores: Stores) -> None:
    bare = replace(frames([stores.key("1")]), plans=PLANS.empty(), copy=COPY.empty(), planning=None)
    done = publish(stores, bare)
    assert (done.rows["plans"], done.rows["copy_texts"]) == (0, 0)
    assert cached(stores, done.generation) == planned(stores, done.generation) == {}
    assert select(stores, "SELECT planning FROM generations") == [{"planning": None}]


def test_an_optout_takes_the_plan_of_every_generation_from_both_stores_at_once(stores: Stores) -> None:
    made = frames([stores.key("1")])
    made = replace(made, plans=frame(PLANS, [plan(stores.key(user), ["a"]) for user in ("1", "2", "no list")]))
    numbers = [publish(stores, made).generation for _ in range(2)]
    for user, act in (("1", stores.suppressions.optout), ("no list", stores.suppressions.forget)):
        done = act(stores.key(user))
        assert (done.plans, done.cached_plans) == (2, 2), user
        for number in numbers:
            assert stores.key(user) not in planned(stores, number)
            assert mark(stores, user) not in cached(stores, number)
    stores.suppressions.optin(stores.key("1"))
    again = publish(stores, made).generation
    assert set(cached(stores, again)) == {mark(stores, "1"), mark(stores, "2")}
    assert stores.suppressions.follow(Wishes(refused=[stores.key("2")])).withheld == 1
    assert set(cached(stores, again)) == {mark(stores, "1")}
    assert set(planned(stores, again)) == {stores.key("1")}


def test_a_list_of_wishes_takes_plans_too(stores: Stores) -> None:
    stores.publish(["1", "2"])
    stores.suppressions.forget(stores.key("1"))
    told = wishes.exported(Postgres(stores.postgres_url), stores.home.keys, select(stores, "SELECT now()")[0]["now"])
    with psycopg.connect(stores.postgres_url) as connection:  # as a database that was brought back from before
        connection.execute("TRUNCATE suppressions, receipts")
        connection.execute("UPDATE live SET suppression_version = 0")
    stores.cache._client.flushall()
    number = stores.publish(["1", "2"]).generation
    assert mark(stores, "1") in cached(stores, number)
    assert wishes.apply(Postgres(stores.postgres_url), stores.cache, stores.home.keys, told.wishes) == 1
    assert set(cached(stores, number)) == {mark(stores, "2")}
    assert set(planned(stores, number)) == {stores.key("2")}


@pytest.mark.parametrize("step", ["stage", "check", "ready", "warm", "flip"])
def test_who_opts_out_during_the_load_is_left_out_by_the_flip(stores: Stores, step: str) -> None:
    def meanwhile(at: str) -> None:
        if at == step:
            stores.suppressions.optout(stores.key("1"))

    done = stores.publish(["1", "2"], progress=meanwhile)
    assert set(planned(stores, done.generation)) == {stores.key("2")}
    assert set(cached(stores, done.generation)) == {mark(stores, "2")}


def test_a_short_copy_of_plans_or_words_is_refused(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = staging.copy_plans
    monkeypatch.setattr(staging, "copy_plans", lambda *a: (piece.split(b"\n", 1)[1] for piece in whole(*a)))
    with pytest.raises(Exception, match="plans: COPY took 1 rows of 2"):
        stores.publish(["1", "2"])
    assert stores.live() is None


def test_a_warm_brings_back_what_was_changed_or_lost(stores: Stores) -> None:
    number = stores.publish(["1", "2", "3"]).generation
    before = cached(stores, number)
    stores.suppressions.optout(stores.key("3"))
    del before[mark(stores, "3")]
    stores.cache._client.set(plan_key(number, mark(stores, "1")), "{}")
    stores.cache.drop([number])
    stores.publisher.warm()
    assert cached(stores, number) == before


def test_a_rollback_brings_back_the_plans_and_planning_of_before_and_retired_ones_go(stores: Stores) -> None:
    made = frames([stores.key("1")])
    first = publish(stores, made).generation
    other = replace(made, plans=frame(PLANS, [plan(stores.key("1"), ["b"])]), planning=None)
    second = publish(stores, other).generation
    assert select(stores, "SELECT product_ids FROM live_plans") == [{"product_ids": ["b"]}]
    assert stores.publisher.rollback().whole
    assert select(stores, "SELECT product_ids FROM live_plans") == [{"product_ids": ["a", "b", ODD]}]
    assert json.loads(stores.redis()["recsys:pointer"])["planning"] == PLANNING
    assert cached(stores, first).keys() == cached(stores, second).keys() != set()
    last = publish(stores, made, keep=1).generation
    assert {f"plans_{last}", f"copy_texts_{last}"} == {
        name for name in stores.rows() if name.startswith(("plans_", "copy_texts_"))
    }
    assert cached(stores, first) == cached(stores, second) == {}


OFFERED = "SELECT place, product_id, headline, price_micros, list_price_micros FROM live_offers ORDER BY place"


def test_offers_are_what_can_be_bought_now_in_words_that_are_still_true(stores: Stores) -> None:
    key, products = stores.key("1"), ("gone", "dear", "branded", "cut", "no words")
    made = frames([key], products)
    catalog = [
        {"product_id": name, "name": f"The {name}", "unit_price_micros": 90, "list_price_micros": before,
         "brand": brand, "in_stock": None, "url": f"u/{name}"}
        for name, before, brand in (
            ("gone", None, None), ("dear", 100, None), ("branded", None, ""), ("cut", 100, "Acme"), ("no words", 1, ""),
        )
    ]  # fmt: skip
    said = [
        words("gone"), words("dear", sentence="Now {discount}"), words("branded", headline="{brand} again"),
        words("cut", headline="{brand}: {list_price} before"),
        *(words("no words", **other) for other in (
            {"intent": "explore"}, {"trigger": "in-cart"}, {"reason_kind": "popular"}, {"language": "de"},
        )),
    ]  # fmt: skip
    made = replace(made, products=frame(CATALOG, catalog), copy=frame(COPY, said))
    publish(stores, made)
    assert [(row["place"], row["product_id"], row["headline"]) for row in select(stores, OFFERED)] == [
        (1, "gone", "Time for {name}"),
        (2, "dear", "Time for {name}"),
        (3, "branded", None),
        (4, "cut", "{brand}: {list_price} before"),
        (5, "no words", None),
    ]
    changes = [ProductChange("gone", in_stock=False), ProductChange("dear", price_micros=95)]
    ProductChanges(Postgres(stores.postgres_url), stores.cache).tell(changes, DAY.replace(day=2))
    now = select(stores, OFFERED)
    assert [row["product_id"] for row in now] == ["dear", "branded", "cut", "no words"]
    assert now[0] == {"place": 1, "product_id": "dear", "headline": None, "price_micros": 95, "list_price_micros": None}
    (cut,) = select(stores, "SELECT * FROM live_offers WHERE product_id = 'cut'")
    assert cut == {
        "generation": 1, "person_key": UUID(key), "place": 3, "product_id": "cut", "reason_code": "code",
        "intent": "replenish", "trigger": "on-page", "language": "en", "headline": "{brand}: {list_price} before",
        "sentence": "Yours for {price}.", "call_to_action": f"Take {ODD}", "source": "model", "name": "The cut",
        "brand": "Acme", "price_micros": 90, "list_price_micros": 100, "image_url": None, "url": "u/cut",
    }  # fmt: skip


def test_words_of_an_offer_are_those_of_its_own_intent(stores: Stores) -> None:
    """Of a product that was never bought nobody says "again", whatever the plan is for."""
    mine = plan(stores.key("1"), ["a", "b"], offer_intents=["replenish", "explore"])
    said = [words(name, intent=intent, headline=intent) for name in "ab" for intent in ("replenish", "explore")]
    publish(stores, replace(frames([stores.key("1")]), plans=frame(PLANS, [mine]), copy=frame(COPY, said)))
    assert [row["headline"] for row in select(stores, OFFERED)] == ["replenish", "explore"]


def test_a_list_price_stands_beside_an_offer_where_code_finds_a_discount_too(stores: Stores) -> None:
    pairs = [(95, 100), (96, 100), (99, 100), (100, 100), (101, 100), (951, 1000), (949, 1000), (10, None), (1, 10**9)]
    products = tuple(f"p{number}" for number in range(len(pairs)))
    catalog = [
        {"product_id": product, "name": product, "unit_price_micros": price, "list_price_micros": before}
        for product, (price, before) in zip(products, pairs, strict=True)
    ]
    made = replace(frames([stores.key("1")], products), products=frame(CATALOG, catalog))
    publish(stores, made)
    shown = [row["list_price_micros"] for row in select(stores, OFFERED)]
    assert shown == [before if discount_percent(price, before) else None for price, before in pairs]
    assert shown.count(None) == 6
