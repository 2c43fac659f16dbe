import pytest
from pydantic import ValidationError

from recsys_assets.logic.search import SPACE, knob, overridden, set_by_hand, trials
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
