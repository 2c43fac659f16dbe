import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsys_assets.commands.show import show
from recsys_assets.errors import NotFoundError, SettingsError
from recsys_assets.local.processes import free_port
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, LISTS, MICROS, USER_PROFILES
from recsys_assets_tests.published import DAY, Stores, frame, frames

GOLDEN = Path(__file__).parents[1] / "golden"
USER = "ann@example.org"
BEFORE = date(2024, 2, 28)
NAMES = {"tea": "Black tea, 250 g", "pot": "[bold]Teapot[/bold] :smile: [/x]\x1b[2J", "mug": None, "jam": "Plum jam"}
Show = Callable[..., str]


def bought(key: str, product: str, day: date, hour: int, **more: object) -> dict[str, object]:
    return {
        "event_id": f"{product} {day} {hour}",
        "event_type": "purchase",
        "event_time": datetime(day.year, day.month, day.day, hour, 5, tzinfo=UTC),
        "event_date": day,
        "user_key": key,
        "product_id": product,
        "quantity": 1,
        "unit_price_micros": 4_500_000,
    } | more


def fill_lake(stores: Stores) -> None:
    """Two days of events, the newer day's catalogue and profiles."""
    key, lake = stores.key(USER), Lake(stores.home.lake)
    other = bought(stores.key("other"), "jam", DAY, 23)
    looked = bought(key, "pot", DAY, 9, event_type="view", quantity=None, unit_price_micros=None)
    lake.write(CLEAN_EVENTS, BEFORE, frame(CLEAN_EVENTS, [bought(key, "tea", BEFORE, 18, quantity=2)]))
    lake.write(CLEAN_EVENTS, DAY, frame(CLEAN_EVENTS, [looked, bought(key, "mug", DAY, 10), other]))
    for day, suffix in ((BEFORE, " (old name)"), (DAY, "")):
        named = [{"product_id": product, "name": name and name + suffix} for product, name in NAMES.items()]
        lake.write(CATALOG, day, frame(CATALOG, named))
    profile = {"person_key": key, "user_type": "sparse", "spending_segment": "low_average", "orders": 2,
               "unique_items": 2, "last_purchase_date": DAY, "favourite_categories": ["Tea"]}  # fmt: skip
    lake.write(USER_PROFILES, DAY, frame(USER_PROFILES, [profile]))


def publish(stores: Stores) -> None:
    offered = [
        {"person_key": stores.key(USER), "rank": n, "product_id": product, "score": score, "confidence": 0.25,
         "price_micros": 12 * MICROS, "reason_code": "taste", "reason": "Picked for a taste", "purchased": False,
         "position": n}
        for n, (product, score) in enumerate((("pot", 0.9), ("jam", 0.5)), 1)
    ]  # fmt: skip
    products = [
        {"product_id": product, "name": name, "unit_price_micros": 12 * MICROS} for product, name in NAMES.items()
    ]
    whole = replace(frames([]), lists=frame(LISTS, offered), products=frame(CATALOG, products))
    stores.publisher.publish(DAY, whole, model_version="1", keep=5, progress=str)


@pytest.fixture
def screen(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Runs `recsys show` on the home, on a terminal of 100 columns; what it prints."""
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "100")

    def invoke(*arguments: str) -> str:
        return CliRunner().invoke(show, arguments, catch_exceptions=False).output

    return invoke


def test_the_screen(stores: Stores, screen: Show) -> None:
    fill_lake(stores)
    publish(stores)
    printed = screen(USER).replace(stores.key(USER), "0" * 32)  # another key in every home
    path = GOLDEN / "show.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(printed)
    assert printed == path.read_text()


def test_the_same_for_programs(stores: Stores, screen: Show) -> None:
    fill_lake(stores)
    publish(stores)
    told = json.loads(screen(USER, "--json"))
    assert told["key"] == "key:" + stores.key(USER)
    assert [(row["time"], row["event"], row["product"], row["name"], row["price"]) for row in told["history"]] == [
        ("2024-03-01 10:05+00:00", "purchase", "mug", None, "€4.50"),
        ("2024-03-01 09:05+00:00", "view", "pot", NAMES["pot"], ""),
        ("2024-02-28 18:05+00:00", "purchase", "tea", "Black tea, 250 g", "€4.50"),
    ]
    assert (told["profile"]["as_of"], told["profile"]["favourite_categories"]) == ("2024-03-01", ["Tea"])
    assert [(row["product_id"], row["price"], row["reason"]) for row in told["list"]] == [
        ("pot", "€12.00", "Picked for a taste"),
        ("jam", "€12.00", "Picked for a taste"),
    ]
    limited = json.loads(screen(told["key"], "--json", "--limit", "1"))  # what it prints can be asked with
    assert [len(limited[name]) for name in ("history", "list")] == [1, 1]
    assert limited["history"][0]["product"] == "mug"


def test_who_opted_out_has_a_history_and_no_list(stores: Stores, screen: Show) -> None:
    fill_lake(stores)
    publish(stores)
    stores.suppressions.optout(stores.key(USER))
    printed = screen(USER)
    assert "No list: opted out" in printed
    assert "Black tea" in printed


def test_before_anything_is_published_there_is_the_history(stores: Stores, screen: Show) -> None:
    fill_lake(stores)
    printed = screen(USER)
    assert "No list" in printed
    assert "Black tea" in printed


def test_who_never_bought_is_not_said_to_spend_none(stores: Stores, screen: Show) -> None:
    key, lake = stores.key("new"), Lake(stores.home.lake)
    looks = {"person_key": key, "user_type": "new", "orders": 0, "unique_items": 0}
    lake.write(USER_PROFILES, DAY, frame(USER_PROFILES, [looks]))
    printed = screen("new")
    assert "new" in printed.splitlines()[1]
    assert "None" not in printed


def test_a_cookies_history_is_found_by_its_own_key(stores: Stores, screen: Show) -> None:
    key = stores.home.keys.anon_key("cookie")
    line = bought("", "tea", DAY, 9, user_key=None, anon_key=key)
    Lake(stores.home.lake).write(CLEAN_EVENTS, DAY, frame(CLEAN_EVENTS, [line]))
    assert "tea" in screen("cookie", "--anon")
    with pytest.raises(NotFoundError, match="--anon"):
        screen("cookie")


def test_an_empty_id_is_refused(screen: Show) -> None:
    with pytest.raises(SettingsError, match="this id is empty"):
        screen("")


@pytest.fixture
def failed(stores: Stores) -> Callable[..., str]:
    """What `recsys show` says on stderr, as a process of its own that ends with exit code 1."""

    def run(*arguments: str, code: int = 1, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "recsys_assets.cli", "show", *arguments],
            env=os.environ | stores.environment | environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (code, "")
        return done.stderr

    return run


def test_an_unknown_user_ends_with_one_sentence_and_exit_code_1(stores: Stores, failed: Callable[..., str]) -> None:
    fill_lake(stores)
    publish(stores)
    said = failed("nobody")
    assert said.startswith("recsys: nothing is known of 'nobody'")
    assert said.count("\n") == 1


def test_without_postgres_it_ends_with_one_message_and_exit_code_3(failed: Callable[..., str]) -> None:
    said = failed(USER, code=3, RECSYS_POSTGRES_URL=f"postgresql://app:secret@127.0.0.1:{free_port()}/x")
    assert "RECSYS_POSTGRES_URL" in said
    assert "Traceback" not in said
