from datetime import date

import pytest
from pydantic import ValidationError

from recsys_assets.logic.search import SPACE, Searched, Undone, in_force, knob, overridden, set_by_hand, trials
from recsys_assets.tuning import Tuning


@pytest.mark.parametrize("member", list(SPACE))
def test_every_value_that_may_be_tried_is_one_that_its_knob_takes(member: str) -> None:
    for name, values in SPACE[member].items():
        assert knob(Tuning(), name) in values, f"the present {name} is among those tried"
        for value in values:
            assert knob(overridden(Tuning(), {name: value}), name) == value


@pytest.mark.parametrize("member", list(SPACE))
def test_trials_are_different_bounded_and_drawn_by_the_seed(member: str) -> None:
    one, same, other = (trials(member, Tuning(), 6, seed) for seed in (1, 1, 2))
    assert one == same
    assert one[0] == {}
    assert len({tuple(sorted(trial.items())) for trial in one}) == len(one) == 6
    assert all(knob(Tuning(), name) != value for trial in one for name, value in trial.items())
    assert one != other
    assert trials(member, Tuning(), 1, 1) == [{}]


def test_what_the_shop_has_set_is_neither_tried_nor_overridden() -> None:
    home = Tuning.model_validate({"als": {"factors": 16}, "window_days": 200})
    assert set_by_hand(home) == {"als.factors", "window_days"}
    assert all("als.factors" not in trial for trial in trials("als", home, 100, 0))
    made = overridden(home, {"als.factors": 128, "als.iterations": 15, "item_cf.neighbours": 200})
    assert (made.als.factors, made.als.iterations, made.item_cf.neighbours) == (16, 15, 200)
    assert made.window_days == 200
    assert overridden(home, {}) == home


def test_a_knob_that_is_no_more_is_refused() -> None:
    with pytest.raises(ValidationError):
        overridden(Tuning(), {"als.colour": "red"})


def day(number: int) -> date:
    return date(2024, 6, number)


def searched(number: int, *, adopted: bool = True, at: str = "1") -> Searched:
    """A search of a day, which looked at what lies a week back and more."""
    return Searched(day(number), at, adopted, {"als.factors": number}, day(number - 7), {}, "", ())


@pytest.mark.parametrize(
    ("on", "cutoff", "holds"),
    [
        (9, 8, None),  # before the first
        (10, 8, 10),
        (10, 2, None),  # of an older window, on which it was tuned
        (15, 8, 10),  # a search that was not adopted changes nothing
        (20, 13, 20),
        (20, 12, 10),
        (21, 14, 10),  # undone by then
    ],
)
def test_the_newest_adopted_search_holds_for_windows_after_what_it_has_seen(
    on: int, cutoff: int, holds: int | None
) -> None:
    records: list[Searched | Undone] = [searched(10), searched(15, adopted=False), searched(20)]
    records.append(Undone(day(21), day(20), "2", "by hand"))
    found = in_force(records, day(on), day(cutoff))
    assert (found and found.day.day) == holds


def test_a_search_that_is_run_again_after_it_was_undone_holds() -> None:
    undone = Undone(day(21), day(20), "2", "by hand")
    records: list[Searched | Undone] = [searched(20), undone]
    assert in_force(records, day(21), day(20)) is None
    again = searched(20, at="3")
    assert in_force([again, undone], day(21), day(20)) == again


def test_a_search_starts_from_what_is_in_force() -> None:
    present = {"popularity.window_days": 30}
    made = trials("popularity", Tuning(), 100, 0, present)
    assert made[0] == {}
    assert {"popularity.window_days": 0} in made
    assert all(trial.get("popularity.window_days") != 30 for trial in made)
