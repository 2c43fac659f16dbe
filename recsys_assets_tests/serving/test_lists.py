"""The one internal list behind every route: filters, depth, contexts, visits, and what stands in."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import psycopg
import pytest

from recsys_assets.local.processes import free_port, wait_until
from recsys_assets.local.valkey import Valkey
from recsys_assets.logic.reason_texts import SIMILAR_BY
from recsys_assets.serving.recommendations import CART_REASON, SESSION_REASON, Answer
from recsys_assets.settings import init_home, load_settings
from recsys_assets.stores.publishing import Frames
from recsys_assets.tables import MICROS
from recsys_assets_tests.made_lists import CATEGORIES, DAY, generation, name
from recsys_assets_tests.published import ODD, Stores
from recsys_assets_tests.serving.reading import Asking, asking, ids
from recsys_assets_tests.serving.running import api, ask

PEOPLE = [str(n) for n in range(300)]
Shop = tuple[Stores, Frames]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, database: Callable[[], str]) -> Iterator[Shop]:
    """A published generation, which tests leave as they found it."""
    folder = tmp_path_factory.mktemp("lists")
    valkey = Valkey(folder)
    try:
        valkey.start()
        settings = load_settings({"RECSYS_HOME": str(folder / "home")})
        home = init_home(settings, first_day=DAY, time_zone="UTC", currency="EUR")
        stores = Stores(home, database(), valkey.url)
        frames = generation([stores.key(user) for user in PEOPLE])
        stores.publisher.publish(DAY, frames, model_version="1", keep=2)
        yield stores, frames
    finally:
        valkey.stop()


@pytest.fixture
def one(shop: Shop) -> Iterator[Asking]:
    with asking(shop[0]) as made:
        yield made


def without_redis(stores: Stores) -> Stores:
    return Stores(stores.home, stores.postgres_url, f"redis://127.0.0.1:{free_port()}/0")


def without_postgres(stores: Stores) -> Stores:
    return Stores(stores.home, f"postgresql://app@127.0.0.1:{free_port()}/none", stores.redis_url)


def row(shop: Shop, user: str) -> list[dict[str, Any]]:
    """A person's 200 candidates, best first."""
    return shop[1].lists.filter(pl.col("person_key") == shop[0].key(user)).sort("rank").to_dicts()


def test_filters_leave_what_they_say_in_the_rows_order(shop: Shop, one: Asking) -> None:
    for user in PEOPLE[:5]:
        rows = row(shop, user)
        first = [each["product_id"] for each in rows[:3]]
        cases: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
            ({}, lambda each: True),
            ({"exclude": tuple(first)}, lambda each: each["rank"] > 3),
            ({"exclude_purchased": True}, lambda each: not each["purchased"]),
            (
                {"price_min": 400 * MICROS, "price_max": 600 * MICROS},
                lambda each: 400 * MICROS <= each["price_micros"] <= 600 * MICROS,
            ),
            ({"price_max": 900 * MICROS}, lambda each: each["price_micros"] <= 900 * MICROS),
            ({"exclude": tuple(each["product_id"] for each in rows[:60])}, lambda each: each["rank"] > 60),
        ]
        for wanted, passes in cases:
            answer = one.answer(user, **wanted)
            expected = [each for each in rows if passes(each)][:10]
            assert ids(answer) == [each["product_id"] for each in expected], wanted
            assert (answer.fallback, answer.hit) == (None, True), wanted
            # What is served is in Redis; for what lies deeper the record is asked.
            assert answer.store == ("redis" if expected[-1]["rank"] <= 50 else "postgres"), wanted
            for product, each in zip(answer.products, expected, strict=True):
                assert product["score"] == pytest.approx(each["score"])
                assert product["confidence"] == pytest.approx(each["confidence"])
                assert (product["price_micros"], product["category"]) == (each["price_micros"], each["category"])
                assert (product["purchased"], product["source"], product["reason"]) == (
                    each["purchased"], "basket", "mine",
                )  # fmt: skip


def test_a_member_orders_the_whole_row_and_leaves_out_what_it_does_not_know(shop: Shop, one: Asking) -> None:
    rows = row(shop, "7")
    als = one.answer("7", model="als")
    assert ids(als) == [each["product_id"] for each in rows[:-11:-1]]
    assert {p["source"] for p in als.products} == {"als"}
    assert als.products[0]["score"] == pytest.approx(0.2)
    known = [each["product_id"] for each in rows if each["item_cf"] is not None]
    assert ids(one.answer("7", model="item_cf", limit=50)) == known[:50]
    # A range that holds too few of them: then the list in its own order, then what is popular.
    few = one.answer("7", model="item_cf", price_min=1, price_max=100 * MICROS, limit=30)
    cheap = [each for each in rows if each["price_micros"] <= 100 * MICROS]
    expected = [each["product_id"] for each in cheap if each["item_cf"]]
    expected += [each["product_id"] for each in cheap if not each["item_cf"]]
    assert ids(few)[: len(expected)] == expected
    assert len(few.products) <= 30
    assert few.fallback == "topped_up"
    assert {p["source"] for p in few.products} == {"item_cf", "basket"}  # nothing popular costs so little


def test_what_is_too_short_is_filled_with_what_is_popular_under_the_same_filters(shop: Shop, one: Asking) -> None:
    low, high = 901 * MICROS, 930 * MICROS  # in 200 of 1,000 products about 6
    rows = [each for each in row(shop, "3") if low <= each["price_micros"] <= high]
    assert 0 < len(rows) < 20
    answer = one.answer("3", price_min=low, price_max=high, limit=20, exclude=(name(910), name(900)))
    assert answer.fallback == "topped_up"
    mine = [each["product_id"] for each in rows if each["product_id"] not in (name(910), name(900))]
    popular = [name(n) for n in range(900, 930) if name(n) not in (*mine, name(910), name(900))]
    assert ids(answer) == (mine + popular)[:20]
    assert all(low <= p["price_micros"] <= high for p in answer.products)
    assert [p["source"] for p in answer.products] == ["basket"] * len(mine) + ["popularity"] * (20 - len(mine))
    scores = [p["score"] for p in answer.products]
    assert scores == sorted(scores, reverse=True)
    # What they are known to have bought does not come back as something popular.
    bought = {each["product_id"] for each in row(shop, "3") if each["purchased"]} & {name(n) for n in range(900, 1_000)}
    assert bought
    assert not bought & set(ids(one.answer("3", price_min=low, exclude_purchased=True, limit=50)))
    nobody = one.answer("nobody", price_min=low, price_max=high, limit=20)
    assert (nobody.fallback, nobody.hit, ids(nobody)) == ("popular", False, [name(n) for n in range(900, 920)])
    assert one.answer("3", price_min=2_000 * MICROS).products == []


def test_a_category_that_is_asked_for_comes_first_from_ones_own_list(shop: Shop, one: Asking) -> None:
    mine = [each["product_id"] for each in row(shop, "3") if each["category"].startswith(CATEGORIES[2])]
    answer = one.answer("3", context=CATEGORIES[2], limit=50)
    assert len(mine) < 50
    assert ids(answer)[: len(mine)] == mine
    assert answer.fallback == "topped_up"
    assert all(p["category"].startswith(CATEGORIES[2]) for p in answer.products)
    assert one.answer("3", context=CATEGORIES[2], limit=5).fallback is None
    nobody = one.answer("nobody", context=CATEGORIES[2])
    assert (nobody.fallback, ids(nobody)) == ("popular_in_category", [name(n) for n in range(2, 52, 5)])
    assert ids(one.answer("3", context="a free text")) == ids(one.answer("3", context="homepage"))


def test_a_product_page_blends_what_is_similar_with_ones_own(shop: Shop, one: Asking) -> None:
    own = ids(one.answer("3", limit=50))
    answer = one.answer("3", product_id=own[0], limit=50)
    similar = [name((int(own[0][1:]) + n) % 1_000) for n in range(1, 21)]
    assert set(similar[:10]) <= set(ids(answer))
    assert own[0] not in ids(answer)
    assert ids(answer)[0] in (own[1], similar[0])  # unless both name a product
    assert set(similar[:3]) <= set(ids(answer)[:12])
    assert {p["reason"] for p in answer.products} == {"mine", SIMILAR_BY["purchases"]}
    assert (answer.fallback, answer.hit) == (None, True)
    assert answer.recommendation_id == one.answer("3").recommendation_id
    stranger = one.answer(product_id=own[0], limit=30)
    assert ids(stranger)[:20] == similar
    category = CATEGORIES[int(own[0][1:]) % 5]
    assert stranger.fallback == "popular_in_category"
    assert all(p["category"].startswith(category) for p in stranger.products[20:])
    assert all(p["price_micros"] and p["confidence"] == 0.25 for p in stranger.products[:20])


def test_a_cart_gets_what_goes_with_all_of_it_and_of_other_kinds(one: Asking) -> None:
    """p0100's neighbours are 101 to 120, p0110's 111 to 130: what both name leads, but 125 is of the kind of p0100."""
    cart = (name(100), name(110))
    answer = one.answer(cart=cart, context="cart", limit=50)
    found = ids(answer)
    assert not set(cart) & set(found)
    complements = [p["id"] for p in answer.products if p["reason"] == CART_REASON]
    assert set(complements) == {name(n) for n in range(101, 131)} - {name(110)}
    both = {n: 1 / (n - 100) + 1 / (n - 110) for n in range(111, 121)}
    score = {n: 1 / (n - 100) for n in range(101, 111)} | both | {n: 1 / (n - 110) for n in range(121, 131)}
    halved = {n: value / 2 if n % 25 in (0, 10) else value for n, value in score.items() if n != 110}
    assert complements == [name(n) for n in sorted(halved, key=lambda n: (-round(halved[n], 6), n))]
    assert halved[125] < score[125]
    assert set(ids(one.answer("3", limit=50))[:3]) & set(ids(one.answer("3", cart=cart)))


def test_a_visit_that_no_night_has_seen_is_answered_from_what_follows(one: Asking) -> None:
    """After p0010 come 11, 12 …, after p0500 come 501, 502 …; the newest counts most."""
    for users in ((), ("nobody",)):
        answer = one.answer(*users, recent=(name(10), name(500)), limit=4)
        # 1 * 1, 1/2 * 1 and 1 * 1/2, 1 * 1/3
        assert ids(answer) == [name(501), name(11), name(502), name(503)]
        assert [p["score"] for p in answer.products] == [1.0, 0.5, 0.5, 0.333333]
        assert (answer.fallback, answer.hit) == ("session", False)
        assert {p["reason"] for p in answer.products} == {SESSION_REASON}
        assert {p["source"] for p in answer.products} == {"session"}
        assert answer.products[0]["price_micros"] == 502 * MICROS
    assert one.answer(recent=("unknown",)).fallback == "popular"
    cheap = one.answer(recent=(name(10),), price_max=13 * MICROS)
    assert (ids(cheap), cheap.fallback) == ([name(11), name(12)], "session")
    own = one.answer("3", limit=50)
    known = one.answer("3", recent=(name(10),), limit=50)
    assert (known.fallback, known.hit, known.recommendation_id) == (None, True, own.recommendation_id)
    assert known.products[0]["id"] in {ids(own)[0], name(11)}
    assert {p["source"] for p in known.products} == {"basket", "session"}


def test_both_stores_and_a_bulk_give_the_same_answers(shop: Shop, one: Asking) -> None:
    stores = shop[0]
    wishes: list[dict[str, Any]] = [
        {}, {"limit": 50}, {"exclude_purchased": True, "limit": 50}, {"context": CATEGORIES[1]},
        {"price_min": 5 * MICROS, "price_max": 700 * MICROS, "limit": 30}, {"model": "als"}, {"model": "item_cf"},
        {"product_id": name(3)}, {"cart": (name(3), name(9))}, {"recent": (name(3), name(9))},
        {"product_id": name(4), "recent": (name(3),), "cart": (name(9),), "exclude": (name(5),)},
    ]  # fmt: skip
    users = [*PEOPLE[:20], "nobody", "7", "7"]
    with asking(without_redis(stores)) as other:
        for wanted in wishes:
            expected = [replace(one.answer(user, **wanted), store="memory") for user in users]
            assert [replace(found, store="memory") for found in one.many(users, **wanted)] == expected, wanted
            slow = other.many(users, **wanted)
            assert {found.store for found in slow} == {"postgres"}
            assert [replace(found, store="memory") for found in slow] == expected, wanted
            assert replace(other.answer("7", **wanted), store="memory") == expected[-1], wanted
    assert one.many([]) == []
    assert [found.hit for found in one.many(PEOPLE * 2)] == [True] * 600


def test_without_postgres_what_redis_serves_is_filtered_and_filled(shop: Shop) -> None:
    rows = row(shop, "7")
    with asking(without_postgres(shop[0])) as one:
        als = one.answer("7", model="als")
        assert ids(als) == [each["product_id"] for each in rows[:10]]  # the members stand in the record alone
        assert (als.fallback, als.store, {p["source"] for p in als.products}) == ("topped_up", "redis", {"basket"})
        short = one.answer("7", exclude=tuple(each["product_id"] for each in rows[:45]))
        assert ids(short)[:5] == [each["product_id"] for each in rows[45:50]]
        assert (short.fallback, len(short.products)) == ("topped_up", 10)


def test_two_people_on_one_device_never_see_each_others_lists(
    home: Any, database: Callable[[], str], redis_url: str
) -> None:
    """A looked around on the device before they logged in; B logs in there later, with an old account or a new one."""
    stores = Stores(home, database(), redis_url)
    device = home.keys.anon_key("device")
    frames = generation([stores.key("A"), stores.key("B"), device])
    stores.publisher.publish(DAY, frames, model_version="1", keep=2)
    owner = {}
    with api(stores.settings) as client, api(without_redis(stores).settings) as slow:
        for each in (client, slow):
            owner = {who: ask(each, **{kind: who}) for kind, who in (("userId", "A"), ("userId", "B"))}
            assert owner["A"]["products"] != owner["B"]["products"]
            device_alone = ask(each, anonId="device")
            assert device_alone["fallback"] is None
            for who in ("A", "B"):
                assert ask(each, userId=who, anonId="device") == owner[who]
                assert ask(each, userId=who, anonId="another") == owner[who]
            for context in ({}, {"context": "homepage"}, {"recent": name(3)}, {"limit": 50}):
                new = ask(each, userId="new", anonId="device", **context)
                assert new["fallback"] is not None
                assert "mine" not in {p["reason"] for p in new["products"]}
        # An opt-out of the device or of the person empties the answer of both together.
        stores.suppressions.optout(device)
        for each in (client, slow):
            together = ask(each, userId="A", anonId="device", recent=name(3))
            assert (together["fallback"], {p["reason"] for p in together["products"]}) == ("popular", {"popular"})
            assert ask(each, userId="A") == owner["A"]
            assert ask(each, anonId="device", recent=name(3))["fallback"] == "popular"
            # What stands on a page is not about the person.
            assert SIMILAR_BY["purchases"] in {
                p["reason"] for p in ask(each, anonId="device", productId=name(3))["products"]
            }


def test_a_fifth_of_the_catalogue_sold_out_reaches_every_answer_and_lists_stay_full(
    home: Any, database: Callable[[], str], redis_url: str
) -> None:
    stores = Stores(home, database(), redis_url)
    stores.publisher.publish(DAY, generation([stores.key(user) for user in PEOPLE]), model_version="1", keep=2)
    gone, dearer = {name(n) for n in range(0, 1_000, 5)}, {name(n) for n in range(1, 1_000, 5)}
    with asking(stores) as one, asking(without_redis(stores)) as slow, api(stores.settings) as client:
        listed = {product for answer in one.many(PEOPLE) for product in ids(answer)}
        assert listed & gone
        with psycopg.connect(stores.postgres_url, autocommit=True) as connection:
            tell = "INSERT INTO product_changes (product_id, in_stock, price_micros, day) VALUES (%s, %s, %s, %s)"
            day = DAY.replace(day=2)
            connection.cursor().executemany(tell, [(product, False, None, day) for product in sorted(gone)])
            connection.cursor().executemany(tell, [(product, None, 7 * MICROS, day) for product in sorted(dearer)])
            connection.execute("UPDATE live SET change_version = change_version + 1")
        assert wait_until(lambda: not gone & set(ids_of(ask(client, limit=50, context="x"))), 5)
        for each in (one, slow):
            each.look()

        def checked(answers: list[Answer], limit: int) -> None:
            assert sum(len(answer.products) == limit for answer in answers) >= 0.99 * len(answers)
            for answer in answers:
                assert not gone & set(ids(answer))
                assert all(p["price_micros"] == 7 * MICROS for p in answer.products if p["id"] in dearer)

        pages: list[dict[str, Any]] = [
            {}, {"product_id": name(11)}, {"cart": (name(11),)}, {"recent": (name(11),)},
        ]  # fmt: skip
        more: list[dict[str, Any]] = [{"model": "als"}, {"context": CATEGORIES[1]}, {"exclude_purchased": True}]
        for each in (one, slow):
            checked(each.many(PEOPLE, limit=50), 50)
            for wanted in pages + more:
                checked(each.many(PEOPLE[:60], **wanted), 10)
            for page in pages:
                checked([each.answer(**page)], 10)
            checked([each.answer("nobody", context=category) for category in CATEGORIES[1:]], 10)
            similar = each.run(each.reader.similar(each.live, name(11)))
            assert similar is not None
            assert not gone & {p["id"] for p in similar}
            assert len(similar) == 16
            # A new price counts for a range, too.
            cheap = each.answer("3", price_max=7 * MICROS)
            assert len(cheap.products) == 10
            assert {p["id"] for p in cheap.products} <= dearer | {name(n) for n in range(7)}
        for path in ("/api/recommendations?userId=3&limit=50", "/api/v1/recommendations/3?n=50",
                     "/api/v1/items/p0011/similar?n=50", "/api/v1/items/popular?n=50"):  # fmt: skip
            body = client.get(path)
            assert body.status_code == 200
            assert not any(f'"{product}"' in body.text for product in gone), path


def ids_of(answer: dict[str, Any]) -> list[str]:
    return [product["id"] for product in answer["products"]]


def test_variants_do_not_crowd_a_page(home: Any, database: Callable[[], str], redis_url: str) -> None:
    """Products n and n + 500 are sizes of one thing."""
    stores = Stores(home, database(), redis_url)
    made = generation([stores.key("1")])
    numbers = pl.col("product_id").str.strip_chars_start("p").cast(pl.Int64)
    parents = made.products.with_columns(parent_id=pl.format("thing {}", numbers % 500))
    stores.publisher.publish(DAY, replace(made, products=parents), model_version="1", keep=2)

    def thing(product: str) -> int:
        return int(product[1:]) % 500

    with asking(stores) as one, asking(without_redis(stores)) as slow:
        pages: list[tuple[dict[str, Any], set[int]]] = [
            ({"product_id": name(11)}, {11}),
            ({"cart": (name(11), name(520))}, {11, 20}),
            ({"recent": (name(11), name(511))}, set()),
            ({"product_id": name(11), "exclude": tuple(ids(one.answer("1", limit=50)))}, {11}),
        ]
        for each in (one, slow):
            for wanted, there in pages:
                things = {thing(product) for product in ids(each.answer("1", limit=50, **wanted))}
                assert len(things) == 50, wanted
                assert not there & things, wanted
            # What is popular in the category of p0511 begins with p0001, p0006, p0011, p0016 …
            stranger = ids(each.answer(product_id=name(511), limit=50))
            assert stranger[:20] == [name(n) for n in range(512, 532)]
            assert stranger[20:23] == [name(1), name(6), name(36)]
            assert len({thing(product) for product in stranger} - {11}) == 50


def test_a_list_that_redis_holds_whole_is_not_asked_of_postgres(stores: Stores) -> None:
    stores.publish(["1"])
    with asking(stores) as one:
        answer = one.answer("1")
        assert (ids(answer), answer.fallback, answer.store) == (["a", "b", ODD], None, "redis")
