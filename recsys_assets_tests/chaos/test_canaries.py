"""People with recognisable ids through every stage, erased over HTTP: no byte of them is left anywhere."""

import csv
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis

from recsys_assets.commands.email import write_order_confirmation
from recsys_assets.commands.run import launch
from recsys_assets.local.processes import wait_until
from recsys_assets.local.up import Platform, platform
from recsys_assets.settings import Home, Settings, Source
from recsys_assets.stores.export import Format, Wanted, export_lists
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import Tokens
from recsys_assets_tests.assets import made_shop
from recsys_assets_tests.assets.made_shop import FIRST, LAST
from recsys_assets_tests.chaos.searched import found, places

USER, COOKIE, GUEST, ODD = "canary-user-🥖/7f3a", "canary-cookie-52c1", "canary-guest-90be", "canary 'odd\" 4d\\e"
SESSION, ORDER, TV = "canary-session-a11c", "canary-order-3b9d", "a family's television"
NEIGHBOUR = "person 5"
GONE = (USER, COOKIE, GUEST, ODD, SESSION, ORDER)
SERVICES = ("dagster-webserver", "dagster-daemon", "api")
COLUMNS = ("event_type", "event_time", "user_id", "anon_id", "session_id", "product_id", "quantity", "unit_price",
           "currency", "order_id")  # fmt: skip


def bought(product: int, hour: int, **who: str) -> dict[str, str]:
    return {
        "event_type": "purchase", "event_time": f"{LAST}T{hour:02}:00:00Z", "product_id": f"p{product}",
        "quantity": "1", "unit_price": "2.50", "currency": "EUR", **who,
    }  # fmt: skip


ROWS = (
    bought(2, 8, anon_id=COOKIE),  # before the login: theirs by the merge alone
    bought(4, 9, user_id=USER, anon_id=COOKIE, session_id=SESSION, order_id=ORDER),
    bought(6, 9, user_id=USER, quantity="0"),  # rejected
    bought(8, 10, anon_id=GUEST),
    bought(10, 10, anon_id=GUEST, event_type="teleport"),  # rejected
    bought(12, 11, user_id=ODD),
    bought(14, 12, user_id=USER, anon_id=TV),
    bought(16, 12, user_id=NEIGHBOUR, anon_id=TV),
    bought(18, 13, anon_id=TV),  # of one of them, nobody knows of whom
)


def deliver(folder: Path, name: str, rows: tuple[dict[str, str], ...]) -> None:
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def shop(make_home: Callable[..., Home], tmp_path: Path) -> Home:
    files = tmp_path / "files"
    made_shop.write(files)
    deliver(files, f"canaries-{LAST}.csv", ROWS)
    told = [{"user_id": USER, "consent": True, "locale": "de-DE"}, {"user_id": NEIGHBOUR, "consent": True}]
    (files / "users.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    source = Source(format="contract", path=str(files))
    return make_home(first_day=FIRST, last_day=LAST, sources=(source,))


def made_files(shop: Home, running: Platform, scratch: Path) -> None:
    """What people make of the lists: an export with ids, and an e-mail."""
    keys = shop.keys
    ids = {keys.user_key(name): name for name in (USER, ODD, NEIGHBOUR)}
    shop.exports.mkdir(exist_ok=True)
    formats: tuple[Format, ...] = ("csv", "parquet")
    for made in formats:
        postgres, out = Postgres(running.servers.postgres_url), shop.exports / f"lists.{made}"
        export_lists(postgres, keys, out, made, Wanted(ids=ids), shop.config.currency)
    line = {"product_id": "p4", "name": "Product 4", "quantity": 1, "unit_price": 2.5}
    order = {"order_id": ORDER, "currency": "EUR", "lines": [line]}
    (scratch / "order.json").write_text(json.dumps(order))
    write_order_confirmation(running.servers, shop, keys.user_key(USER), scratch / "order.json", shop.exports / "mail")


def of_redis(running: Platform, shop: Home, names: tuple[str, ...]) -> list[str]:
    """Keys of lists in Redis, which stands people under their marks."""
    marks = {shop.keys.mark(make(name)) for name in names for make in (shop.keys.user_key, shop.keys.anon_key)}
    with redis.Redis.from_url(running.servers.redis_url, decode_responses=True) as client:
        return [key for key in client.scan_iter("recsys:*:list:*") if key.rpartition(":")[2] in marks]


@pytest.mark.timeout(1200)  # two nights, the daemon and its sensor: some three minutes where nothing else runs
@pytest.mark.filterwarnings("ignore")  # of Dagster's GraphQL client and of what it stands on
def test_nothing_is_left_of_the_erased(shop: Home, tmp_path: Path, make_settings: Callable[..., Settings]) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with platform(make_settings(), shop, SERVICES, print) as running:
        launch(running, "history", (FIRST, LAST), print)
        launch(running, "daily", (LAST, LAST), print)
        made_files(shop, running, scratch)
        token = Tokens(Postgres(running.servers.postgres_url)).make("canaries", ("writes",), timedelta(1)).token
        with httpx.Client(base_url=running.address("api"), timeout=30) as client:

            def ask(**who: str) -> dict[str, Any]:
                answer = client.get("/api/recommendations", params=who)
                assert answer.status_code == 200, answer.text
                told: dict[str, Any] = answer.json()
                return told

            assert wait_until(lambda: ask(userId=USER)["fallback"] is None, 30)
            assert ask(anonId=GUEST)["fallback"] is None
            assert ask(anonId=TV)["fallback"] is not None  # a device of two people has no list
            looked_at = {place.split("/")[0] for place, _ in places(shop, running.servers, scratch)}
            databases = {f"postgres {name}" for name in ("recsys", "dagster", "mlflow")}
            folders = {"valkey", "lake", "mlflow", "dagster", "data_docs", "dbt_docs", "logs", "exports"}
            assert looked_at >= databases | folders | {"redis"}
            before = found(shop, running.servers, scratch, GONE)
            there = {
                name: {place.split("/")[1] for place in seen if place.startswith("lake/")}
                for name, seen in before.items()
            }
            events = {"landing_events", "clean_events"}
            made = {"interactions", "steps", "candidates", "lists", "user_profiles"}
            assert there[USER] >= events | made | {
                "rejected_events",
                "sessions",
                "landing_users",
                "users",
                "identities",
            }
            assert there[COOKIE] >= events | {"identities"}
            assert there[GUEST] >= events | made | {"rejected_events"}
            assert there[ODD] >= events | made
            assert there[SESSION] >= events
            assert {"postgres recsys", "exports/lists.csv", "exports/lists.parquet decoded"} <= before[USER] & before[
                ODD
            ]
            assert any(place.startswith("exports/mail/") for place in before[ORDER])
            assert len(of_redis(running, shop, GONE)) == 3

            receipts = []
            for name, kind in ((USER, "user"), (GUEST, "anon"), (ODD, "user")):
                path = f"/api/users/{quote(name, safe='')}"
                answer = client.delete(path, params={"kind": kind}, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 202, answer.text
                receipts.append(answer.json()["receipt"])
            assert ask(userId=USER)["fallback"] is not None

            def state(receipt: str) -> dict[str, Any]:
                told: dict[str, Any] = client.get(f"/api/erasures/{receipt}").json()
                return told

            # The daemon's sensor sees them and runs the job `erase`.
            assert wait_until(lambda: all(state(one)["status"] == "done" for one in receipts), 180, every=0.5)
            stores = {line["store"] for line in state(receipts[0])["stores"] if line["count"]}
            assert {f"lake: {table}" for table in events | made} | {"exports", "e-mails", "Redis lists"} <= stores
            nowhere: dict[str, set[str]] = {name: set() for name in GONE}
            assert found(shop, running.servers, scratch, GONE) == nowhere
            assert of_redis(running, shop, GONE) == []
            left = found(shop, running.servers, scratch, (NEIGHBOUR, TV))
            assert {"postgres recsys", "exports/lists.csv"} <= left[NEIGHBOUR]
            assert any(place.startswith("lake/clean_events") for place in left[TV])

            # The shop sends it all again, and more.
            folder = Path(shop.config.sources[0].path)
            deliver(folder, f"again-{LAST}.csv", (*ROWS, bought(20, 14, user_id=USER), bought(22, 14, anon_id=COOKIE)))
            (folder / f"canaries-{LAST}.csv").touch()
            launch(running, "daily", (LAST, LAST), print)
            assert found(shop, running.servers, scratch, GONE) == nowhere
            assert ask(anonId=TV)["fallback"] is not None  # the other user of the device has not inherited it
