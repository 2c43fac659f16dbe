"""`/api/v1`, on real stores and over real HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from urllib.parse import quote

import httpx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.local.processes import wait_until
from recsys_assets.logic.product_changes import ProductChange
from recsys_assets.serving import schemas
from recsys_assets.serving.shaping import bounds, money
from recsys_assets.settings import Home
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.product_changes import ProductChanges
from recsys_assets_tests.door import door
from recsys_assets_tests.published import ODD, Stores, frames
from recsys_assets_tests.serving.running import api, await_health
from recsys_assets_tests.serving.shop import (
    LIST,
    ODD_IDS,
    PRICES,
    PRODUCTS,
    TOO_LONG,
    day,
    guarded,
    ids,
    listed,
    path,
    priced,
    publish,
    refused,
    token,
)


@pytest.fixture
def client(stores: Stores) -> Iterator[httpx.Client]:
    publish(stores, priced([stores.key("7")], PRODUCTS, PRICES, bought=["a"]))
    with api(stores.settings) as made:
        yield made


def test_get_and_post_give_the_list_of_the_contract(stores: Stores) -> None:
    number = publish(stores, priced([stores.key("7")], PRODUCTS, PRICES))
    other, allowed = token(stores, "listings", "writes"), token(stores, "profiles")
    with api(stores.settings) as client:
        got = client.get(path("7"), headers=allowed)
        assert got.json()["recommendations"][:3] == [
            {"item_id": "a", "relevance_score": 1.0, "confidence_score": 0.5, "item_price": 2.49,
             "recommendation_reason": "why a", "model_source": "pinned"},
            {"item_id": "b", "relevance_score": 0.5, "confidence_score": 0.5, "item_price": 10.0,
             "recommendation_reason": "why b", "model_source": "als"},
            {"item_id": ODD, "relevance_score": 0.333333, "confidence_score": 0.5, "item_price": 1.000001,
             "recommendation_reason": f"why {ODD}", "model_source": "item_cf"},
        ]  # fmt: skip
        assert got.json()["user_info"] == {
            "user_id": "7", "user_type": "loyal", "spending_segment": "high", "total_purchases": 40,
            "unique_items": 7, "avg_item_price": 2.49, "last_purchase_date": "2024-02-28",
        }  # fmt: skip
        found = listed(got)
        assert (found.primary_model, found.fallback_used, found.generation) == ("hybrid", False, number)
        posted = listed(client.post(LIST, json={"user_id": "7"}, headers=allowed))
        assert posted.model_copy(update={"processing_time_ms": found.processing_time_ms}) == found
        for headers in ({}, other):
            info = client.get(path("7"), headers=headers).json()["user_info"]
            assert info == {**dict.fromkeys(info), "user_id": "7"}
        by_key = listed(client.get(path("key:" + stores.key("7")), headers=allowed))
        assert (by_key.user_id, ids(by_key)) == ("key:" + stores.key("7"), ids(found))
        nobody = listed(client.get(path("8"), headers=allowed))
        stores.suppressions.optout(stores.key("7"))
        out = listed(client.get(path("7"), headers=allowed))
        for one in (nobody, out):
            assert (one.fallback_used, one.fallback, one.primary_model) == (True, "popular", "popularity")
            assert {product.model_source for product in one.recommendations} == {"popularity"}
            assert one.user_info.model_dump() == {
                **dict.fromkeys(schemas.UserInfo.model_fields), "user_id": one.user_id, "user_type": "new"
            }  # fmt: skip


def test_a_model_a_length_a_price_range_and_exclusions(client: httpx.Client) -> None:
    assert ids(listed(client.get(path("7"), params={"n": 2}))) == ["a", "b"]
    als = listed(client.get(path("7"), params={"model": "als"}))
    assert (ids(als), als.primary_model) == (["d", ODD, "b", "a"], "als")
    assert [one.model_source for one in als.recommendations] == ["als"] * 4

    def asked(**body: object) -> tuple[list[str], str | None]:
        found = listed(client.post(LIST, json={"user_id": "7", **body}))
        return ids(found), found.fallback

    assert asked(price_range_min=2.49, price_range_max=10, num_recommendations=2) == (["a", "b"], None)
    assert asked(price_range_max=2.489999, num_recommendations=1) == ([ODD], None)
    assert asked(price_range_max=1, num_recommendations=1) == (["d"], None)
    assert asked(exclude=["a", ODD], num_recommendations=2) == (["b", "d"], None)
    assert asked(exclude_purchased=True, num_recommendations=3) == (["b", ODD, "d"], None)
    assert asked(model_type="als", num_recommendations=1) == (["d"], None)


def test_a_list_that_was_filled_up_says_so(stores: Stores) -> None:
    made = priced([stores.key("7")], PRODUCTS, PRICES)
    publish(stores, replace(made, lists=made.lists.filter(pl.col("rank") <= 2)))
    with api(stores.settings) as client:
        found = listed(client.post(LIST, json={"user_id": "7", "exclude": ["b"], "price_range_max": 9}))
        assert [(one.item_id, one.model_source) for one in found.recommendations] == [
            ("a", "pinned"), (ODD, "popularity"), ("d", "popularity"),
        ]  # fmt: skip
        assert (found.fallback_used, found.fallback, found.primary_model) == (True, "topped_up", "hybrid")


def test_every_legal_id_is_answered_and_echoed(stores: Stores) -> None:
    keys = [stores.key(user) for user in ODD_IDS]
    made = priced(keys, ODD_IDS[:5], [1_000_000] * 5)
    publish(stores, made)
    allowed = token(stores, "profiles")
    with api(stores.settings) as client:
        for user in ODD_IDS:
            found = listed(client.get(path(user)))
            assert (found.user_id, found.fallback) == (user, None), repr(user)
            posted = listed(client.post(LIST, json={"user_id": user, "exclude": [user]}))
            assert posted.user_id == user
            assert user not in ids(posted)
            shown = client.get(f"/api/v1/users/{quote(user, safe='')}/profile", headers=allowed)
            assert (shown.status_code, shown.json()["user_id"]) == (200, user)
            similar = client.get(f"/api/v1/items/{quote(user, safe='')}/similar")
            if user in ODD_IDS[:5]:
                assert similar.json()["item_id"] == user
            else:
                refused(similar, 404, parameter="item_id")
        unencoded = client.get(f"{LIST}/a/b")  # a client that does not encode slashes is understood, too
        assert listed(unencoded).user_id == "a/b"


def test_what_cannot_be_an_id_is_refused_by_name(stores: Stores, client: httpx.Client) -> None:
    allowed = token(stores, "profiles")
    assert wait_until(lambda: client.get(path("7"), headers=allowed).json()["user_info"]["user_type"] is not None, 10)
    for raw in ("", "%00", "a%00b", "%ff", "%ed%a0%80", *(quote(long) for long in TOO_LONG)):
        refused(client.get(f"{LIST}/{raw}"), 400, parameter="user_id")
        refused(client.get(f"/api/v1/users/{raw}/profile", headers=allowed), 400, parameter="user_id")
        refused(client.get(f"/api/v1/items/{raw}/similar"), 400, parameter="item_id")
    for user in ("", "a\0b", *TOO_LONG):
        assert "user_id" in refused(client.post(LIST, json={"user_id": user}), 422, field="user_id")["detail"]
        refused(client.post(LIST, json={"user_id": "7", "exclude": ["a", user]}), 422, field="exclude[1]")
    refused(client.post(LIST, content=b'{"user_id": "\\ud800"}'), 422, field="user_id")


@pytest.mark.parametrize("n", ["-1", "0", "51", "1000000000", "ten", "1e9", "5.0", " 5", "٥", ""])
def test_a_wrong_number_is_refused_by_name(client: httpx.Client, n: str) -> None:
    for where in (path("7"), "/api/v1/items/a/similar", "/api/v1/items/popular"):
        refused(client.get(where, params={"n": n}), 400, parameter="n")


def test_wrong_parameters_and_fields_are_refused_by_name(client: httpx.Client) -> None:
    for query, parameter in (
        ("n=1&n=1", "n"), ("model=svd", "model"), ("limit=5", "limit"), ("timestamp=yesterday", "timestamp"),
        ("timestamp=2024-03-01T12:00:00", "timestamp"), ("timestamp=2024-02-30", "timestamp"),
        ("timestamp=2024-03-01T12:00:00+01:00", "timestamp"),  # a plus that means a space
    ):  # fmt: skip
        refused(client.get(f"{path('7')}?{query}"), 400, parameter=parameter)
    for more, field in (
        ({"num_recommendations": 0}, "num_recommendations"), ({"num_recommendations": 51}, "num_recommendations"),
        ({"num_recommendations": "5"}, "num_recommendations"), ({"num_recommendations": True}, "num_recommendations"),
        ({"model_type": "svd"}, "model_type"), ({"exclude_purchased": 1}, "exclude_purchased"),
        ({"price_range_min": -1}, "price_range_min"), ({"price_range_max": 1e13}, "price_range_max"),
        ({"price_range_min": 2, "price_range_max": 1}, "price_range_max"), ({"exclude": "a"}, "exclude"),
        ({"exclude": ["a"] * 1001}, "exclude"), ({"timestamp": "soon"}, "timestamp"), ({"limit": 5}, "limit"),
    ):  # fmt: skip
        problem = refused(client.post(LIST, json={"user_id": "7", **more}), 422, field=field)
        assert problem["detail"].startswith(field)
    refused(client.post(LIST, json={}), 422, field="user_id")
    refused(client.post(LIST + "?user_id=7", json={"user_id": "7"}), 400, parameter="user_id")
    for path_ in ("models", "stats"):
        refused(client.get(f"/api/v1/{path_}?verbose=1"), 400, parameter="verbose")


def test_a_moment_is_answered_by_the_generation_of_its_day(stores: Stores) -> None:
    for number in range(4):
        publish(stores, frames([stores.key("7")], (f"day {number}", "b")), number, version=str(number))
    assert stores.publisher.rollback().generation.day == day(2)  # what was withdrawn answers nothing

    def first(client: httpx.Client, moment: str, **body: str) -> str:
        got = listed(client.get(path("7"), params={"timestamp": moment, "n": 1}))
        posted = listed(client.post(LIST, json={"user_id": "7", "timestamp": moment, "num_recommendations": 1}))
        assert ids(got) == ids(posted)
        assert got.generation == posted.generation
        return ids(got)[0]

    with (
        door(stores.postgres_url) as (postgres, url),
        api(Stores(stores.home, url, stores.redis_url).settings) as client,
    ):
        for moment, expected in (
            (day(0).isoformat(), "day 0"), (f"{day(0)}T23:59:59Z", "day 0"), (f"{day(1)}T00:00:00.5-01:00", "day 1"),
            (f"{day(1)}t00:30:00+01:00", "day 0"), (day(2).isoformat(), "day 2"), (day(3).isoformat(), "day 2"),
            ("9999-12-31T23:59:59-23:59", "day 2"), ("9999-12-31", "day 2"),
        ):  # fmt: skip
            assert first(client, moment) == expected, moment
        nobody = listed(client.get(path("nobody"), params={"timestamp": day(1).isoformat()}))
        assert ids(nobody) == ["day 1", "b"]
        assert nobody.fallback == "popular"
        for moment in ("0001-01-01T00:00:00+23:59", (day(0) - timedelta(days=1)).isoformat()):
            problem = refused(client.get(path("7"), params={"timestamp": moment}), 404, oldest_day=day(0).isoformat())
            assert day(0).isoformat() in problem["detail"]
        stores.suppressions.optout(stores.key("7"))
        assert listed(client.get(path("7"), params={"timestamp": day(0).isoformat()})).fallback == "popular"
        postgres.shut()
        await_health(client, postgres="away", redis="ok")
        assert first(client, day(2).isoformat()) == "day 2"
        answer = client.get(path("7"), params={"timestamp": day(1).isoformat()})
        refused(answer, 503)
        assert answer.headers["retry-after"] == "1"


def test_the_day_of_a_moment_is_the_shops(
    make_home: Callable[..., Home], database: Callable[[], str], redis_url: str
) -> None:
    stores = Stores(make_home(time_zone="Pacific/Auckland"), database(), redis_url)  # 13 hours before UTC in March
    for number in range(2):
        publish(stores, frames([stores.key("7")], (f"day {number}", "b")), number)
    with api(stores.settings) as client:
        for moment, expected in ((f"{day(0)}T10:59:59Z", "day 0"), (f"{day(0)}T11:00:00Z", "day 1")):
            assert ids(listed(client.get(path("7"), params={"timestamp": moment})))[0] == expected


def test_similar_and_popular_items_and_what_is_sold_out_or_repriced(stores: Stores, client: httpx.Client) -> None:
    def similar(item: str = "a", **parameters: int) -> schemas.SimilarItemsAnswer:
        answer = client.get(f"/api/v1/items/{item}/similar", params=parameters)
        assert answer.status_code == 200, answer.text
        return schemas.SimilarItemsAnswer.model_validate_json(answer.content)

    def popular(**parameters: str | int) -> schemas.PopularItemsAnswer:
        answer = client.get("/api/v1/items/popular", params=parameters)
        assert answer.status_code == 200, answer.text
        return schemas.PopularItemsAnswer.model_validate_json(answer.content)

    one = similar().similar_items
    assert [item.model_dump() for item in one] == [
        {"item_id": "b", "relevance_score": 0.5, "confidence_score": None, "item_price": 10.0,
         "recommendation_reason": "Much alike by its description", "model_source": "content"}
    ]  # fmt: skip
    assert similar("b").similar_items == []
    assert [item.item_price for item in popular().popular_items] == [2.49, 10.0, 1.000001, 0.0001]
    assert popular(category="x", n=1).model_dump(exclude={"processing_time_ms"}) == {
        "category": "x",
        "popular_items": [
            {"item_id": "a", "relevance_score": 1.0, "confidence_score": None, "item_price": 2.49,
             "recommendation_reason": "Popular"}
        ],
    }  # fmt: skip
    problem = refused(client.get("/api/v1/items/popular?category=y"), 404, parameter="category")
    assert problem["detail"] == "There is no such category; there are x."
    changes = ProductChanges(Postgres(stores.postgres_url), stores.cache)
    changes.tell([ProductChange("a", in_stock=False), ProductChange("b", price_micros=1_990_000)], day(1))
    assert wait_until(lambda: "a" not in [item.item_id for item in popular().popular_items], 10)
    assert popular(n=1).popular_items[0].item_price == 1.99
    assert similar().similar_items[0].item_price == 1.99
    answer = listed(client.get(path("7"), params={"n": 1}))
    assert (ids(answer), answer.recommendations[0].item_price) == (["b"], 1.99)


def test_twenty_categories_are_named_and_the_rest_counted(stores: Stores) -> None:
    names = [f"c{number:02}" for number in range(23)]
    made = frames([stores.key("7")])
    one = made.popular.filter(category="x")
    overall = made.popular.filter(category="")
    many = pl.concat([overall, *(one.with_columns(category=pl.lit(name)) for name in names)])
    publish(stores, replace(made, popular=many))
    with api(stores.settings) as client:
        said = refused(client.get("/api/v1/items/popular?category=y"), 404)["detail"]
        assert said == "There is no such category; there are " + ", ".join(names[:20]) + ", and 3 more."


def test_similar_and_popular_without_one_store_and_without_both(stores: Stores) -> None:
    publish(stores, priced([stores.key("7")], PRODUCTS, PRICES))
    with guarded(stores) as (postgres, redis, settings), api(settings) as client:

        def both() -> list[object]:
            similar, popular = client.get("/api/v1/items/a/similar"), client.get("/api/v1/items/popular")
            assert similar.status_code == popular.status_code == 200, similar.text
            return [similar.json()["similar_items"], popular.json()["popular_items"]]

        expected = both()
        redis.shut()
        await_health(client, postgres="ok", redis="away")
        assert both() == expected
        refused(client.get("/api/v1/items/nothing/similar"), 404)
        postgres.shut()
        await_health(client, postgres="away", redis="away")
        refused(client.get("/api/v1/items/a/similar"), 503)
        assert client.get("/api/v1/items/popular").json()["popular_items"] == expected[1]
        redis.open()
        await_health(client, postgres="away", redis="ok")
        assert both() == expected
        refused(client.get("/api/v1/items/nothing/similar"), 404)


@given(st.integers(0, 10**15))
def test_money_is_exact_up_to_a_billion_units(micros: int) -> None:
    told = money(micros)
    assert Decimal(repr(told)) == Decimal(micros) / 1_000_000
    assert bounds(told, told) == (micros, micros)
