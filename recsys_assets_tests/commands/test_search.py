"""`recsys search show | undo`, on records as searches leave them in the lake."""

import json
from collections.abc import Callable
from datetime import date

import pytest
from click.testing import CliRunner

from recsys_assets.commands import search
from recsys_assets.errors import NotFoundError
from recsys_assets.logic.search import Searched
from recsys_assets.settings import Home
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.searches import Searches

FIRST, LAST = date(2024, 3, 1), date(2024, 4, 20)
VERDICT = "judged on 2024-03-24 to 2024-04-06: adopted: NDCG@10 .0312"


@pytest.fixture
def shop(make_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch) -> Home:
    home = make_home(first_day=FIRST, last_day=LAST)
    monkeypatch.setenv("RECSYS_HOME", str(home.path))
    return home


def called(name: str, *words: str) -> str:
    return CliRunner().invoke(search.search, [name, *words], catch_exceptions=False).output


def found(day: date, value: int, *, adopted: bool = True) -> Searched:
    seen = date.fromordinal(day.toordinal() - 14)
    verdict = VERDICT if adopted else "not adopted: it may be chance"
    return Searched(day, f"{day}T12:00:00", adopted, {"als.factors": value}, seen, {"low": 0.1}, verdict, (verdict,))


def test_a_shop_that_has_searched_nothing_gets_a_sentence(shop: Home) -> None:
    told = called("show")
    assert "no found knobs are in force" in told
    assert "`recsys run search` looks for better knobs" in told
    with pytest.raises(NotFoundError, match="there is nothing to undo"):
        called("undo")


def test_what_is_in_force_is_shown_and_undone_step_by_step(shop: Home) -> None:
    kept = Searches(Lake(shop.lake_url))
    for one in (found(date(2024, 4, 1), 32), found(date(2024, 4, 10), 128), found(LAST, 64, adopted=False)):
        kept.record(one, {})
    told = called("show")
    assert "in force since 2024-04-10: als.factors = 128\n" in told
    assert VERDICT in told
    assert "newest search, of 2024-04-20: not adopted: it may be chance" in told

    told = called("undo")
    assert f"the search of 2024-04-10 holds no more from {LAST} on: als.factors = 128 is taken back" in told
    assert "in force now: als.factors = 32" in told
    assert "undone by `recsys search undo`" in called("show")
    assert json.loads(called("undo", "--json"))["in_force"] is None
    shown = json.loads(called("show", "--json"))
    assert (shown["in_force"], [one["of"] for one in shown["undone"]]) == (None, ["2024-04-10", "2024-04-01"])


def test_a_record_of_before_there_were_verdicts_is_in_force(shop: Home) -> None:
    lake = Lake(shop.lake_url)
    lake.put_text("search", FIRST, "winner.json", json.dumps({"overrides": {"als.factors": 32}, "tried": {}}))
    told = called("show")
    assert f"in force since {FIRST}: als.factors = 32" in told
    assert "found before searches were judged" in told
