import json
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import polars as pl
import psycopg
import pytest

from recsys_assets.errors import NotFoundError
from recsys_assets.logic.product_changes import ProductChange
from recsys_assets.stores.cache import (
    CHANGES_KEY,
    POINTER_KEY,
    START_KEY,
    list_key,
    near_key,
    plan_key,
    popular_key,
    product_key,
)
from recsys_assets.stores.day_frames import PLANNER, PLANNING_FILE, frames_of
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.product_changes import ProductChanges
from recsys_assets.stores.publishing import Frames
from recsys_assets.stores.verify import Verified, Verifier
from recsys_assets.tables import CATALOG, COPY, LISTS, NEXT_ITEMS, PLANS, POPULAR_ITEMS, SIMILAR_ITEMS, USER_PROFILES
from recsys_assets_tests.published import DAY, ODD, Stores, frames

USERS = ["1", "2", "3"]


def fill_lake(stores: Stores, made: Frames) -> None:
    lake = Lake(stores.home.lake)
    for table, rows in (
        (LISTS, made.lists), (SIMILAR_ITEMS, made.similar), (NEXT_ITEMS, made.following),
        (POPULAR_ITEMS, made.popular), (CATALOG, made.products), (USER_PROFILES, made.profiles),
        (PLANS, made.plans), (COPY, made.copy),
    ):  # fmt: skip
        lake.write(table, DAY, rows)
    lake.put_text(PLANNER, DAY, PLANNING_FILE, json.dumps(made.planning))


def verified(stores: Stores, generation: int | None = None) -> Verified:
    postgres = Postgres(stores.postgres_url)
    verifier = Verifier(postgres, stores.postgres_url, stores.cache, Lake(stores.home.lake), stores.home.keys)
    return verifier.verify(generation)


def said(stores: Stores) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {one.what: (one.count, one.first) for one in verified(stores).differences}


@pytest.fixture
def shop(stores: Stores) -> Stores:
    """A home whose lake, Postgres and Redis hold one generation."""
    made = frames([stores.key(user) for user in USERS])
    fill_lake(stores, made)
    stores.publisher.publish(DAY, made, model_version="1", keep=5, progress=str)
    return stores


def execute(stores: Stores, text: str, *values: object) -> None:
    with psycopg.connect(stores.postgres_url, autocommit=True) as connection:
        assert connection.execute(text.encode(), values).rowcount


def test_what_was_published_agrees(shop: Stores) -> None:
    found = verified(shop)
    assert (found.agree, found.differences, found.notes) == (True, (), ())
    assert (found.generation, found.day, found.live) == (1, DAY, True)
    assert found.compared == {
        "suppressed people": 0,
        "lake and Postgres: lists": 3, "lake and Postgres: similar_items": 1, "lake and Postgres: next_items": 1,
        "lake and Postgres: popular_items": 6, "lake and Postgres: products": 3, "lake and Postgres: profiles": 3,
        "lake and Postgres: plans": 3, "lake and Postgres: copy_texts": 1,
        "Postgres and Redis: list": 3, "Postgres and Redis: near": 2, "Postgres and Redis: plan": 3,
        "Postgres and Redis: popular": 1, "Postgres and Redis: product": 3,
    }  # fmt: skip


def test_it_still_agrees_after_wishes_a_warm_a_second_publish_and_a_rollback(shop: Stores) -> None:
    shop.suppressions.optout(shop.key("1"))
    shop.suppressions.forget(shop.key("2"))
    ProductChanges(Postgres(shop.postgres_url), shop.cache).tell([ProductChange("a", in_stock=False)], DAY)
    assert verified(shop).agree
    shop.cache._client.flushall()
    shop.publisher.warm()
    assert verified(shop).agree
    made = frames([shop.key("3")], (ODD, "a"))
    fill_lake(shop, made)
    second = shop.publisher.publish(DAY, made, model_version="1", keep=5, progress=str)
    assert verified(shop).agree
    shop.publisher.rollback()
    first = verified(shop)
    assert first.agree
    assert "made anew since" in first.notes[0]
    assert "1 of 1 lists" in first.notes[0]
    kept = verified(shop, second.generation)
    assert (kept.agree, kept.live, kept.notes) == (True, False, ())


def test_who_opted_in_again_comes_with_the_next_publish(shop: Stores) -> None:
    shop.suppressions.optout(shop.key("1"))
    shop.suppressions.optin(shop.key("1"))
    found = verified(shop)
    assert found.agree
    assert found.notes == tuple(
        f"1 {table} of people who have opted in again come with the next publish"
        for table in ("lists", "profiles", "plans")
    )


OTHER = "Redis has other {} values than Postgres"
TOO_MANY = "Redis has {} values that Postgres has not"
REDIS: dict[str, tuple[Callable[[Stores], str], str | None, str]] = {
    "a list is gone": (lambda s: list_key(1, s.home.keys.mark(s.key("2"))), None, "Redis lacks list values"),
    "a product is gone": (lambda _: product_key(1, ODD), None, "Redis lacks product values"),
    "what is near a product is gone": (lambda _: near_key(1, "a"), None, "Redis lacks near values"),
    "what is popular is gone": (lambda _: popular_key(1), None, "Redis lacks popular values"),
    "another list": (lambda s: list_key(1, s.home.keys.mark(s.key("2"))), "{}", OTHER.format("list")),
    "a plan is gone": (lambda s: plan_key(1, s.home.keys.mark(s.key("2"))), None, "Redis lacks plan values"),
    "another plan": (lambda s: plan_key(1, s.home.keys.mark(s.key("2"))), "{}", OTHER.format("plan")),
    "a plan too many": (lambda _: plan_key(1, "0" * 32), "{}", TOO_MANY.format("plan")),
    "another price": (lambda _: product_key(1, "a"), '{"price_micros": 11}', OTHER.format("product")),
    "a list too many": (lambda _: list_key(1, "0" * 32), "{}", TOO_MANY.format("list")),
    "a product too many": (lambda _: product_key(1, "x:y"), "{}", TOO_MANY.format("product")),
    "another pointer": (lambda _: POINTER_KEY, '{"generation": 7}', "Redis has another copy of the pointer"),
    "other changes": (lambda _: CHANGES_KEY, None, "Redis has another copy of the changes"),
    "a marker too many": (lambda _: "recsys:out:" + "0" * 32, "1", "Redis takes people for suppressed who are not"),
    "an old version": (lambda _: "recsys:suppressions", "-1", "Redis has another version of the suppressions"),
    "another start": (lambda _: START_KEY, "x", "Redis was restarted since it was told of suppressions"),
    "not whole": (lambda _: "recsys:1:whole", None, "Redis does not hold the generation whole"),
}


@pytest.mark.parametrize("what", REDIS)
def test_what_differs_in_redis_is_named(shop: Stores, what: str) -> None:
    name_of, value, words = REDIS[what]
    name, client = name_of(shop), shop.cache._client
    if value is None:
        assert client.delete(name) == 1
    else:
        client.set(name, value)
    ((said_of, (count, first)),) = said(shop).items()
    assert said_of.removesuffix(": `recsys warm`") == words
    assert count == 1
    if ":" in first[0] and first[0].startswith("recsys:"):
        assert first == ("".join(c if c.isprintable() else " " for c in name),)


SAME, HERE, THERE = "that are not the same in both", "that only Postgres has", "that only the lake has"
POSTGRES = {
    "a price": ("UPDATE products SET price_micros = 11 WHERE product_id = 'a'", f"products {SAME}",
                "product_id a: price_micros"),
    "a reason": ("UPDATE popular_items SET reason = 'x' WHERE rank = 2 AND category = ''", f"popular_items {SAME}",
                 "category , rank 2: reason"),
    "a row too many": ("INSERT INTO similar_items VALUES (1, 'a', 2, 'x', 0.1)", f"similar_items {HERE}",
                       "product_id a, rank 2"),
    "a row too few": ("DELETE FROM next_items", f"next_items {THERE}", "product_id b, rank 1"),
    "a profile": ("UPDATE profiles SET profile = profile || '{\"orders\": 2}'", f"profiles {SAME}", ": profile"),
    "a plan": ("UPDATE plans SET plan = plan || '{\"intent\": \"gift\"}'", f"plans {SAME}", ": plan"),
    "words": ("UPDATE copy_texts SET sentence = 'x'", f"copy_texts {SAME}",
              "product_id a, intent replenish, trigger on-page, reason_kind code, language en: sentence"),
    "a list": ("UPDATE lists SET scores[1] = 0.75, positions[3] = NULL", f"lists {SAME}", ": scores, positions"),
}  # fmt: skip


@pytest.mark.parametrize("what", POSTGRES)
def test_what_differs_in_postgres_is_named_by_key_and_column(shop: Stores, what: str) -> None:
    text, ending, example = POSTGRES[what]
    words = f"lake and Postgres: {ending}"
    execute(shop, text)
    found = said(shop)
    assert words in found
    assert example in found[words][1][0]
    other = {each for each in found if each.startswith("lake and Postgres")}
    assert other == {words}
    redis_too = {"a price", "a reason", "a row too many", "a row too few", "a list", "a plan"}
    assert any(each.startswith("Redis") for each in found) == (what in redis_too)


def test_a_list_that_is_gone_from_postgres_is_missing_in_no_other_store(shop: Stores) -> None:
    execute(shop, "DELETE FROM lists WHERE person_key = %s", shop.key("2"))
    found = said(shop)
    assert set(found) == {
        "lake and Postgres: lists that only the lake has",
        "Redis has list values that Postgres has not",
    }
    assert found["lake and Postgres: lists that only the lake has"] == (1, (f"person_key {UUID(shop.key('2'))}",))


ERASED = "the lake's lists, profiles or plans hold people whose erasure is done: `recsys run erase`"


def test_suppressed_people_are_looked_for_in_every_store(shop: Stores) -> None:
    mark = shop.home.keys.mark(shop.key("1"))
    names = (list_key(1, mark), plan_key(1, mark))
    held = {name: shop.redis()[name] for name in names}
    with psycopg.connect(shop.postgres_url) as connection:
        for table in ("lists", "plans"):
            connection.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table} WHERE mark = %s", [mark])
    shop.suppressions.forget(shop.key("1"))
    assert said(shop) == {}  # the lake is swept later, and is not asked before
    for table in ("lists", "plans"):
        execute(shop, f"INSERT INTO {table} SELECT * FROM kept_{table}")
    shop.cache._client.mset(held)
    shop.cache._client.delete(f"recsys:out:{mark}")
    execute(shop, "UPDATE receipts SET done_at = now()")
    found = said(shop)
    for words in (
        "Postgres has lists of suppressed people", "Redis has lists of suppressed people",
        "Postgres has plans of suppressed people", "Redis has plans of suppressed people",
        "Redis does not know that people are suppressed",
        ERASED,
    ):  # fmt: skip
        assert found[words][0] == 1, words
    assert found[ERASED][1] == (f"key:{shop.key('1')}",)


def test_an_erasure_that_has_reached_the_lake_makes_no_difference(shop: Stores) -> None:
    shop.suppressions.forget(shop.key("1"))
    execute(shop, "UPDATE receipts SET done_at = now()")
    made = frames([shop.key(user) for user in USERS])
    gone = pl.col("person_key") != shop.key("1")
    fill_lake(shop, replace(made, lists=made.lists.filter(gone), profiles=made.profiles.filter(gone),
                           plans=made.plans.filter(gone)))  # fmt: skip
    assert verified(shop).agree
    execute(shop, "UPDATE products SET price_micros = 11 WHERE product_id = 'a'")
    assert "lake and Postgres: products that are not the same in both" in said(shop)


def test_leftovers_are_named_and_are_no_difference(shop: Stores) -> None:
    dead = (
        "INSERT INTO generations (day, state, model_version, list_hash, people) VALUES (now(), 'staging', '1', '', 0)"
    )
    with psycopg.connect(shop.postgres_url, autocommit=True) as connection:
        connection.execute(dead)
        connection.execute("CREATE TABLE lists_99 PARTITION OF lists FOR VALUES IN (99)")
    shop.cache._client.set("recsys:98:product:a", "{}")
    found = verified(shop)
    assert found.agree
    told = "\n".join(found.notes)
    assert "left over in Postgres: tables lists_99" in told
    assert "generations [2] that never went live" in told
    assert "left over in Redis: 1 keys of generations [98]" in told


def test_a_lake_without_the_day_and_a_generation_that_is_not_kept(stores: Stores) -> None:
    with pytest.raises(NotFoundError, match="nothing has been published"):
        verified(stores)
    stores.publish(["1"])
    found = verified(stores)
    assert found.agree
    assert found.notes == (f"the lake no longer has lists of {DAY}: not compared with it",)
    with pytest.raises(NotFoundError, match="there is no generation 9"):
        verified(stores, 9)


def test_a_day_that_the_lake_holds_in_part_is_told(shop: Stores) -> None:
    Lake(shop.home.lake).drop(NEXT_ITEMS.name, DAY)
    found = verified(shop)
    assert found.agree
    assert found.notes[0].startswith(f"not compared with the lake: no next_items of {DAY}")


def test_a_lake_without_plans_of_a_generation_without_any_agrees_and_planning_is_compared(stores: Stores) -> None:
    made = replace(frames([stores.key("1")]), plans=PLANS.empty(), copy=COPY.empty(), planning=None)
    fill_lake(stores, made)
    lake = Lake(stores.home.lake)
    for name in (PLANS.name, COPY.name, PLANNER):  # as an older program left the day
        lake.drop(name, DAY)
    stores.publisher.publish(DAY, frames_of(lake, DAY), model_version="1", keep=5)
    assert (verified(stores).agree, verified(stores).compared["lake and Postgres: plans"]) == (True, 0)
    lake.put_text(PLANNER, DAY, PLANNING_FILE, "{}")
    assert set(said(stores)) == {"lake and Postgres: what plans for visits is not the same in both"}


def test_what_changes_meanwhile_is_compared_once_more(shop: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    once, client, name = Verifier._once, shop.cache._client, popular_key(1)
    held, seen = client.get(name), list[bool]()
    client.delete(name)

    def during(self: Verifier, number: int | None) -> Verified:
        found = once(self, number)
        seen.append(found.agree)
        shop.suppressions.optout(shop.key("1"))
        client.set(name, held or b"")
        return found

    monkeypatch.setattr(Verifier, "_once", during)
    assert verified(shop).agree
    assert seen == [False, True]
