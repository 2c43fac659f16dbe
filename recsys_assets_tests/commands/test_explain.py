import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from recsys_assets.commands.explain import explain
from recsys_assets.errors import NotFoundError
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.ranking import Ranking
from recsys_assets.settings import Home, load_settings, open_home
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import (
    CANDIDATES,
    CATALOG,
    INTERACTIONS,
    ITEM_STATS,
    LISTS,
    MICROS,
    REPURCHASE_CYCLES,
    RULE_EFFECTS,
    USER_PROFILES,
)
from recsys_assets_tests.published import DAY, frame

GOLDEN = Path(__file__).parents[1] / "golden"
USER = "ann@example.org"
# Product → price, category, brand, level-1 score, days since it was bought (None: never), more of the catalogue.
PRODUCTS: dict[str, tuple[int, str, str, float | None, int | None, dict[str, Any]]] = {
    "tea": (4, "Food > Tea", "Ada", 0.99, 3, {"name": "Black tea, 250 g"}),
    "oats": (4, "Food > Cereal", "Bo", 0.95, 60, {"name": "Oats"}),
    "pot": (5, "Home > Tea", "Ada", 0.9, None, {"name": "[bold]Teapot[/bold]\x1b[2J"}),
    "samovar": (40, "Home > Tea", "Ada", 0.8, None, {"name": "Samovar"}),
    "mug": (4, "Home > Mugs", "Ada", 0.7, None, {"name": "Mug, white", "parent_id": "mugs"}),
    "mug2": (4, "Home > Mugs", "Ada", 0.6, None, {"name": "Mug, blue", "parent_id": "mugs"}),
    "jam": (3, "Food > Jam", "Cy", 0.5, None, {"name": "Plum jam"}),
    "milk": (1, "Food > Milk", "Cy", 0.4, 9, {"name": "Milk"}),
    "rum": (9, "Food > Rum", "Cy", 0.3, None, {"name": "Rum", "not_recommendable": "banned"}),
    "gone": (9, "Food > Rum", "Cy", None, None, {"name": "Gone", "not_recommendable": "out_of_stock"}),
    "salt": (1, "Food > Salt", "Cy", None, None, {}),
}
TUNING = """
[tuning]
served_new_at_least = 20
served_list_size = 21
bans = ["rum"]
pins = ["jam"]
repurchase_cycle.enabled = true
diversity.category_cap = 1
"""


def fill_lake(home: Home) -> None:
    """One day of one person, ranked by Level 2 itself."""
    key, lake = home.keys.user_key(USER), Lake(home.lake)
    goods, stats, cycles, pool, bought = [], [], [], [], []
    for product, (price, category, brand, score, days, more) in PRODUCTS.items():
        about = {"product_id": product, "unit_price_micros": price * MICROS, "category": category, "brand": brand}
        goods.append(about | more)
        stats.append({"product_id": product, "recent_buyers": 3, "price_tier": "mid"})
        seen = {"intervals": 40, "source": "item"} if product == "tea" else {"intervals": 0, "source": "category"}
        cycles.append({"product_id": product, "cycle_days": 30.0} | seen)
        pair = {"person_key": key, "product_id": product}
        if score is not None:
            said = {"score": score, "als": score, "popularity": 0.25, "purchased": days is not None, "similar_owned": 0}
            pool.append(pair | said)
        if days is not None:
            bought.append(pair | {"purchases": 2, "last_purchase_date": DAY - timedelta(days)})
    profile = {"person_key": key, "average_item_price_micros": 4 * MICROS, "spending_segment": "small"}
    of = (CATALOG, ITEM_STATS, INTERACTIONS, USER_PROFILES, REPURCHASE_CYCLES)  # in the order that Level 2 takes
    known = [frame(table, rows) for table, rows in zip(of, (goods, stats, bought, [profile], cycles), strict=True)]
    choices = Choices(True, 1.0, 1.0, ((0.0, 1.0), (0.0, 0.5)), ((0.0, 1.0), (0.0, 0.5)))
    candidates = frame(CANDIDATES, pool)
    ranked = Ranking(*known, as_of=DAY, choices=choices, tuning=home.config.tuning).rank(candidates)
    made = (*known, candidates, ranked.lists, ranked.effects)
    for table, rows in zip((*of, CANDIDATES, LISTS, RULE_EFFECTS), made, strict=True):
        lake.write(table, DAY, rows)
    lake.put_text("choices", DAY, "choices.json", json.dumps(choices.to_json()))


@pytest.fixture
def tuned(home: Home) -> Home:
    path = home.path / "home.toml"
    path.write_text(path.read_text() + TUNING)
    return open_home(load_settings({"RECSYS_HOME": str(home.path)}))


@pytest.fixture
def screen(tuned: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs `recsys explain` on a home without servers; what it prints."""
    monkeypatch.setenv("RECSYS_HOME", str(tuned.path))

    def invoke(*arguments: str) -> str:
        return CliRunner().invoke(explain, arguments, catch_exceptions=False).output

    return invoke


def test_the_screen(tuned: Home, screen: Callable[..., str]) -> None:
    fill_lake(tuned)
    printed = screen(USER).replace(tuned.keys.user_key(USER), "0" * 32)  # another key in every home
    path = GOLDEN / "explain.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(printed)
    assert printed == path.read_text()


def test_the_same_for_programs(tuned: Home, screen: Callable[..., str]) -> None:
    fill_lake(tuned)
    told = json.loads(screen(USER, "--json", "--limit", "2"))
    assert (told["key"], told["day"]) == ("key:" + tuned.keys.user_key(USER), "2024-03-01")
    first, second = told["list"]
    assert (first["product_id"], first["position"], first["rules"]) == ("jam", 1, ["pinned by the shop as number 1"])
    assert (second["product_id"], second["level_1_score"], second["members"]) == (
        "pot", pytest.approx(0.9), {"als": pytest.approx(0.9), "popularity": 0.25},
    )  # fmt: skip
    assert [one["product_id"] for one in told["taken_out"]] == ["tea", "samovar"]
    assert len(json.loads(screen(told["key"], "--json"))["list"]) == 4


@pytest.mark.parametrize(
    ("product", "said"),
    [
        ("tea", "left out: bought 3 days ago, and people buy it again after 30 days (40 intervals); it waits 1 × that"),
        ("milk", "left out: bought 9 days ago, and people buy a product of its category again after 30 days"),
        ("pot", "score × 1.090: costs €5.00, more than the usual €4.00 and within the budget of 1.5 × that"),
        ("samovar", "score × 0.150: costs €40.00, beyond the budget of 1.5 × the usual €4.00"),
        ("samovar", "not served: 1 of the products of Home > Tea stand above it, and no more may"),
        ("mug2", "left out: 1 of the products of mugs stand above it, and no more may"),
        ("rum", "left out: banned by the shop"),
        ("gone", "left out: out of stock"),
        ("salt", "left out: 9 products score higher, the last of them 0.300"),
        ("nothing", "left out: the catalogue of 2024-03-01 does not hold it"),
    ],
)
def test_why_a_product_stands_where_it_stands(product: str, said: str, tuned: Home, screen: Callable[..., str]) -> None:
    fill_lake(tuned)
    assert said in screen(USER, product)
    assert any(rule.startswith(said) for rule in json.loads(screen(USER, product, "--json"))["product"]["rules"])


def test_what_was_bought_is_not_listed_where_repeats_are_not(tuned: Home, screen: Callable[..., str]) -> None:
    fill_lake(tuned)
    lake = Lake(tuned.lake)
    for table in (CANDIDATES, LISTS):
        lake.write(table, DAY, lake.read(table, DAY).filter(pl.col("product_id") != "oats"))
    never = Choices(False, 1.0, 1.0)
    lake.put_text("choices", DAY, "choices.json", json.dumps(never.to_json()))
    assert "bought 60 days ago, and lists of this shop hold nothing that was bought before" in screen(USER, "oats")


def test_before_there_are_lists_it_says_so(screen: Callable[..., str]) -> None:
    with pytest.raises(NotFoundError, match="there are no lists yet"):
        screen(USER)


def test_an_unknown_user_ends_with_one_sentence_and_exit_code_1(tuned: Home) -> None:
    fill_lake(tuned)
    done = subprocess.run(
        [sys.executable, "-m", "recsys_assets.cli", "explain", "nobody"],
        env=os.environ | {"RECSYS_HOME": str(tuned.path)}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("recsys: the lists of 2024-03-01 hold nobody who is 'nobody'")
    assert done.stderr.count("\n") == 1
