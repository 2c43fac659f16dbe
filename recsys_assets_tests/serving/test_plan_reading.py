"""A person's plan as the API reads it: Redis, then Postgres, then nothing; and what plans for a visit."""

import json
from dataclasses import replace

import psycopg
import pytest

from recsys_assets.serving.pointer import fetch
from recsys_assets.serving.reading import PlanFound
from recsys_assets.stores.cache import POINTER_KEY, list_key, marker_key, plan_key, whole_key
from recsys_assets.tables import COPY
from recsys_assets_tests.published import DAY, ODD, PLAN, PLANNING, Stores, frame, frames, words
from recsys_assets_tests.serving.reading import Asking, asking
from recsys_assets_tests.serving.shop import guarded, only_marked
from recsys_assets_tests.serving.test_lists import without_postgres, without_redis

OFFER = {"product_ids": ["a", "b", ODD], "reason_codes": ["code"] * 3, "offer_intents": ["replenish"] * 3}
ROW = PLAN | OFFER
NOBODY = PlanFound(suppressed=False, row=None, store="memory")


def plan(one: Asking, user: str) -> PlanFound:
    return one.run(one.reader.sources.plan(one.live, one.keys.user_key(user)))


def test_both_stores_give_the_same_plan_and_know_who_has_none(stores: Stores) -> None:
    stores.publish(["1"])
    with asking(stores) as one, asking(without_redis(stores)) as slow:
        for each, nobody in ((one, replace(NOBODY, store="redis")), (slow, replace(NOBODY, store="postgres"))):
            assert plan(each, "1") == replace(nobody, row=ROW)
            assert plan(each, "nobody") == nobody
            assert each.live.planning == PLANNING


def test_without_postgres_redis_knows_plans_and_what_plans_for_visits(stores: Stores) -> None:
    stores.publish(["1"])
    with asking(without_postgres(stores)) as one:
        assert one.live.planning == PLANNING
        assert plan(one, "1") == PlanFound(suppressed=False, row=ROW, store="redis")


def test_a_pointer_of_an_older_program_has_no_planning(stores: Stores) -> None:
    stores.publish(["1"])
    pointer = json.loads(stores.redis()[POINTER_KEY])
    del pointer["planning"]
    stores.cache._client.set(POINTER_KEY, json.dumps(pointer))
    with asking(without_postgres(stores)) as one:
        assert one.live.planning is None


def test_without_both_there_is_nothing(stores: Stores) -> None:
    stores.publish(["1"])
    with (
        guarded(stores) as (postgres, redis, seen),
        asking(Stores(stores.home, seen.postgres_url, seen.redis_url)) as one,
    ):
        postgres.shut()
        redis.shut()
        assert plan(one, "1") == NOBODY


def test_whoever_is_suppressed_has_no_plan_in_any_store(stores: Stores) -> None:
    stores.publish(["1", "2"])
    with asking(stores) as one, asking(without_redis(stores)) as slow:
        only_marked(stores, "1")  # the row is still there
        assert plan(slow, "1") == PlanFound(suppressed=True, row=None, store="postgres")
        stores.cache._client.set(marker_key(stores.home.keys.mark(stores.key("1"))), "1")
        assert plan(one, "1") == PlanFound(suppressed=True, row=None, store="redis")
        assert plan_key(1, stores.home.keys.mark(stores.key("1"))) in stores.redis()
        stores.suppressions.optout(stores.key("2"))
        for each in (one, slow):
            each.look()
            found = plan(each, "2")
            assert (found.suppressed, found.row) == (True, None)


@pytest.mark.parametrize("name", ["recsys:suppressions", whole_key(1)])
def test_a_redis_that_is_not_to_be_trusted_is_not_asked_for_plans(stores: Stores, name: str) -> None:
    stores.publish(["1"])
    with asking(stores) as one:
        stores.cache._client.delete(name)
        assert plan(one, "1").store == "postgres"
    with asking(without_postgres(stores)) as one:
        assert one._live is None


def test_a_redis_that_lags_behind_an_optout_is_left_alone(stores: Stores) -> None:
    """As one whose file is older than the opt-out: it has the list, the plan and no marker."""
    stores.publish(["1"])
    mark = stores.home.keys.mark(stores.key("1"))
    kept = {name: stores.redis()[name] for name in (list_key(1, mark), plan_key(1, mark), "recsys:suppressions")}
    stores.suppressions.optout(stores.key("1"))
    stores.cache._client.mset(kept)
    stores.cache._client.delete(marker_key(mark))
    with asking(stores) as one:
        assert plan(one, "1") == PlanFound(suppressed=True, row=None, store="postgres")


def test_facts_are_those_of_now_and_words_those_of_the_generation(stores: Stores) -> None:
    made = frames([stores.key("1")], ("a", "b"))
    said = [words("a"), words("a", intent="explore"), words("a", trigger="in-cart"), words("b", source="template")]
    stores.publisher.publish(DAY, replace(made, copy=frame(COPY, said)), model_version="1", keep=2)
    with psycopg.connect(stores.postgres_url) as connection:
        connection.execute("INSERT INTO product_changes (product_id, day, in_stock, price_micros) "
                           "VALUES ('a', '2024-03-02', false, 7)")  # fmt: skip
    wanted = {"generation": 1, "products": ["a", "b"], "trigger": "on-page", "language": "en"}
    with asking(stores) as one:
        rows = one.run(fetch(one._pool, "read/facts", {"products": ["a", "b", "unknown"]}))
        rows.sort(key=lambda row: str(row["product_id"]))
        assert [(row["product_id"], row["price_micros"], row["in_stock"]) for row in rows] == [
            ("a", 7, False), ("b", 10, True),
        ]  # fmt: skip
        assert rows[1] == {
            "product_id": "b", "parent_id": None, "name": None, "category": "x > y", "brand": None, "price_micros": 10,
            "list_price_micros": None, "image_url": None, "url": None, "in_stock": True, "not_recommendable": None,
            "price_tier": None,
        }  # fmt: skip
        found = one.run(fetch(one._pool, "read/copy", wanted))
        assert sorted((row["product_id"], row["intent"]) for row in found) == [("a", "explore"), ("a", "replenish")]
        assert {row["headline"] for row in found} == {"Time for {name}"}
        assert one.run(fetch(one._pool, "read/copy", wanted | {"language": "de"})) == []
