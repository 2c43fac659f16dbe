"""Listings, profiles and what is known of models, on real stores and over real HTTP."""

from dataclasses import replace

from recsys_assets.columns import MEMBERS
from recsys_assets.local.processes import wait_until
from recsys_assets.serving import schemas
from recsys_assets.serving.routes.information import KINDS
from recsys_assets.tables import USER_PROFILES
from recsys_assets.tuning import Tuning
from recsys_assets_tests.door import door
from recsys_assets_tests.published import Stores, frames
from recsys_assets_tests.serving.running import api, await_health
from recsys_assets_tests.serving.shop import (
    LIST,
    PRICES,
    PRODUCTS,
    PROFILE,
    day,
    listed,
    only_marked,
    path,
    priced,
    publish,
    refused,
    token,
)


def test_people_are_listed_by_key_page_by_page_without_the_suppressed(stores: Stores) -> None:
    people = [f"user {number}" for number in range(7)]
    publish(stores, frames([stores.key(user) for user in people]))
    only_marked(stores, people[0])
    allowed, other = token(stores, "listings"), token(stores, "profiles")
    with api(stores.settings) as client:

        def page(after: str | None) -> schemas.Users:
            parameters: dict[str, str | int] = {"n": 2} | ({"after": after} if after else {})
            answer = client.get("/api/v1/users", params=parameters, headers=allowed)
            assert answer.status_code == 200, answer.text
            return schemas.Users.model_validate_json(answer.content)

        found, after = [], None
        for _ in range(3):
            one = page(after)
            found += one.user_ids
            after = one.next_after
            assert after == (one.user_ids[-1] if len(found) < 6 else None)
        assert found == sorted("key:" + stores.key(user) for user in people[1:])
        last = client.get(path(found[-1])).json()
        assert last["fallback"] is None
        assert client.get("/api/v1/users", headers=allowed).json()["user_ids"] == found
        refused(client.get("/api/v1/users"), 401)
        refused(client.get("/api/v1/users", headers=other), 403)
        for after in ("7", "key:7", "key:" + "A" * 32, "", "key:" + "a" * 32 + "\n"):
            refused(client.get("/api/v1/users", params={"after": after}, headers=allowed), 400, parameter="after")
        for n in (0, 1001, -1):
            refused(client.get("/api/v1/users", params={"n": n}, headers=allowed), 400, parameter="n")


def test_a_profile_and_one_answer_for_whoever_has_none(stores: Stores) -> None:
    number = publish(stores, priced([stores.key("7"), stores.key("8")], PRODUCTS, PRICES))
    allowed, other = token(stores, "profiles"), token(stores, "listings")
    only_marked(stores, "8")
    with api(stores.settings) as client:
        info = client.get(path("8"), headers=allowed).json()["user_info"]
        assert info == {**dict.fromkeys(info), "user_id": "8", "user_type": "new"}
        answer = client.get("/api/v1/users/7/profile", headers=allowed)
        assert answer.status_code == 200, answer.text
        found = schemas.Profile.model_validate_json(answer.content)
        assert (found.generation, found.day, found.user_type) == (number, day(0), "loyal")
        assert (answer.json()["lifetime_value"], answer.json()["average_item_price"]) == (99.600001, 2.49)
        assert answer.json()["last_purchase_date"] == str(PROFILE["last_purchase_date"])
        assert "person_key" not in answer.text
        unknown, out = (client.get(f"/api/v1/users/{user}/profile", headers=allowed) for user in ("9", "8"))
        assert refused(unknown, 404) == refused(out, 404)
        assert unknown.content == out.content
        refused(client.get("/api/v1/users/7/profile"), 401)
        refused(client.get("/api/v1/users/7/profile", headers=other), 403)
        refused(client.get("/api/v1/users/7/profile?n=1", headers=allowed), 400, parameter="n")


def test_models_stats_and_settings(stores: Stores) -> None:
    keys = [stores.key(str(number)) for number in range(6)]
    publish(stores, frames(keys[:4]), version="11")
    number = publish(stores, priced(keys, PRODUCTS, PRICES), 1, version="12")
    allowed = token(stores, "listings")
    with api(stores.settings) as client:
        answer = client.get("/api/v1/models")
        models = schemas.Models.model_validate_json(answer.content)
        assert (models.model_version, [member.name for member in models.members]) == ("12", ["als"])
        assert [(one.generation, one.state, one.people) for one in models.generations] == [
            (number, "live", 6),
            (number - 1, "ready", None),  # 4 people are below the floor of 5
        ]
        for _ in range(2):
            stats = schemas.Stats.model_validate_json(client.get("/api/v1/stats").content)
            assert (stats.generation, stats.day, stats.people, stats.products) == (number, day(1), 6, 4)
            assert [one.model_dump() for one in stats.categories] == [{"category": "x", "popular_items": 4}]
            assert stats.age_seconds >= 0
        publish(stores, frames(keys[:4]), 2)
        assert wait_until(lambda: client.get("/api/v1/stats").json()["people"] is None, 10)
        refused(client.get("/api/v1/config"), 401)
        config = schemas.Config.model_validate_json(client.get("/api/v1/config", headers=allowed).content)
        assert (config.currency, config.time_zone) == ("EUR", "UTC")
        tuning = Tuning()
        assert config.tuning["upsell"] == tuning.upsell.model_dump()
        assert config.tuning["candidate_pool_size"] == tuning.candidate_pool_size
        whole = client.get("/api/v1/config", headers=allowed).text
        for secret in (stores.home.keys.secret.decode(), stores.home.config.secret_fingerprint, "postgresql"):
            assert secret not in whole


def test_where_nothing_is_popular_the_popular_routes_answer_an_empty_list(stores: Stores) -> None:
    """As the night says it, which warns of an empty list and publishes: whoever has a list gets it."""
    made = frames([stores.key("7")])
    stores.publisher.publish(day(0), replace(made, popular=made.popular.clear()), model_version="1", keep=9)
    with api(stores.settings) as client:
        popular = client.get("/api/v1/items/popular")
        assert (popular.status_code, popular.json()["popular_items"]) == (200, [])
        assert listed(client.get(path("unknown"))).recommendations == []
        assert listed(client.post(LIST, json={"user_id": "unknown"})).recommendations == []
        for asked in ("userId=unknown", "anonId=unknown", "context=x", "productId=a", "cart=a", ""):
            answer = client.get(f"/api/recommendations?{asked}")
            assert answer.status_code == 200, answer.text
            expected = ["b"] if "productId" in asked else []  # what is like the product on the page
            assert [one["id"] for one in answer.json()["products"]] == expected, asked
        assert listed(client.get(path("7"))).recommendations
        assert client.get("/api/v1/stats").json()["categories"] == []
        refused(client.get("/api/v1/items/popular?category=x"), 404, parameter="category")


def test_before_the_first_generation_everything_says_so(stores: Stores) -> None:
    with api(stores.settings) as client:
        for where in (
            LIST + "/7",
            "/api/v1/items/a/similar",
            "/api/v1/items/popular",
            "/api/v1/models",
            "/api/v1/stats",
        ):
            refused(client.get(where), 503, title="Nothing published")
        refused(client.post(LIST, json={"user_id": "7"}), 503, title="Nothing published")


def test_what_only_postgres_knows_is_503_without_it(stores: Stores) -> None:
    publish(stores, frames([stores.key("7")]))
    headers = token(stores, "profiles", "listings")
    with (
        door(stores.postgres_url) as (postgres, url),
        api(Stores(stores.home, url, stores.redis_url).settings) as client,
    ):
        postgres.shut()
        await_health(client, postgres="away", redis="ok")
        for where in ("users", "users/7/profile", "models", "stats"):
            refused(client.get(f"/api/v1/{where}", headers=headers), 503, title="Postgres away")
        found = listed(client.get(path("7"), headers=headers))
        assert (found.fallback, found.user_info.user_type) == (None, None)


def test_models_say_what_the_tables_hold() -> None:
    profile = {name.removesuffix("_micros") for name in USER_PROFILES.columns} - {"person_key"}
    assert profile == schemas.Profile.model_fields.keys() - {"user_id", "generation", "day"}
    assert set(KINDS) == set(MEMBERS)
