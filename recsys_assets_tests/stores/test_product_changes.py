import json
from datetime import date, timedelta

import psycopg
import pytest

from recsys_assets.errors import StoreError
from recsys_assets.local.processes import free_port, wait_until
from recsys_assets.logic.product_changes import ProductChange
from recsys_assets.stores.cache import CHANGES_KEY, Cache
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.product_changes import ProductChanges
from recsys_assets_tests.door import door
from recsys_assets_tests.published import DAY, ODD, Stores, frames
from recsys_assets_tests.serving.running import api, ask, await_health, ids

TODAY = DAY + timedelta(1)  # the live generation knows the catalogue of the day before
SOLD_OUT = [ProductChange("a", in_stock=False)]


def changes(stores: Stores) -> ProductChanges:
    return ProductChanges(Postgres(stores.postgres_url), stores.cache)


def publish(stores: Stores, day: date) -> None:
    stores.publisher.publish(day, frames([stores.key("1")]), model_version="1", keep=2, progress=str)


def seen(stores: Stores, view: str = "current_changes") -> list[tuple[object, ...]]:
    with psycopg.connect(stores.postgres_url) as connection:
        columns = "product_id, in_stock, price_micros"
        return connection.execute(f"SELECT {columns} FROM {view} ORDER BY product_id").fetchall()


def version(stores: Stores) -> int:
    with psycopg.connect(stores.postgres_url) as connection:
        found = connection.execute("SELECT change_version FROM live").fetchone()
    assert found is not None
    return int(found[0])


def copied(stores: Stores) -> dict[str, object]:
    found: dict[str, object] = json.loads(stores.redis()[CHANGES_KEY])
    return found


def test_the_last_word_on_stock_and_on_price_holds(stores: Stores) -> None:
    publish(stores, DAY)
    told = changes(stores).tell(
        [*SOLD_OUT, ProductChange("b", price_micros=5), ProductChange("a", True), ProductChange("a", None, 7)], TODAY
    )
    assert (told.products, told.unknown, told.cache_problem) == (2, (), None)
    assert seen(stores) == [("a", True, 7), ("b", None, 5)]
    assert version(stores) == 1
    # What is not told again stays, on the same day and on the next.
    changes(stores).tell([ProductChange("b", in_stock=False)], TODAY)
    assert seen(stores) == [("a", True, 7), ("b", False, 5)]
    changes(stores).tell([ProductChange("b", price_micros=6)], TODAY + timedelta(1))
    assert seen(stores) == [("a", True, 7), ("b", False, 6)]
    assert version(stores) == 3
    assert copied(stores) == {"version": 3, "products": {"a": [True, 7], "b": [False, 6]}}
    assert seen(stores, "current_products")[:2] == [("a", True, 7), ("b", False, 6)]


def test_a_change_holds_until_a_generation_of_its_day_is_live_and_again_after_a_rollback(stores: Stores) -> None:
    publish(stores, DAY)
    changes(stores).tell([ProductChange("a", price_micros=7)], TODAY)
    changes(stores).tell(SOLD_OUT, TODAY + timedelta(1))
    assert seen(stores) == [("a", False, 7)]
    publish(stores, TODAY)  # its catalogue knows the price, and not what the day after brought
    assert seen(stores) == [("a", False, None)]
    assert copied(stores)["products"] == {"a": [False, None]}
    publish(stores, TODAY + timedelta(1))
    assert (seen(stores), copied(stores)["products"]) == ([], {})
    assert [change.holds for change in changes(stores).told()] == [False, False]
    stores.publisher.rollback()
    assert seen(stores) == [("a", False, None)]
    assert copied(stores)["products"] == {"a": [False, None]}


def test_what_no_kept_generation_needs_goes(stores: Stores) -> None:
    publish(stores, DAY)
    days = [TODAY + timedelta(n) for n in range(4)]
    for product, day in zip(("a", "b", ODD), days[:3], strict=True):
        changes(stores).tell([ProductChange(product, in_stock=False)], day)
    for day in days[:3]:
        publish(stores, day)  # the last two are kept
    changes(stores).tell([ProductChange("a", price_micros=5)], days[3])
    assert [(change.product_id, change.day) for change in changes(stores).told()] == [("a", days[3]), (ODD, days[2])]


def test_clearing_brings_the_catalogue_back(stores: Stores) -> None:
    publish(stores, DAY)
    changes(stores).tell([*SOLD_OUT, ProductChange("b", in_stock=False), ProductChange(ODD, False, 5)], TODAY)
    done = changes(stores).clear(["a", "nothing", "a"])
    assert (done.products, done.unknown) == (1, ("nothing",))
    assert [row[0] for row in seen(stores)] == sorted(["b", ODD])
    assert changes(stores).clear().products == 2
    assert (seen(stores), copied(stores)) == ([], {"version": 3, "products": {}})


def test_unknown_products_are_told_and_kept_and_before_the_first_generation_nobody_can_know(stores: Stores) -> None:
    assert changes(stores).tell(SOLD_OUT, TODAY).unknown == ()
    publish(stores, DAY)
    told = changes(stores).tell([ProductChange("new", in_stock=False), *SOLD_OUT], TODAY)
    assert told.unknown == ("new",)
    assert [row[0] for row in seen(stores)] == ["a", "new"]


def test_all_or_nothing(stores: Stores) -> None:
    publish(stores, DAY)
    changes(stores).tell(SOLD_OUT, TODAY)
    with pytest.raises(psycopg.errors.CheckViolation):
        changes(stores).tell([ProductChange("b", in_stock=False), ProductChange("a", price_micros=0)], TODAY)
    assert (seen(stores), version(stores)) == ([("a", False, None)], 1)


def test_twenty_thousand_at_once(stores: Stores) -> None:
    publish(stores, DAY)
    many = [ProductChange(f"p{n}", n % 2 == 0, n + 1) for n in range(20_000)]
    assert changes(stores).tell(many, TODAY).products == len(many)
    assert len(seen(stores)) == len(many)
    assert len(changes(stores).tell(many, TODAY + timedelta(1)).unknown) == len(many)


def test_without_redis_it_holds_and_says_so(stores: Stores) -> None:
    publish(stores, DAY)
    away = ProductChanges(Postgres(stores.postgres_url), Cache(f"redis://127.0.0.1:{free_port()}/0"))
    told = away.tell(SOLD_OUT, TODAY)
    assert "RECSYS_REDIS_URL" in (told.cache_problem or "")
    assert seen(stores) == [("a", False, None)]
    assert copied(stores)["products"] == {}
    stores.publisher.warm()
    assert copied(stores) == {"version": 1, "products": {"a": [False, None]}}


def test_without_postgres_nothing_changes(stores: Stores) -> None:
    publish(stores, DAY)
    away = ProductChanges(Postgres(f"postgresql://x@127.0.0.1:{free_port()}/x"), stores.cache)
    with pytest.raises(StoreError):
        away.tell(SOLD_OUT, TODAY)
    assert copied(stores)["products"] == {}


def test_an_api_that_starts_from_redis_alone_knows_the_changes(stores: Stores) -> None:
    publish(stores, DAY)
    changes(stores).tell(SOLD_OUT, TODAY)
    with door(stores.postgres_url) as (postgres, pg_url):
        postgres.shut()
        with api(Stores(stores.home, pg_url, stores.redis_url).settings) as client:
            await_health(client, postgres="away", redis="ok")
            for question in ({"userId": "1"}, {"userId": "nobody"}, {"context": "x"}):
                assert ids(ask(client, **question)) == ["b", ODD], question
            changes(stores).tell([ProductChange("b", in_stock=False)], TODAY)
            postgres.open()
            assert wait_until(lambda: ids(ask(client, userId="1")) == [ODD], 10)
