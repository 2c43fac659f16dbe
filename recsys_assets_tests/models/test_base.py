from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.models.base import Interactions, Steps, called_by_number
from recsys_assets.models.leaks import differences
from recsys_assets_tests.models.builders import bought

People = list[list[int]]


def steps(people: People) -> Steps:
    """Each person's columns, oldest first, one basket each."""
    lengths = [len(columns) for columns in people]
    order = np.concatenate([np.arange(length) for length in lengths] or [np.zeros(0, dtype=np.int64)]).astype(np.int32)
    return Steps(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([column for columns in people for column in columns], dtype=np.int32),
        order,
        np.zeros_like(order),
        order.astype(np.float32),
    )


def told(given: Steps) -> People:
    return [given.columns[one:other].tolist() for one, other in zip(given.indptr, given.indptr[1:], strict=False)]


PEOPLE = st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=6)


@given(PEOPLE, st.data())
def test_taking_people_takes_their_steps(people: People, data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, len(people) - 1))))
    taken = steps(people).take(np.array(places, dtype=np.intp))
    assert told(taken) == [people[place] for place in places]
    assert taken.baskets.tolist() == [number for place in places for number in range(len(people[place]))]


@given(PEOPLE)
def test_a_mask_leaves_everybody_in_place(people: People) -> None:
    whole = steps(people)
    assert told(whole.where(whole.columns % 2 == 0)) == [[c for c in columns if c % 2 == 0] for columns in people]


@given(PEOPLE)
def test_rows_name_each_step_s_person(people: People) -> None:
    assert steps(people).rows.tolist() == [row for row, columns in enumerate(people) for _ in columns]


def test_people_without_known_order_have_no_steps() -> None:
    shop = Interactions.from_frame(bought([("a", "i", 1), ("b", "j", 2)]))
    assert told(shop.steps) == [[], []]
    assert told(shop.rows(1, 2).steps) == [[]]


def test_steps_of_other_people_are_refused() -> None:
    shop = Interactions.from_frame(bought([("a", "i", 1)]))
    with pytest.raises(AssertionError, match="steps of 2 people, not 1"):
        Interactions(
            shop.person_keys, shop.product_ids, shop.weights, shop.frequency, shop.purchases, shop.spending,
            steps([[0], [0]]),
        )  # fmt: skip


@given(PEOPLE, st.data())
def test_numbers_of_people_follow_what_they_did_in_whatever_order_their_keys_are(
    people: People, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(people))
    products = np.array([f"p{column}" for column in range(10)])

    def made(of: People) -> Interactions:
        pairs = [(f"{row}", f"p{column}", 1) for row, columns in enumerate(of) for column in set(columns)]
        keys = np.array([f"{row}" for row in range(len(of))])
        shop = Interactions.from_frame(bought(pairs), products, keys)
        return called_by_number(replace(shop, steps=steps(of)))

    one, other = made(people), made(shuffled)
    assert differences(one, other) == []
    assert one.person_keys.tolist() == other.person_keys.tolist()
    assert sorted(told(one.steps)) == sorted(people)


def test_people_called_by_number_have_all_that_they_had() -> None:
    shop = Interactions.from_frame(bought([("a", "i", 1), ("b", "i", 2), ("b", "j", 1)]))
    numbered = called_by_number(shop)
    for name in ("weights", "frequency", "purchases", "spending", "units"):
        assert sorted(getattr(shop, name).toarray().tolist()) == sorted(getattr(numbered, name).toarray().tolist())
