"""What is known of people at the end of a day: its arithmetic, and that nothing after the day is seen."""

import math
import random
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_assets.logic.intents import companions, labelled
from recsys_assets.logic.plan_states import (
    AFTER,
    CATEGORY_FEATURES,
    FADE_DAYS,
    LATELY_DAYS,
    PERSON_FEATURES,
    SHOPWIDE,
    Habits,
    States,
    states,
)
from recsys_assets.tuning import Tuning
from recsys_assets_tests.logic.plan_shops import Row, cycles, day, did, goods, shop

TUNING = Tuning(k_anonymity=1)
GOODS = goods(
    {
        "cheap": ("Home > Pans", 1.0),
        "mid": ("Home > Pans", 20.0),
        "dear": ("Home > Pans", 300.0),
        "lid": ("Home > Lids", 20.0),
        "card": ("Gift > Cards", 20.0),
        "rye": ("Food > Bread", 20.0),
        "odd": (None, None),
    }
)


def states_of(given_rows: list[Row], number: int) -> States:
    """States at the end of a day of a shop that goes on."""
    seen = shop(given_rows, GOODS).until(day(number))
    pairs = companions(seen, TUNING)
    return states(seen, labelled(seen, pairs, cycles({"rye": 14.0}), TUNING), pairs, day(number))


def person(made: States, name: str) -> dict[str, float | None]:
    return made.people.row(by_predicate=pl.col("person_key") == name, named=True)


def pair(made: States, name: str, category: str) -> dict[str, float | None]:
    return made.categories.row(
        by_predicate=(pl.col("person_key") == name) & (pl.col("category") == category), named=True
    )


ANN = [
    did("ann", "rye", 0, price=2, order="1"),
    did("ann", "mid", 10, price=8, order="2"),
    did("ann", "lid", 10, price=2, order="2"),
    did("ann", "rye", 14, price=4, order="3"),
]


def test_what_was_bought_is_counted_and_timed() -> None:
    ann = person(states_of(ANN, 20), "ann")
    assert ann["_baskets"] == 3
    assert ann["_lines"] == 4
    assert ann["_since"] == 20 - 14
    assert ann["_gap"] == (10 + 4) / 2
    assert ann["_overdue"] == 6 / 7
    assert ann["_quick"] == 1 / 3  # the third, 4 days after the second
    assert ann["_price"] == pytest.approx((math.log(2e6) + math.log(4e6)) / 2)  # of 2, 2, 4, 8
    assert ann["_repeats"] == 1 / 4  # rye
    assert ann["_new_rate"] == 3 / 4


def test_intents_are_counted_with_the_shops_habit_as_two_baskets() -> None:
    ann = person(states_of(ANN, 20), "ann")
    # Pans after bread go together (one pair is enough here), rye after 14 days is within twice its cycle.
    assert [
        intent for intent in ("gift", "upgrade", "accessory", "replenish", "explore") if ann[f"_last_{intent}"]
    ] == ["replenish"]
    assert ann["_was_replenish"] == pytest.approx((1 + 2 * 1 / 3) / (3 + 2))
    assert ann["_was_gift"] == 0
    assert sum(ann[name] or 0.0 for name in PERSON_FEATURES if name.startswith("_was_")) == pytest.approx(1)


def test_looks_of_the_last_fortnight_are_told_apart() -> None:
    looks = [
        did("ann", "rye", 20 - LATELY_DAYS, "view"),  # too old
        did("ann", "rye", 21 - LATELY_DAYS, "view"),
        did("ann", "card", 20, "view", at=1),
        did("ann", "dear", 20, "add_to_cart", at=2),
        did("ann", "lid", 9, "add_to_cart", at=3),  # bought on day 10
    ]
    made = states_of([*ANN, *looks], 20)
    ann = person(made, "ann")
    assert (ann["_looked"], ann["_carted"], ann["_open_cart"]) == (4, 2, 1)
    taken_out = did("ann", "dear", 20, "remove_from_cart", at=9)
    assert person(states_of([*ANN, *looks, taken_out], 20), "ann")["_open_cart"] == 0
    tomorrow = taken_out | {"event_date": day(21)}
    assert person(states_of([*ANN, *looks, tomorrow], 20), "ann")["_open_cart"] == 1
    assert (ann["_look_days"], ann["_look_since"]) == (3, 0)
    assert ann["_look_gift"] == 1 / 4
    assert ann["_look_known"] == 2 / 4  # rye and lids had been bought
    assert pair(made, "ann", "Home > Pans")["_looked_share"] == 1 / 4
    assert pair(made, "ann", "Home > Pans")["_carted_share"] == 1 / 2


def test_who_only_looked_is_known_without_baskets() -> None:
    made = states_of([*ANN, did("bob", "card", 20, "view")], 20)
    bob = person(made, "bob")
    assert (bob["_baskets"], bob["_looked"], bob["_since"], bob["_price"]) == (0, 1, None, None)
    cards = pair(made, "bob", "Gift > Cards")
    assert (cards["_looked_share"], cards["_main_share"], cards["_shop_share"]) == (1, 0, 0)
    bread = pair(made, "bob", "Food > Bread")
    assert bread["_main_share"] == pytest.approx(2 / 3)  # all that is known of somebody new


def test_a_persons_categories_say_how_much_how_long_ago_and_what_goes_with_the_last() -> None:
    made = states_of(ANN, 20)
    bread, pans = pair(made, "ann", "Food > Bread"), pair(made, "ann", "Home > Pans")
    old, new = 0.5 ** (20 / FADE_DAYS), 0.5 ** (6 / FADE_DAYS)
    other = 0.5 ** (10 / FADE_DAYS)  # of pans, and of lids
    assert bread["_faded_share"] == pytest.approx((old + new) / (old + new + 2 * other))
    assert bread["_spend_share"] == 6 / 16
    assert bread["_main_share"] == pytest.approx((2 + 0.5 * 2 / 3) / (3 + 0.5))
    assert (bread["_bought"], bread["_category_since"], bread["_category_overdue"]) == (2, 6, 6 / 14)
    assert (bread["_last_main"], pans["_last_main"]) == (1, 0)
    assert (bread["_shop_share"], pans["_shop_share"]) == (2 / 3, 1 / 3)
    assert pans["_category_overdue"] is None  # bought once
    assert pans["_lift"] == 0 or (pans["_lift"] or 0) > 1


def test_a_shop_without_prices_has_no_spending_and_no_nan() -> None:
    free = [one | {"unit_price_micros": None} for one in ANN]
    made = states_of(free, 20)
    assert made.categories["_spend_share"].to_list() == [0.0] * made.categories.height
    for frame in (made.people, made.categories):
        assert not frame.select(pl.col(pl.Float64).is_nan().any()).row(0).count(True)
    assert person(made, "ann")["_price"] is None


def test_everybody_is_asked_about_their_own_the_shops_and_what_goes_with_the_last() -> None:
    names = [f"c{number:02}" for number in range(SHOPWIDE + 8)]
    many = goods({name: (f"All > {name}", 1.0) for name in names})
    # Every category is bought by one more than the one before.
    given_rows = [did(f"{name} {buyer}", name, 0) for place, name in enumerate(names) for buyer in range(place + 1)]
    given_rows.append(did("new", names[0], 1, "view"))
    seen = shop(given_rows, many)
    pairs = companions(seen, TUNING)
    made = states(seen, labelled(seen, pairs, cycles({}), TUNING), pairs, day(1))
    assert made.shares["category"][0] == f"All > {names[-1]}"
    new = made.categories.filter(pl.col("person_key") == "new")["category"].to_list()
    assert new == sorted([f"All > {names[0]}", *(f"All > {name}" for name in names[-SHOPWIDE:])])
    assert AFTER < SHOPWIDE


@pytest.mark.parametrize("given_rows", [[], [did("ann", "rye", 30)], [did("ann", "rye", 0, "view")], ANN[:1]])
def test_hardly_anything_known_still_has_every_column(given_rows: list[Row]) -> None:
    made = states_of(given_rows, 20)
    assert made.people.columns == ["person_key", *PERSON_FEATURES]
    assert made.categories.columns == ["person_key", "category", *CATEGORY_FEATURES]
    assert set(made.people.dtypes[1:]) | set(made.categories.dtypes[2:]) == {pl.Float64}
    assert made.people.height == sum(
        1 for one in given_rows if isinstance(d := one["event_date"], date) and d <= day(20)
    )


def test_a_persons_state_does_not_depend_on_who_is_asked_about_beside_them() -> None:
    seen = shop([*ANN, did("bob", "card", 3), did("bob", "dear", 4), did("cat", "lid", 5)], GOODS)
    pairs = companions(seen, TUNING)
    labels = labelled(seen, pairs, cycles({}), TUNING)
    others = pl.col("person_key") != "ann"
    some_of_them = seen.of(seen.baskets.select("person_key").filter(others))
    own = labelled(some_of_them, pairs, cycles({}), TUNING)
    everybody = states(seen, labels, pairs, day(20))
    some = states(some_of_them, own, pairs, day(20), Habits.of(labels))
    for whole, part in ((everybody.people, some.people), (everybody.categories, some.categories)):
        assert_frame_equal(whole.filter(others), part, check_exact=True)
    assert states(some_of_them, own, pairs, day(20)).categories.height < some.categories.height


def test_a_shop_of_one_category_and_one_person() -> None:
    made = states_of([did("ann", "odd", 0, price=0), did("ann", "odd", 3, price=0)], 5)
    assert made.categories.select("person_key", "category").rows() == [("ann", "")]
    assert pair(made, "ann", "")["_main_share"] == 1


drawn_rows = st.lists(
    st.builds(
        did,
        st.sampled_from(["ann", "bob", 'Zoë, "x" > \'1']),
        st.sampled_from(GOODS["product_id"].to_list()),
        st.integers(0, 30),
        st.sampled_from(["purchase", "purchase", "view", "add_to_cart"]),
        at=st.integers(0, 2),
        order=st.sampled_from([None, "1"]),
        price=st.sampled_from([None, 0.0, 1.0, 3.0, 7.0]),
    ),
    max_size=25,
)


@settings(max_examples=30)
@given(drawn_rows, st.integers(0, 30), st.randoms())
def test_nothing_after_the_day_is_seen_and_the_order_of_rows_does_not_matter(
    given_rows: list[Row], number: int, dice: random.Random
) -> None:
    before = [one for one in given_rows if one["event_date"] <= day(number)]  # type: ignore[operator] # days
    then, now = states_of(before, number), states_of(dice.sample(given_rows, len(given_rows)), number)
    for first, second in zip(
        (then.people, then.categories, then.shares), (now.people, now.categories, now.shares), strict=True
    ):
        assert_frame_equal(first, second, check_exact=True)
