import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from recsys_assets.logic.metrics import METRICS, per_person


def of(metric: str, places: str, relevant: int, k: int) -> float:
    """``places`` like "x.x": x is a hit."""
    hits = np.array([[place == "x" for place in places]])
    return float(per_person(metric, hits, np.array([relevant]), k)[0])


def test_the_arithmetic_written_out() -> None:
    assert of("precision", ".x.x", 5, 4) == 2 / 4
    assert of("recall", ".x.x", 5, 4) == 2 / 5
    assert of("hit_rate", ".x.x", 5, 4) == 1
    assert of("hit_rate", ".x.x", 5, 1) == 0
    assert of("map", "x.x.", 2, 4) == pytest.approx(1 / 2 * (1 / 1 + 2 / 3))
    assert of("ndcg", ".x", 1, 2) == pytest.approx((1 / math.log2(3)) / (1 / math.log2(2)))


def test_one_relevant_product_first_is_perfect_at_any_k() -> None:
    for metric in ("recall", "hit_rate", "ndcg", "map"):
        assert of(metric, "x....", 1, 5) == 1
    assert of("precision", "x....", 1, 5) == 1 / 5


def test_more_relevant_products_than_places_can_still_be_perfect() -> None:
    assert of("ndcg", "xx", 9, 2) == pytest.approx(1)
    assert of("map", "xx", 9, 2) == pytest.approx(1)
    assert of("recall", "xx", 9, 2) == 2 / 9


def test_nothing_relevant_is_zero_and_not_nan() -> None:
    for metric in METRICS:
        assert of(metric, "..", 0, 2) == 0


def test_more_places_than_the_lists_have_are_refused() -> None:
    with pytest.raises(AssertionError, match="K = 3 but the lists have 2"):
        per_person("ndcg", np.zeros((1, 2), dtype=bool), np.array([1]), 3)


@given(st.lists(st.booleans(), min_size=2, max_size=12).filter(any), st.integers(1, 12))
def test_scikit_learn_agrees_when_every_product_is_ranked(places: list[bool], k: int) -> None:
    k = min(k, len(places))
    hits = np.array([places])
    relevant = np.array([sum(places)])
    scores = -np.arange(len(places), dtype=float)[None, :]
    assert per_person("ndcg", hits, relevant, k)[0] == pytest.approx(ndcg_score(hits, scores, k=k))
    whole = per_person("map", hits, relevant, len(places))[0]
    assert whole == pytest.approx(average_precision_score(hits[0], scores[0]))


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5), st.integers(1, 6))
def test_all_metrics_lie_between_0_and_1(places: list[list[bool]], k: int) -> None:
    hits = np.array(places)
    for metric in METRICS:
        values = per_person(metric, hits, hits.sum(axis=1), k)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
