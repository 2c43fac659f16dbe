"""Features of candidates, each against its plain meaning."""

import numpy as np
import pytest
import scipy.sparse as sp

from recsys_assets.benchmark.session_pool import Sources, distinct, facts, greatest, latest, places, shares
from recsys_assets.benchmark.sessions import Clicks
from recsys_assets.models.base import Interactions
from recsys_assets.models.pool import Pool
from recsys_assets.models.session import Session

PRODUCTS = "abcdefghij"


def sessions(*clicked: str, per_day: float = 1.0) -> Interactions:
    """One session per word, the oldest first."""
    indptr = np.cumsum([0, *map(len, clicked)]).astype(np.int64)
    columns = np.array([PRODUCTS.index(product) for product in "".join(clicked)], dtype=np.int32)
    return Clicks(indptr, columns, np.array(list(PRODUCTS))).people(per_day)


@pytest.fixture
def train() -> Interactions:
    random = np.random.default_rng(0)
    walks = (random.integers(0, 8, length) for length in random.integers(1, 7, 200))
    return sessions(*("".join(PRODUCTS[step] for step in walk) for walk in walks), per_day=2.0)


@pytest.fixture
def sources(train: Interactions) -> Sources:
    session = Session(recency=100.0)
    session.fit(train)
    return Sources.of(session, train)


HISTORY = ("abca", "d", "", "hh")


@pytest.fixture
def pool(sources: Sources) -> Pool:
    return sources.pool(sessions(*HISTORY))


def test_candidates_are_ordered_and_named_once(pool: Pool) -> None:
    keys = pool.rows * len(PRODUCTS) + pool.columns
    assert (np.diff(keys) > 0).all()
    assert set(pool.rows.tolist()) == {0, 1, 3}
    assert len(set(pool.names)) == len(pool.names)
    assert np.isfinite(pool.features).all()


def test_scores_of_members_are_those_of_whole_rows(pool: Pool, sources: Sources) -> None:
    history = sessions(*HISTORY)
    at = pool.rows, pool.columns
    np.testing.assert_array_equal(pool.feature("session"), sources.session.scores(history)[at])
    asked = latest(history.steps, len(PRODUCTS))
    for name, relation in (
        ("transitions", sources.transitions.rules),
        ("walk", sources.walk),
        ("wide", sources.wide),
    ):
        np.testing.assert_allclose(pool.feature(name), (asked @ relation).toarray()[at], rtol=1e-5)
        last = sp.csr_matrix(np.eye(len(PRODUCTS), dtype=np.float32)[[0, 3, 0, 7]])
        np.testing.assert_allclose(pool.feature(f"{name} last"), (last @ relation).toarray()[at], rtol=1e-5)


def test_what_the_prefix_holds_of_a_candidate(pool: Pool) -> None:
    told = {
        (int(row), PRODUCTS[column]): (int(ago), int(clicks))
        for row, column, ago, clicks in zip(
            pool.rows, pool.columns, pool.feature("ago"), pool.feature("clicks"), strict=True
        )
    }
    assert told[0, "a"] == (1, 2)
    assert told[0, "b"] == (3, 1)
    assert told[3, "h"] == (1, 2)
    assert told[1, "e"] == (0, 0)


def test_views_are_shares_of_the_prefix_s_best(pool: Pool) -> None:
    for name in ("share of best", "of last only", "after", "near", "next", "closest", "fresh"):
        best = greatest(pool.rows, pool.feature(name), 4)
        assert best.tolist() == [1, 1, 0, 1], name


def test_facts_of_products() -> None:
    """Sessions of ages 3, 2 and 1; a is clicked 4 times."""
    told = facts(sessions("aab", "ca", "ba", per_day=0.1).steps, 4)
    assert {name: values.tolist() for name, values in told.items()} == {
        "popularity": [4, 2, 1, 0],
        "recent": [0, 0, 0, 0],
        "oldest": [30, 30, 20, 0],
        "youngest": [10, 10, 20, 30],
        "opens": [0.25, 0.5, 1, 0],
        "ends": [0.5, 0.5, 0, 0],
        "stays": [0.25, 0, 0, 0],
        "returns": [0.25, 0, 0, 0],
    }


def test_recent_clicks_are_a_share() -> None:
    assert facts(sessions("a", "ab", per_day=0.1).steps, 2)["recent"].tolist() == [0, 0]
    assert facts(sessions("a", "ab", per_day=0.15).steps, 2)["recent"].tolist() == [0.5, 1]


def test_small_sums() -> None:
    rows, scores = np.array([0, 0, 2]), np.array([1, 3, 2], dtype=np.float32)
    assert greatest(rows, scores, 4).tolist() == [3, 0, 2, 0]
    assert places(rows, scores).tolist() == [1, 0, 0]
    assert distinct(sessions("abca", "").steps, 3).tolist() == [3, 0]
    assert shares(sp.csr_matrix(np.array([[1, 3], [0, 0]], dtype=np.float32))).toarray().tolist() == [
        [0.25, 0.75],
        [0, 0],
    ]
    asked = latest(sessions("aba").steps, 2).toarray()[0]
    assert asked.tolist() == pytest.approx([1 + np.exp(-2 / 2.5), np.exp(-1 / 2.5)])
