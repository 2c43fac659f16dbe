"""A search on a made shop whose best knob is known."""

from datetime import date, timedelta

import polars as pl
import pytest

from recsys_assets.logic.search import overridden
from recsys_assets.logic.split import windows
from recsys_assets.models.searching import Found, Verdict, judged, search
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import always, catalog, event, events

AS_OF = date(2024, 6, 30)
WINDOW = windows(AS_OF, 7)["validation"]
SMALL = {
    "als": {"factors": 4, "iterations": 2},
    "evaluation": {"holdout_days": 7, "ks": (1, 5), "bootstrap": 100},
    "search": {"trials": 8, "windows": (10, 60)},
}
PRODUCTS = {f"i{number:02}": f"Kind {number % 3}" for number in range(12)}


def fashion() -> pl.DataFrame:
    """Long ago many bought i01, of late some bought i02: what those who know neither buy next, which windows see."""
    long_ago, of_late = WINDOW.cutoff - timedelta(days=60), WINDOW.cutoff - timedelta(days=3)
    made = [event(f"p{person:02}", "i00", long_ago) for person in range(30)]
    made += [event(f"p{person:02}", "i01", long_ago) for person in range(30, 70)]
    made += [event(f"p{person:02}", "i02", of_late) for person in range(70, 80)]
    made += [event(f"p{person:02}", "i02", WINDOW.cutoff + timedelta(days=2)) for person in range(30)]
    made += [event(f"p{person:02}", "i11", AS_OF) for person in range(30)]  # the test's week: must not be seen
    return events(*made)


def found(tuning: Tuning, given: pl.DataFrame | None = None) -> Found:
    made = search(
        fashion() if given is None else given,
        WINDOW,
        list(PRODUCTS),
        tuning,
        products=catalog(dict(PRODUCTS)),
        threads=1,
    )
    assert made is not None
    return made


@pytest.fixture(scope="module")
def whole() -> Found:
    return found(Tuning.model_validate(SMALL))


def test_the_planted_window_of_popularity_wins(whole: Found) -> None:
    assert whole.overrides["popularity.window_days"] == 30
    present, *_ = [trial for trial in whole.trials if trial.member == "popularity"]
    assert present.overrides == {}
    assert present.figure < max(trial.figure for trial in whole.trials if trial.member == "popularity")


def test_it_is_bounded_and_the_same_again(whole: Found) -> None:
    assert {trial.member for trial in whole.trials} == {"als", "item_cf", "popularity", "content"}
    assert len(whole.trials) <= 4 * 8
    assert found(Tuning.model_validate(SMALL)) == whole


def test_what_lies_after_the_window_changes_nothing(whole: Found) -> None:
    before = fashion().filter(pl.col("event_date") <= WINDOW.until)
    assert found(Tuning.model_validate(SMALL), before) == whole


def test_what_the_shop_has_set_stays(whole: Found) -> None:
    made = found(Tuning.model_validate(SMALL | {"popularity": {"window_days": 180}}))
    assert "popularity.window_days" not in made.overrides
    assert not any("popularity.window_days" in trial.overrides for trial in made.trials)
    assert not any(name in whole.overrides for name in ("als.factors", "als.iterations"))  # set above


def test_windows_are_compared_with_the_present_one(whole: Found) -> None:
    by_days = {one.days: one for one in whole.windows}
    assert list(by_days) == [10, 60, 365]
    assert by_days[10].blend > by_days[365].blend
    assert by_days[10].gain == pytest.approx(by_days[10].blend - by_days[365].blend)
    assert by_days[10].low > 0
    assert by_days[365].gain == by_days[365].low == by_days[365].high == 0


def test_people_read_which_knobs_won(whole: Found) -> None:
    told = "\n".join(whole.lines())
    assert "   10 days: NDCG@5" in told
    assert "'popularity.window_days': 30" in told


def test_a_shop_without_a_validation_window_is_not_searched() -> None:
    young = events(event("p", "i00", AS_OF))
    assert search(young, WINDOW, list(PRODUCTS), Tuning.model_validate(SMALL)) is None


def verdict(given: pl.DataFrame, winners: dict[str, object]) -> Verdict:
    home = Tuning.model_validate(SMALL | {"blend": {"kind": "default"}, "model_weights": {"als": 0, "item_cf": 0}})
    made = judged(given, WINDOW, always(list(PRODUCTS)), home, overridden(home, winners), threads=1)
    assert made is not None
    return made


def test_a_winner_is_adopted_where_a_window_of_its_own_says_so() -> None:
    made = verdict(fashion(), {"popularity.window_days": 30})
    assert made.people == 30
    assert made.adopted
    assert made.present + made.difference == pytest.approx(1)
    assert str(made).startswith("adopted: NDCG@5 of what would be published ")
    before = fashion().filter(pl.col("event_date") <= WINDOW.until)  # the test's week changes nothing
    assert verdict(before, {"popularity.window_days": 30}) == made


def test_a_winner_by_chance_is_not() -> None:
    made = verdict(fashion(), {"popularity.window_days": 180})
    assert made.low <= 0 <= made.high
    assert not made.adopted
    assert str(made).endswith("; it may be chance")


def test_of_few_people_no_winner_is_adopted() -> None:
    made = Verdict(10, 29, 0.1, 0.05, 0.01, 0.09)
    assert not made.adopted
    assert "fewer than 30 say nothing" in str(made)
