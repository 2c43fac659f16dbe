import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from recsys_assets.commands import email, products, show
from recsys_assets.errors import SettingsError, SourceError
from recsys_assets.local.processes import free_port, wait_until
from recsys_assets.tables import CATALOG, LISTS, MICROS, POPULAR_ITEMS, SIMILAR_ITEMS
from recsys_assets_tests.published import DAY, Stores, frame, frames
from recsys_assets_tests.serving.running import api

Run = Callable[..., Result]
SECONDS = 5  # within which every reader knows
PEOPLE, PRODUCTS = 40, [f"p{n:03}" for n in range(200)]


@pytest.fixture
def run(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the home."""
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)

    def invoke(command: click.Command, *words: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(command, words, input=stdin, catch_exceptions=False)

    return invoke


def publish(stores: Stores) -> None:
    """Everybody has 50 of 200 products; all of them are popular and each is like the others."""
    made = random.Random(7)
    lists = [
        {"person_key": stores.key(str(person)), "rank": n, "product_id": product, "score": 1 / n,
         "price_micros": 4 * MICROS, "category": "x", "reason_code": "taste", "reason_count": 0,
         "reason": "Picked for a taste", "purchased": False, "position": n, "confidence": 0.5}
        for person in range(PEOPLE) for n, product in enumerate(made.sample(PRODUCTS, 50), 1)
    ]  # fmt: skip
    popular = [
        {"category": category, "rank": n, "product_id": product, "score": 1 / n, "buyers": 9,
         "price_micros": 4 * MICROS, "reason": "Popular"}
        for category in ("", "x") for n, product in enumerate(PRODUCTS[:100], 1)
    ]  # fmt: skip
    similar = [
        {"product_id": one, "rank": n, "similar_product_id": other, "score": 1 / n, "confidence": 0.1,
         "price_micros": 4 * MICROS}
        for one in PRODUCTS[-2:] for n, other in enumerate(PRODUCTS[:30], 1)
    ]  # fmt: skip
    catalog = [
        {"product_id": product, "name": f"Product {product}", "category": "x", "unit_price_micros": 4 * MICROS,
         "list_price_micros": 5 * MICROS, "in_stock": True}
        for product in PRODUCTS
    ]  # fmt: skip
    whole = replace(
        frames([]),
        lists=frame(LISTS, lists),
        popular=frame(POPULAR_ITEMS, popular),
        similar=frame(SIMILAR_ITEMS, similar),
        products=frame(CATALOG, catalog),
    )
    stores.publisher.publish(DAY, whole, model_version="1", keep=5, progress=str)


def mailed(run: Run, folder: Path, user: str) -> str:
    """The text of an order confirmation."""
    order = {"order_id": "1", "currency": "EUR",
             "lines": [{"product_id": "other", "name": "Other", "quantity": 1, "unit_price": 1}]}  # fmt: skip
    (folder / "order.json").write_text(json.dumps(order))
    words = ("render", "order_confirmation", "--user", user, "--order", str(folder / "order.json"))
    _, text = map(Path, run(email.email, *words).output.splitlines())
    return text.read_text(encoding="utf-8")


ROUTES = [
    *(f"/api/recommendations?userId={person}&limit=20" for person in range(PEOPLE)),
    *(f"/api/v1/recommendations/{person}?n=20" for person in range(PEOPLE)),
    "/api/recommendations?userId=nobody&limit=50",
    "/api/recommendations?context=x&limit=50",
    f"/api/recommendations?productId={PRODUCTS[-1]}&limit=20",
    f"/api/recommendations?userId=0&productId={PRODUCTS[-2]}&limit=20",
    "/api/v1/recommendations/nobody?n=20",
    f"/api/v1/items/{PRODUCTS[-1]}/similar?n=20",
    "/api/v1/items/popular?n=50",
    "/api/v1/items/popular?n=50&category=x",
]
FIELDS = ("products", "recommendations", "similar_items", "popular_items")


def answered(client: httpx.Client) -> dict[str, dict[str, float | None]]:
    """Products and prices of every route's answer, in order; a route without prices has None."""
    found = {}
    for route in ROUTES:
        answer = client.get(route)
        assert answer.status_code == 200, answer.text
        (items,) = (answer.json()[field] for field in FIELDS if field in answer.json())
        found[route] = {item.get("id") or item["item_id"]: item.get("item_price") for item in items}
    return found


def popular(client: httpx.Client) -> set[str]:
    """What one route serves: all of a process see the same changes."""
    return {item["item_id"] for item in client.get("/api/v1/items/popular?n=50").json()["popular_items"]}


def test_a_fifth_of_the_catalogue_sold_out_is_served_by_nobody_and_lists_stay_full(
    stores: Stores, run: Run, tmp_path: Path
) -> None:
    publish(stores)
    out = set(random.Random(1).sample(PRODUCTS, len(PRODUCTS) // 5))
    with api(stores.settings) as client:
        before = answered(client)
        assert all(served.keys() & out for served in before.values())
        lines = "\n".join(["product_id,in_stock", *(f"{one},0" for one in out)])
        said = run(products.products, "apply", "-", stdin=lines.encode()).output
        assert said.startswith("40 products changed for every reader, until a generation of ")
        assert wait_until(lambda: not out & popular(client), SECONDS)
        after = answered(client)
        assert not any(served.keys() & out for served in after.values())
        full = [len(after[route]) == len(before[route]) for route in ROUTES if "recommendations" in route]
        assert sum(full) >= 0.99 * len(full)
        for user in ("0", "nobody"):
            mail = mailed(run, tmp_path, user).splitlines()
            offered = {line.rpartition(" ")[2] for line in mail if line.startswith("- ")}
            assert len(offered) == 4
            assert not offered & out
        shown = json.loads(run(show.show, "0", "--limit", "50", "--json").output)["list"]
        assert not {row["product_id"] for row in shown} & out
        assert stores.live() == 1  # no new generation
        run(products.products, "clear", "--all")
        assert wait_until(lambda: bool(out & popular(client)), SECONDS)
        assert answered(client) == before


def test_a_new_price_is_in_every_answer_that_shows_one(stores: Stores, run: Run) -> None:
    publish(stores)
    with api(stores.settings) as client:

        def prices() -> set[float | None]:
            return {served["p007"] for served in answered(client).values() if "p007" in served}

        assert prices() == {4.0, None}  # E1 shows no price
        run(products.products, "price", "p007", "3.49")
        assert wait_until(lambda: prices() != {4.0, None}, SECONDS)
        assert prices() == {3.49, None}
        asked = {"user_id": "nobody", "num_recommendations": 5, "price_range_max": 3.5}
        found = client.post("/api/v1/recommendations", json=asked).json()["recommendations"]
        assert [(item["item_id"], item["item_price"]) for item in found] == [("p007", 3.49)]


def test_a_new_price_is_in_the_mail_without_a_discount_that_nobody_gives(
    stores: Stores, run: Run, tmp_path: Path
) -> None:
    publish(stores)
    assert mailed(run, tmp_path, "nobody").count("€4.00 (instead of €5.00, 20 % off)") == 4
    run(products.products, "price", "p000", "4.50")
    run(products.products, "price", "p001", "6")
    run(products.products, "price", "p002", "4.00")  # as before: its list price still stands beside it
    offers = mailed(run, tmp_path, "nobody").split("\n- ")[1:]
    for offer, price in zip(
        offers, ("€4.50", "€6.00", "€4.00 (instead of €5.00", "€4.00 (instead of €5.00"), strict=True
    ):
        assert price in offer
        assert ("instead of" in offer) == ("instead of" in price)


def test_words_for_people_and_for_programs(stores: Stores, run: Run, tmp_path: Path) -> None:
    publish(stores)
    today = datetime.now(ZoneInfo(stores.home.config.time_zone)).date()
    assert run(products.products, "list").output.startswith("nothing was told")
    assert run(products.products, "sold-out", "p000", "new\x1b[2J").stderr == (
        "warning: 1 that the live catalogue does not know; kept: new [2J\n"
    )
    run(products.products, "in-stock", "p001")
    run(products.products, "price", "p001", "2.5")
    assert run(products.products, "list").output.splitlines() == [
        f"{today}  {'sold out':<24} new [2J",
        f"{today}  {'sold out':<24} p000",
        f"{today}  {'in stock, €2.50':<24} p001",
    ]
    found = json.loads(run(products.products, "list", "--json").output)
    assert [
        (row["product_id"], row["in_stock"], row["price_micros"], row["day"], row["holds"]) for row in found[1:]
    ] == [
        ("p000", False, None, str(today), True),
        ("p001", True, 2_500_000, str(today), True),
    ]
    done = json.loads(run(products.products, "sold-out", "p002", "unheard", "--json").output)
    assert done == {"products": 2, "unknown": ["unheard"], "cache_problem": None, "day": str(today)}
    done = run(products.products, "clear", "p000", "p000", "p100")
    assert done.stdout == "1 products are as the catalogue says again\n"
    assert "1 of which nothing was told: p100" in done.stderr


def test_what_is_over_is_said(stores: Stores, run: Run) -> None:
    publish(stores)
    run(products.products, "sold-out", "p000")
    today = datetime.now(ZoneInfo(stores.home.config.time_zone)).date()
    stores.publisher.publish(today + timedelta(1), frames([stores.key("1")]), model_version="1", keep=5, progress=str)
    assert "(over: the live generation knows that day's catalogue)" in run(products.products, "list").output


def test_mistakes_change_nothing(stores: Stores, run: Run, tmp_path: Path) -> None:
    publish(stores)
    with pytest.raises(SettingsError, match="product 2 of the command line: this id is empty"):
        run(products.products, "sold-out", "p000", "")
    for amount in ("0", "-1", "1,5", "nan", "x"):
        with pytest.raises(SettingsError, match="is not a decimal number above 0"):
            run(products.products, "price", "--", "p000", amount)
    with pytest.raises(SourceError, match="standard input is refused, nothing was changed:\n  line 2: neither"):
        run(products.products, "apply", "-", stdin=io.BytesIO(b"product_id,in_stock\na,\n").read())
    with pytest.raises(SourceError, match="is not there"):
        run(products.products, "apply", str(tmp_path / "none.csv"))
    assert run(products.products, "clear").exit_code == 2
    assert run(products.products, "clear", "a", "--all").exit_code == 2
    assert run(products.products, "list").output.startswith("nothing was told")


def test_a_redis_that_is_away_is_told_and_no_error(stores: Stores, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(stores)
    monkeypatch.setenv("RECSYS_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    done = run(products.products, "sold-out", "p000")
    assert done.exit_code == 0
    assert "warning: Redis has no copy of it (Redis (RECSYS_REDIS_URL)" in done.stderr
    monkeypatch.setenv("RECSYS_REDIS_URL", stores.redis_url)
    assert "sold out" in run(products.products, "list").output
