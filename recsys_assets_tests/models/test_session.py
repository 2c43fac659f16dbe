"""Session neighbours: each weight on its own, and the whole against a plain retelling."""

from math import exp, log1p
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from recsys_assets.models.base import Interactions, Steps
from recsys_assets.models.session import Session
from recsys_assets.models.session_loops import LONGEST, Sessions
from recsys_assets.models.top import top

PRODUCTS = "abcdef"
# Every weight switched off: what is left counts shared products.
PLAIN: dict[str, Any] = {
    "step_decay": np.inf,
    "recency": np.inf,
    "closeness": 1.0,
    "idf_exponent": 0.0,
    "length_exponent": 0.0,
    "reach": np.inf,
    "itself": 0.0,
    "popularity_exponent": 0.0,
}

Taken = list[tuple[str, int, int, float]]  # product, basket, visit, age


def people(*taken: Taken) -> Interactions:
    """One person per argument."""
    entries = [entry for one in taken for entry in one]
    steps = Steps(
        np.cumsum([0, *map(len, taken)]).astype(np.int64),
        np.array([PRODUCTS.index(product) for product, *_ in entries], dtype=np.int32),
        np.array([basket for _, basket, _, _ in entries], dtype=np.int32),
        np.array([visit for _, _, visit, _ in entries], dtype=np.int32),
        np.array([age for *_, age in entries], dtype=np.float32),
    )
    empty = sp.csr_matrix(np.zeros((len(taken), len(PRODUCTS)), dtype=np.float32))
    keys = np.array([f"p{place:03}" for place in range(len(taken))])
    return Interactions(keys, np.array(list(PRODUCTS)), empty, empty, empty, empty, steps)


def clicks(products: str, age: float = 0.0) -> Taken:
    """One visit, a basket per product."""
    return [(product, basket, 0, age) for basket, product in enumerate(products)]


def scores(train: Interactions, history: Taken, **parameters: float) -> dict[str, Any]:
    """Products with a score."""
    model = Session(**(PLAIN | parameters))
    model.fit(train)
    row = model.scores(people(history))[0]
    return {product: pytest.approx(float(row[place])) for place, product in enumerate(PRODUCTS) if row[place]}


def test_what_follows_in_a_session_with_the_same_product_comes_next() -> None:
    train = people(clicks("ab"), clicks("cd"))
    assert scores(train, clicks("a")) == {"b": 1.0}
    assert scores(train, clicks("e")) == {}


def test_products_count_by_their_distance_from_the_shared_one() -> None:
    train = people(clicks("abcd"))
    assert scores(train, clicks("b"), reach=2.0, backward=0.5, itself=0.3) == {
        "a": 0.5,
        "b": 0.3,
        "c": 1.0,
        "d": exp(-1 / 2),
    }


def test_products_of_one_basket_have_no_order() -> None:
    train = people([("a", 0, 0, 0.0), ("b", 0, 0, 0.0), ("c", 1, 0, 0.0)])
    assert scores(train, clicks("b"), backward=0.5, reach=1.0) == {"a": 1.0, "c": 1.0}


def test_a_gap_between_baskets_is_one_step() -> None:
    train = people([("a", 3, 0, 0.0), ("b", 900, 0, 0.0), ("c", 901, 0, 0.0)])
    assert scores(train, clicks("a"), reach=1.0) == {"b": 1.0, "c": exp(-1)}


def test_an_older_session_counts_less() -> None:
    train = people(clicks("ab", age=20.0), clicks("ac", age=10.0))
    assert scores(train, clicks("a"), recency=10.0) == {"b": exp(-2), "c": exp(-1)}


def test_only_the_most_recent_sessions_of_a_product_are_asked() -> None:
    train = people(clicks("ac", age=1.0), clicks("ab", age=9.0), clicks("ad", age=2.0))
    assert scores(train, clicks("a"), recent=2) == {"c": 1.0, "d": 1.0}


def test_an_earlier_step_counts_less() -> None:
    train = people(clicks("ac"), clicks("bd"))
    assert scores(train, clicks("ab"), step_decay=2.0) == {"c": exp(-1 / 2), "d": 1.0}


def test_the_closest_sessions_rule() -> None:
    """a and b are shared by the first, only b by the second."""
    train = people(clicks("abc"), clicks("bd"))
    assert scores(train, clicks("ab"), closeness=2.0, backward=0.0) == {"c": 4.0, "d": 1.0}


def test_a_rare_shared_product_counts_more() -> None:
    train = people(clicks("ac"), clicks("bd"), clicks("be"))
    told = scores(train, clicks("ab"), idf_exponent=2.0)
    assert told == {"c": log1p(3 / 1) ** 2, "d": log1p(3 / 2) ** 2, "e": log1p(3 / 2) ** 2}


def test_long_sessions_and_popular_products_are_damped() -> None:
    train = people(clicks("abcd"), clicks("eb"))
    told = scores(train, clicks("a"), length_exponent=0.5, popularity_exponent=1.0)
    assert told == {"b": 1 / 2 * 1 / 2, "c": 1 / 2, "d": 1 / 2}


def test_a_product_taken_twice_counts_once_at_its_last_step() -> None:
    assert scores(people(clicks("ab")), clicks("aca"), step_decay=1.0) == {"b": 1.0}
    assert scores(people(clicks("acab")), clicks("a"), reach=1.0, backward=0.0) == {"b": 1.0}


def test_the_latest_visits_and_steps_are_looked_at() -> None:
    train = people(clicks("ad"), clicks("be"), clicks("cf"))
    history = [("a", 0, 0, 9.0), ("b", 1, 1, 1.0), ("c", 2, 1, 1.0)]
    assert scores(train, history) == {"e": 1.0, "f": 1.0}
    assert scores(train, history, visits=2) == {"d": 1.0, "e": 1.0, "f": 1.0}
    assert scores(train, history, steps=1) == {"f": 1.0}


def test_the_visits_of_one_person_are_sessions_of_their_own() -> None:
    train = people([("a", 0, 0, 9.0), ("b", 1, 0, 9.0), ("a", 2, 1, 1.0), ("c", 3, 1, 1.0)], clicks("d"))
    assert scores(train, clicks("b")) == {"a": 1.0}
    assert Sessions.of(train.steps, len(PRODUCTS)).ages.tolist() == [9.0, 1.0]


def test_a_long_session_is_cut_to_its_last_entries() -> None:
    made = Sessions.of(people(clicks("e" + "ab" * LONGEST)).steps, len(PRODUCTS))
    assert made.indptr.tolist() == [0, LONGEST]
    assert set(made.columns.tolist()) == {0, 1}
    assert made.places.max() == LONGEST - 1


def test_other_people_are_met_without_counting_anew() -> None:
    model = Session(**(PLAIN | {"idf_exponent": 1.0}))
    model.fit(people(clicks("ab"), clicks("cd")))
    model.meet(people(clicks("af")))
    row = model.scores(people(clicks("a")))[0]
    assert row.tolist() == pytest.approx([0, 0, 0, 0, 0, log1p(2)])
    assert model.arrays()["counts"].tolist() == [1, 1, 1, 1, 0, 0]


def test_other_parameters_leave_the_model_as_it_was() -> None:
    model = Session()
    model.fit(people(clicks("ab")))
    other = model.retuned(itself=0.0)
    assert other.parameters == model.parameters | {"itself": 0.0}
    assert model.scores(people(clicks("a")))[0, 0] > other.scores(people(clicks("a")))[0, 0] == 0


def shuffled(count: int, seed: int) -> list[Taken]:
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        length = int(random.integers(0, 9))
        baskets = np.cumsum(random.integers(0, 3, length))
        visits = np.cumsum(random.random(length) < 0.2)
        ages = -np.sort(-random.random(length) * 9)
        made.append(
            [
                (PRODUCTS[int(product)], int(basket), int(visit), float(age))
                for product, basket, visit, age in zip(
                    random.integers(0, 6, length), baskets, visits, ages, strict=True
                )
            ]
        )
    return made


@pytest.mark.parametrize("seed", range(3))
def test_every_way_of_asking_gives_the_same_scores(seed: int) -> None:
    """Whole rows, without the zeros, the best, and single entries; on one thread and on two."""
    model, history = Session(threads=1), people(*shuffled(300, seed + 10))
    model.fit(people(*shuffled(300, seed)))
    whole = model.scores(history)
    assert (whole > 0).any()
    np.testing.assert_array_equal(model.sparse_scores(history).toarray(), whole)
    for depth in (1, 3, 6):
        expected, found = top(whole, depth), model.best(history, depth)
        for part in ("rows", "columns", "scores"):
            np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
    rows, columns = np.nonzero(np.ones_like(whole))
    np.testing.assert_array_equal(model.at(history, rows, columns), whole.ravel())
    other = Session(threads=2)
    other.fit(people(*shuffled(300, seed)))
    np.testing.assert_array_equal(other.best(history, 6).scores, model.best(history, 6).scores)


@pytest.mark.parametrize("seed", range(3))
def test_the_loops_say_what_the_formula_says(seed: int) -> None:
    given, asked = shuffled(40, seed), shuffled(20, seed + 50)
    model = Session()
    model.fit(people(*given))
    expected = [retold(given, one, model.parameters) for one in asked]
    np.testing.assert_allclose(model.scores(people(*asked)), expected, rtol=1e-5)


def retold(given: list[Taken], history: Taken, told: dict[str, float]) -> list[float]:
    """The docstring of Session, word by word."""
    visits = [[entry for entry in one if entry[2] == visit] for one in given for visit in sorted({e[2] for e in one})]
    known = [one for one in visits if len(one) > 1]
    counts = {product: max(sum(product in {e[0] for e in one} for one in known), 1) for product in PRODUCTS}
    latest = [entry for entry in history if entry[2] == history[-1][2]] if history else []
    last = {product: basket for product, basket, *_ in latest}
    sums = dict.fromkeys(PRODUCTS, 0.0)
    for one in known:
        order = sorted({entry[1] for entry in one})
        shared = [product for product in last if product in {entry[0] for entry in one}]
        if not shared:
            continue
        close = sum(
            exp(-(latest[-1][1] - last[product]) / told["step_decay"])
            * log1p(len(known) / counts[product]) ** told["idf_exponent"]
            for product in shared
        )
        close **= told["closeness"]
        close *= exp(-one[-1][3] / told["recency"]) * len(one) ** -told["length_exponent"]
        newest = next(entry[0] for entry in reversed(latest) if entry[0] in shared)
        anchor = max(place for place, entry in enumerate(one) if entry[0] == newest)
        for place, entry in enumerate(one):
            distance = order.index(entry[1]) - order.index(one[anchor][1])
            near = exp(-max(abs(distance) - 1, 0) / told["reach"]) * (told["backward"] if distance < 0 else 1)
            sums[entry[0]] += close * (told["itself"] if place == anchor else near)
    return [sums[product] / counts[product] ** told["popularity_exponent"] for product in PRODUCTS]
