"""Directed rules, with the arithmetic written out."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.models.base import Interactions, Steps
from recsys_assets.models.transitions import Transitions

Baskets = list[list[str]]

PLAIN = {"backward": 0.0, "source_exponent": 0.0, "product_exponent": 0.0, "trend_exponent": 0.0}


def shop(people: list[Baskets], products: str = "abcdef", ages: list[list[float]] | None = None) -> Interactions:
    """People with their baskets, oldest first; the age of a basket is that of its list, or the baskets up to now."""
    columns, baskets, days, lengths = [], [], [], []
    for person, came in enumerate(people):
        for place, basket in enumerate(came):
            for product in sorted(basket):
                columns.append(products.index(product))
                baskets.append(place)
                days.append(ages[person][place] if ages else len(came) - place)
        lengths.append(sum(len(basket) for basket in came))
    numbers = np.array(baskets, dtype=np.int32)
    steps = Steps(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array(columns, dtype=np.int32),
        numbers,
        numbers,
        np.array(days, dtype=np.float32),
    )
    shape = (len(people), len(products))
    taken = sp.csr_matrix((np.ones(len(columns), dtype=np.float32), (steps.rows, steps.columns)), shape=shape)
    keys = np.array([f"p{person:03}" for person in range(len(people))])
    return Interactions(keys, np.array(list(products)), taken, taken, taken, taken, steps)


def fitted(train: Interactions, **parameters: float) -> Transitions:
    model = Transitions(**PLAIN | parameters)  # type: ignore[arg-type]  # whole numbers are floats too
    model.fit(train)
    return model


def rule(model: Transitions, source: str, product: str) -> float:
    return float(model.rules["abcdef".index(source), "abcdef".index(product)])


def test_a_rule_gains_one_over_its_distance() -> None:
    """a b c, and a c once more: c follows a at distance 2 and at distance 1."""
    model = fitted(shop([[["a"], ["b"], ["c"]], [["a"], ["c"]]]))
    assert rule(model, "a", "b") == 1
    assert rule(model, "a", "c") == 1 / 2 + 1
    assert rule(model, "c", "a") == 0
    assert fitted(shop([[["a"], ["b"], ["c"]]]), rule_decay=2).rules[0, 2] == 1 / 4


def test_a_rule_spans_its_reach_and_no_more() -> None:
    train = shop([[["a"], ["b"], ["c"], ["d"]]])
    assert [rule(fitted(train, reach=2), "a", product) for product in "bcd"] == [1, 1 / 2, 0]


def test_products_of_one_basket_make_no_rule_and_are_as_near_as_each_other() -> None:
    model = fitted(shop([[["a", "b"], ["c", "d"], ["e"]]]))
    assert rule(model, "a", "b") == rule(model, "b", "a") == rule(model, "c", "d") == 0
    assert rule(model, "a", "c") == rule(model, "b", "d") == rule(model, "c", "e") == 1
    assert rule(model, "a", "e") == rule(model, "b", "e") == 1 / 2


def test_a_product_does_not_follow_itself() -> None:
    assert fitted(shop([[["a"], ["a"], ["b"]]])).rules.toarray()[0].tolist() == [0, 1 + 1 / 2, 0, 0, 0, 0]


def test_backward_counts_what_came_before() -> None:
    model = fitted(shop([[["a"], ["b"], ["c"]]]), backward=0.25)
    assert rule(model, "a", "c") == 1 / 2
    assert rule(model, "c", "a") == 1 / 2 * 1 / 4


def test_popularity_divides_both_ends() -> None:
    """a is taken four times, b twice: a leads to b three times at distance 1, 1 and 2."""
    train = shop([[["a"], ["b"]], [["a"], ["c"], ["b"]], [["a"]], [["a"]]])
    assert rule(fitted(train, source_exponent=0.5), "a", "b") == pytest.approx(1.5 / 2)
    assert rule(fitted(train, product_exponent=1), "a", "b") == pytest.approx(1.5 / 2)
    assert rule(fitted(train, source_exponent=0.5, product_exponent=2), "a", "b") == pytest.approx(1.5 / 2 / 4)


def test_a_persons_last_products_are_asked_most() -> None:
    """Rules c → d and b → e of 1 each; the person took b, then c."""
    model = fitted(shop([[["c"], ["d"]], [["b"], ["e"]]]), reach=2, step_decay=2)
    assert model.scores(shop([[["b"], ["c"]]]))[0].tolist() == [0, 0, 0, 1, 1 / 4, 0]
    assert model.scores(shop([[["b"], ["f"], ["f"]]]))[0].tolist() == [0] * 6
    assert model.scores(shop([[["b", "c"], ["f"]]]))[0].tolist() == [0, 0, 0, 1 / 4, 1 / 4, 0]


def test_what_is_taken_lately_comes_first() -> None:
    """b and c follow a equally often, c's entries are the younger ones.

    Ages 1 and 3 with a half-life of 2: b is .5^1.5 recent and c .5^.5; each has one more entry of the average, which
    a's share enters too.
    """
    train = shop([[["a"], ["b"]], [["a"], ["c"]]], ages=[[4, 3], [2, 1]])
    model = fitted(train, trend_exponent=1, trend_half_life=2)
    recent = {age: 0.5 ** (age / 2) for age in (4, 3, 2, 1)}
    average = sum(recent.values()) / 4
    assert rule(model, "a", "b") == pytest.approx((recent[3] + average) / 2)
    assert rule(model, "a", "c") == pytest.approx((recent[1] + average) / 2)
    # Half the median age of 2.5, where nothing is said.
    same = fitted(train, trend_exponent=1, trend_half_life=1.25)
    np.testing.assert_array_equal(fitted(train, trend_exponent=1).rules.toarray(), same.rules.toarray())


def test_days_fade_pairs_and_entries() -> None:
    """b follows a after 3 days, c after 1; the person took a today and f, which leads nowhere else, 2 days ago."""
    train = shop([[["a"], ["b"]], [["a"], ["c"]], [["f"], ["d"]]], ages=[[4, 1], [2, 1], [1, 1]])
    model = fitted(train, half_life=2)
    assert rule(model, "a", "b") == pytest.approx(0.5**1.5)
    assert rule(model, "a", "c") == pytest.approx(0.5**0.5)
    asked = shop([[["f"], ["a"]]], ages=[[12, 10]])
    assert model.scores(asked)[0, 3] == pytest.approx(1 / 2 * 0.5)
    assert model.scores(asked)[0, 2] == pytest.approx(0.5**0.5)


def test_only_the_strongest_rules_are_kept_and_equal_ones_by_id() -> None:
    train = shop([[["a"], ["b"]], [["a"], ["d"]], [["a"], ["c"]], [["a"], ["c"]]])
    kept = fitted(train, neighbours=2).rules[0]
    assert kept.indices.tolist() == [1, 2]
    assert kept.data.tolist() == [1, 2]


def test_without_steps_it_knows_nothing() -> None:
    nobody = shop([[]])
    model = fitted(nobody, trend_exponent=1)
    assert not model.scores(shop([[["a"]], []])).any()
    known = fitted(shop([[["a"], ["b"]]]))
    assert known.scores(shop([[], [["a"]], []])).tolist() == [[0] * 6, [0, 1, 0, 0, 0, 0], [0] * 6]


def test_the_way_round_is_found() -> None:
    """Everybody goes round a ring of products from somewhere: the next one is the answer, the last one is not."""
    products = "abcdef"
    ring = [[[products[(start + step) % 6]] for step in range(4)] for start in range(6)]
    model = Transitions()
    model.fit(shop(ring))
    asked = shop([[[one]] for one in products])
    assert model.scores(asked).argmax(axis=1).tolist() == [1, 2, 3, 4, 5, 0]


@settings(max_examples=25, deadline=None)
@given(
    people=st.lists(
        st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True), max_size=6), max_size=6
    ),
    reach=st.integers(1, 4),
    backward=st.sampled_from([0.0, 0.5]),
)
def test_counts_are_those_of_the_plain_loop(people: list[Baskets], reach: int, backward: float) -> None:
    expected = np.zeros((6, 6))
    for taken in people:
        for place, basket in enumerate(taken):
            for later in range(place + 1, min(place + reach + 1, len(taken))):
                for one in basket:
                    for other in taken[later]:
                        if one != other:
                            gain = 1 / (later - place)
                            expected["abcdef".index(one), "abcdef".index(other)] += gain
                            expected["abcdef".index(other), "abcdef".index(one)] += gain * backward
    model = fitted(shop(people), reach=reach, backward=backward)
    np.testing.assert_allclose(model.rules.toarray(), expected, rtol=1e-6)


def test_whatever_the_threads_the_bits_are_the_same_and_sparse_scores_agree() -> None:
    random = np.random.default_rng(0)
    products = "".join(chr(256 + place) for place in range(200))
    train = shop([[[products[random.integers(200)]] for _ in range(8)] for _ in range(200)], products)
    one, two = Transitions(threads=1, half_life=3.0), Transitions(threads=2, half_life=3.0)
    one.fit(train)
    two.fit(train)
    assert one.rules.data.tobytes() == two.rules.data.tobytes()
    assert one.rules.indices.tobytes() == two.rules.indices.tobytes()
    np.testing.assert_allclose(one.sparse_scores(train).toarray(), two.scores(train), rtol=1e-6)
