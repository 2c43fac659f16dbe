"""`recsys compare` on lists whose differences are known."""

import json
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from click.testing import CliRunner, Result

from recsys_assets.commands.compare import compare
from recsys_assets.errors import NotFoundError
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import LISTS
from recsys_assets_tests.published import DAY, Stores, frame

BEFORE = DAY - timedelta(1)


@pytest.fixture
def run(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)
    return lambda *words: CliRunner().invoke(compare, words, catch_exceptions=False)


def computed(stores: Stores, day: date, lists: dict[str, list[str]], price_micros: int) -> None:
    rows = [
        {"person_key": stores.key(person), "product_id": product, "position": place, "price_micros": price_micros}
        for person, products in lists.items()
        for place, product in enumerate(products, 1)
    ]
    Lake(stores.home.lake).write(LISTS, day, frame(LISTS, rows))


def test_a_rebuilt_day_beside_the_live_one(stores: Stores, run: Callable[..., Result]) -> None:
    stores.publish(["1", "2"])  # each has a, b and an odd product
    computed(stores, DAY, {"1": ["a", "b"], "3": ["a"]}, 20_000_000)
    told = json.loads(run(str(DAY), "--json").output)
    assert (told["a"]["people"], told["b"]["people"], told["people_with_both"]) == (2, 2, 1)
    assert (told["a"]["places_per_person"], told["b"]["places_per_person"]) == (3 / 2, 6 / 2)
    assert (told["a"]["price_of_a_place"], told["b"]["price_of_a_place"]) == (20.0, 10 / 1_000_000)
    assert told["churn"] == pytest.approx(1 / 3)  # of the three live places of person 1, the odd product is gone
    printed = run(str(DAY)).output
    assert "Of the places of 1 people with both, 33.3% hold another product in A than in B." in printed
    assert "not measured" in printed
    assert f"The test's NDCG of both is that of {DAY} as it was computed last." in printed


def test_two_computed_days_without_anybody_in_common(stores: Stores, run: Callable[..., Result]) -> None:
    computed(stores, BEFORE, {"1": ["a"]}, 1_000_000)
    computed(stores, DAY, {"2": ["a"]}, 1_000_000)
    printed = run(str(BEFORE), str(DAY)).output
    assert "Nobody has a list on both sides" in printed
    assert "as it was computed last" not in printed


def test_what_is_not_there_is_told_with_how_to_have_it(stores: Stores, run: Callable[..., Result]) -> None:
    with pytest.raises(NotFoundError, match=f"`recsys run daily --day {DAY} --no-publish` computes them"):
        run(str(DAY))
    computed(stores, DAY, {"1": ["a"]}, 1_000_000)
    with pytest.raises(NotFoundError, match="nothing is live yet"):
        run(str(DAY))
    wrong = run("yesterday")
    assert (wrong.exit_code, "neither a day such as 2026-11-20 nor the word live" in wrong.output) == (2, True)
