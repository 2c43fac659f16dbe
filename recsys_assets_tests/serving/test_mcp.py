"""`/mcp/planner` and `/mcp/generator`, on real stores and over real HTTP."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_assets.local.processes import wait_until
from recsys_assets.logic.product_changes import ProductChange
from recsys_assets.serving import offer_schemas as schemas
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.product_changes import ProductChanges
from recsys_assets_tests.planned import PLANNING, PRODUCTS, with_plans
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import api, await_health
from recsys_assets_tests.serving.shop import day, guarded, only_marked, publish, refused, token


@pytest.fixture
def client(stores: Stores) -> Iterator[httpx.Client]:
    publish(stores, with_plans([stores.key("7")]))
    with api(stores.settings) as made:
        yield made


def plan(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/mcp/planner", json=body)
    assert answer.status_code == 200, answer.text
    schemas.PlannerAnswer.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    return found


def offer(client: httpx.Client, slice_: list[Any], **body: Any) -> dict[str, Any]:
    answer = client.post("/mcp/generator", json={"plan": body.pop("plan", {}), "catalogSlice": slice_, **body})
    assert answer.status_code == 200, answer.text
    schemas.GeneratorAnswer.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    return found


def offered(found: dict[str, Any]) -> list[str]:
    return [one["productId"] for one in found["recommendations"]]


def test_the_night_s_plan_is_answered_and_echoes_who_asked(client: httpx.Client) -> None:
    found = plan(client, userId="7", sessionData={})
    assert found["userId"] == "7"
    assert found["source"] == "batch"
    told = found["plan"]
    assert told["intent"] == "replenish"
    assert told["trigger"] == "on-page"
    assert told["budget"] == {"low": 2.0, "middle": 4.0, "high": 8.0, "currency": "EUR"}
    assert [one["category"] for one in told["targetCategories"]] == ["x > y", "Toys > Blocks"]
    assert told["purchaseProbability"] is None
    assert told["madeBy"] == {"category": "trees", "intent": "usual"}


def test_how_likely_somebody_is_to_buy_is_told_to_a_token_for_profiles_alone(stores: Stores) -> None:
    publish(stores, with_plans([stores.key("7")]))
    allowed, other = token(stores, "profiles"), token(stores, "listings")
    with api(stores.settings) as client:
        for headers, chance in ((allowed, 0.75), (other, None)):
            answer = client.post("/mcp/planner", json={"userId": "7"}, headers=headers)
            assert answer.json()["plan"]["purchaseProbability"] == chance


def test_somebody_unknown_gets_the_plan_of_a_new_person(client: httpx.Client) -> None:
    for body in ({"userId": "nobody"}, {"anonId": "cookie"}, {}):
        found = plan(client, **body)
        assert found["source"] == "default"
        assert found["plan"]["intent"] == "explore"
        assert found["plan"]["budget"]["middle"] == 5.0


def test_a_visit_moves_the_plan(client: httpx.Client) -> None:
    cart = plan(client, userId="7", sessionData={"viewed": ["e", "e"], "cart": ["e"]})
    assert cart["source"] == "session"
    assert cart["plan"]["intent"] == "accessory"
    assert cart["plan"]["trigger"] == "in-cart"
    assert cart["plan"]["budget"]["middle"] == 10.0  # 4 × 10 / 4: what is looked at costs 10
    bought = plan(client, userId="7", sessionData={"purchased": ["a"]})
    assert bought["plan"]["trigger"] == "post-purchase"
    gift = plan(client, userId="7", sessionData={"searches": ["a gift for Ada"]})
    assert gift["plan"]["intent"] == "gift"
    nothing = plan(client, userId="7", sessionData={"viewed": ["no such product"], "cart": ["nor this"]})
    assert nothing["source"] == "batch"


def test_who_opted_out_is_told_nothing_that_was_made_of_them(stores: Stores, client: httpx.Client) -> None:
    only_marked(stores, "7")
    stores.suppressions.optout(stores.key("7"))
    wait_until(lambda: plan(client, userId="7")["source"] == "default", 10)
    found = plan(client, userId="7", sessionData={"viewed": ["a"], "cart": ["a"]})
    assert found["source"] == "default"
    assert found["plan"]["intent"] == "explore"
    assert not any("plan:" in key for key in stores.redis())
    assert stores.rows()["plans"] == []


def test_neither_route_writes_anything(stores: Stores, client: httpx.Client) -> None:
    before, cached = stores.rows(), stores.redis()
    plan(client, userId="7", sessionData={"viewed": ["a"], "searches": ["secret words"]})
    offer(client, ["a", "b"], userId="7", turns=[{"says": "cheaper", "shown": ["b"]}])
    assert stores.rows() == before
    assert stores.redis() == cached


def test_a_generation_without_plans_says_so(stores: Stores) -> None:
    publish(stores, replace(with_plans([stores.key("7")]), planning=None))  # as programs before this one made them
    with api(stores.settings) as client:
        refused(client.post("/mcp/planner", json={"userId": "7"}), 503, title="No plans")
        assert offered(offer(client, ["a"])) == ["a"]


def test_plans_are_answered_while_either_store_is_away(stores: Stores) -> None:
    publish(stores, with_plans([stores.key("7")]))
    with guarded(stores) as (postgres, cache, settings_), api(settings_) as client:

        def theirs() -> bool:
            """A store that failed a moment ago is left alone for a second."""
            return bool(plan(client, userId="7", sessionData={"cart": ["e"]})["plan"]["intent"] == "accessory")

        cache.shut()
        await_health(client, postgres="ok", redis="away")
        assert wait_until(theirs, 10)
        cache.open()
        postgres.shut()
        await_health(client, postgres="away", redis="ok")
        assert wait_until(theirs, 10)
        refused(client.post("/mcp/generator", json={"plan": {}, "catalogSlice": ["a"]}), 503)
        own = {"id": "mine", "name": "Mine", "price": 3}
        assert offered(offer(client, [own])) == ["mine"]  # needs no store


def test_offers_fit_the_plan_and_slots_hold_the_catalogue_s_facts(client: httpx.Client) -> None:
    asked = plan(client, userId="7")["plan"]
    found = offer(client, list(PRODUCTS), plan=asked, userId="7")
    assert 3 <= len(found["recommendations"]) <= 5
    assert "f" not in offered(found)  # 40 for somebody who pays up to 8
    first = next(one for one in found["recommendations"] if one["productId"] == "a")
    assert first["name"] == "Product a"
    assert first["price"] == 2.0
    assert first["headline"] == "Product a, again"
    assert first["sentence"] == "Once more Product a at our shop."
    assert first["copySource"] == "model"
    sale = next(one for one in found["recommendations"] if one["productId"] == "b")
    assert (sale["listPrice"], sale["discount"]) == (5.0, 20)


def test_nobody_is_told_that_they_bought_what_is_not_known(client: httpx.Client) -> None:
    again = {"intent": "replenish"}
    for asked in ({}, {"userId": "somebody else"}):
        found = offer(client, ["a", "c"], plan=again, **asked)
        assert {one["copySource"] for one in found["recommendations"]} == {"template"}
        assert not any("before" in one["sentence"] or "again" in one["headline"] for one in found["recommendations"])


def test_a_price_that_changed_after_the_words_were_written_is_the_new_one(stores: Stores, client: httpx.Client) -> None:
    # Words about a discount go where the discount goes: nobody has said that the new price is one.
    changes = ProductChanges(Postgres(stores.postgres_url), stores.cache)
    before = offer(client, ["a", "b"])
    assert {one["productId"]: one["price"] for one in before["recommendations"]} == {"a": 2.0, "b": 4.0}
    assert next(one for one in before["recommendations"] if one["productId"] == "b")["headline"] == "On sale"
    changes.tell([ProductChange("b", None, 3_330_000), ProductChange("a", False, None)], day(1))
    after = offer(client, ["a", "b"])
    assert offered(after) == ["b"]
    assert after["leftOut"] == [{"id": "a", "why": "sold out"}]
    shown = after["recommendations"][0]
    assert (shown["price"], shown["listPrice"], shown["discount"]) == (3.33, None, None)
    assert shown["copySource"] == "template"
    assert "€3.33" in shown["sentence"] or "{" not in shown["sentence"]
    assert "€4" not in json.dumps(shown, ensure_ascii=False)


def test_what_cannot_be_offered_is_told(client: httpx.Client) -> None:
    found = offer(
        client,
        [
            "no such", {"id": "1", "name": "Dollars", "price": 3, "currency": "USD"},
            {"id": "2", "name": "Francs", "price": 3, "currency": "CHF"},
            {"id": "3", "name": "Euros", "price": 3, "currency": "EUR"}, {"id": "4", "price": 3},
            {"id": "5", "name": "No price"}, {"id": "6", "name": "Free", "price": 0},
            {"id": "7", "name": "Gone", "price": 3, "inStock": False}, {"id": "8", "name": " ", "price": 3},
        ],
    )  # fmt: skip
    assert offered(found) == ["3"]
    assert {one["id"]: one["why"] for one in found["leftOut"]} == {
        "no such": "unknown", "1": "other currency", "2": "other currency", "4": "no name", "5": "no price",
        "6": "no price", "7": "sold out", "8": "no name",
    }  # fmt: skip
    assert offered(offer(client, [])) == []


def test_markup_and_bad_links_in_a_catalogue_are_text_and_nothing(client: httpx.Client) -> None:
    name = "<script>alert(1)</script>\n{price}\u2028 & {shop}"
    slice_ = [{"id": "1", "name": name, "price": 3, "url": "javascript:alert(1)", "imageUrl": "https://shop.example/i"}]
    (one,) = offer(client, slice_)["recommendations"]
    assert one["name"] == "<script>alert(1)</script> {price}  & {shop}"
    assert one["url"] is None
    assert one["imageUrl"] == "https://shop.example/i"
    assert "{price}" in one["sentence"]  # what stands in a name is never read as a slot
    assert "\n" not in one["sentence"]


def test_turns_move_the_plan_and_say_what_they_could_not_do(client: httpx.Client) -> None:
    cheap = offer(client, list(PRODUCTS), turns=[{"says": "something cheaper, please", "shown": ["c", "d"]}])
    assert set(offered(cheap)) == {"a", "b"}  # c costs 6
    assert cheap["unmet"] == []
    without = offer(client, list(PRODUCTS), turns=[{"says": "not this one", "shown": ["a", "b"], "about": "a"}])
    assert "a" not in offered(without)
    never = offer(client, ["a"], turns=[{"says": "billiger", "shown": ["a"]}], plan={"language": "de"})
    assert offered(never) == ["a"]
    assert never["unmet"] == ["cheaper"]
    strange = offer(client, ["a"], turns=[{"says": "colourless green ideas"}])
    assert strange["notUnderstood"] == ["colourless green ideas"]
    german = offer(client, ["a"], plan={"language": "de"})
    assert german["recommendations"][0]["sentence"].startswith(("Product a", "Vielleicht", "Schon"))


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/mcp/planner", {"userId": ""}, "userId"),
        ("/mcp/planner", {"userId": 7}, "userId"),
        ("/mcp/planner", {"sessionData": []}, "sessionData"),
        ("/mcp/planner", {"sessionData": {"viewed": "a"}}, "sessionData.viewed"),
        ("/mcp/planner", {"sessionData": {"cart": ["x" * 129]}}, "sessionData.cart[0]"),
        ("/mcp/planner", {"sessionData": {"viewed": ["a"] * 201}}, "sessionData.viewed"),
        ("/mcp/planner", {"session": {}}, "session"),
        ("/mcp/planner", {"language": "fr"}, "language"),
        ("/mcp/generator", {"catalogSlice": []}, "plan"),
        ("/mcp/generator", {"plan": {}}, "catalogSlice"),
        ("/mcp/generator", {"plan": {"intent": "rob"}, "catalogSlice": []}, "plan.intent"),
        ("/mcp/generator", {"plan": {"budget": {"low": -1, "middle": 1, "high": 2}}, "catalogSlice": []},
         "plan.budget.low"),
        ("/mcp/generator",
         {"plan": {"budget": {"low": 1, "middle": 1, "high": 2, "currency": "USD"}}, "catalogSlice": []},
         "plan.budget.currency"),
        ("/mcp/generator", {"plan": {"targetCategories": [{"category": "x", "probability": 2}]}, "catalogSlice": []},
         "plan.targetCategories[0].probability"),
        ("/mcp/generator", {"plan": {}, "catalogSlice": ["a"] * 5_001}, "catalogSlice"),
        ("/mcp/generator", {"plan": {}, "catalogSlice": [], "turns": [{"says": "x" * 501}]}, "turns[0].says"),
    ],
)  # fmt: skip
def test_what_is_refused_names_its_field(client: httpx.Client, path: str, body: dict[str, Any], field: str) -> None:
    problem = refused(client.post(path, json=body), 422)
    assert problem["field"].startswith(field), problem


def test_a_slice_of_100_000_is_refused_in_one_sentence(client: httpx.Client) -> None:
    ids = [f"p{n}" for n in range(100_000)]
    problem = refused(client.post("/mcp/generator", json={"plan": {}, "catalogSlice": ids}), 422)
    assert problem["field"] == "catalogSlice"
    facts = [{"id": str(n), "name": "x" * 100, "price": 1.0} for n in range(100_000)]
    refused(client.post("/mcp/generator", json={"plan": {}, "catalogSlice": facts}), 413)
    large = [{"id": str(n), "name": f"Product {n}", "price": 1.0 + n / 100} for n in range(5_000)]
    assert 3 <= len(offered(offer(client, large))) <= 5


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
_PRODUCT = st.fixed_dictionaries(
    {"id": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)},
    optional={
        "name": _TEXT, "category": _TEXT, "brand": _TEXT, "price": st.floats(0, 1e9), "listPrice": st.floats(0, 1e9),
        "currency": st.sampled_from(["EUR", "USD", "x", ""]), "imageUrl": _TEXT, "url": _TEXT, "tags": st.lists(_TEXT),
        "inStock": st.booleans(),
    },
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(slice_=st.lists(st.one_of(_PRODUCT, st.sampled_from(PRODUCTS)), max_size=12), says=_TEXT)
def test_whatever_a_slice_holds_is_offered_or_left_out(client: httpx.Client, slice_: list[Any], says: str) -> None:
    found = offer(client, slice_, turns=[{"says": says}])
    there = {one if isinstance(one, str) else one["id"] for one in slice_}
    assert set(offered(found)) <= there
    assert len(set(offered(found))) == len(offered(found)) <= 5
    for one in found["recommendations"]:
        assert one["name"]
        assert one["price"] > 0


def test_the_terms_of_the_plan_are_those_that_were_published(stores: Stores, client: httpx.Client) -> None:
    with psycopg.connect(stores.postgres_url) as connection:
        (told,) = connection.execute("SELECT planning FROM generations").fetchone() or ({},)
    assert told == PLANNING
