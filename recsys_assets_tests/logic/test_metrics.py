import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from recsys_assets.logic.metrics import (
    METRICS,
    NOTHING,
    auc,
    coverage,
    diversity,
    mean_over_list,
    per_person,
    self_information,
)  # fmt: skip


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


ENTRIES = st.lists(
    st.tuples(st.sampled_from([-0.5, 0.0, 0.25, 0.5, 1.0]), st.booleans(), st.booleans()), min_size=3, max_size=20
)


@given(ENTRIES)
def test_scikit_learn_agrees_on_the_area_under_the_curve(entries: list[tuple[float, bool, bool]]) -> None:
    """Of each product: its score, whether it was bought, whether it is left out (then its score is 0)."""
    scores = np.array([[0.0 if out else score for score, _, out in entries]], dtype=np.float32)
    bought = np.array([hit and not out for _, hit, out in entries])
    left_out = np.array([out for _, _, out in entries])
    made = auc(scores, sp.csr_matrix(bought[None, :]), np.array([left_out.sum()]))[0]
    counted = bought[~left_out]
    if counted.any() and not counted.all():
        assert made == pytest.approx(roc_auc_score(counted, scores[0, ~left_out]))
    else:
        assert math.isnan(made)


def test_scikit_learn_agrees_on_long_lists_of_many_people() -> None:
    random = np.random.default_rng(3)
    places = random.random((50, 40)) < 0.2
    places[:, 0] = True
    scores = -np.arange(40, dtype=float)[None, :].repeat(50, axis=0)
    for k in (1, 5, 10, 40):
        ours = per_person("ndcg", places, places.sum(axis=1), k)
        assert ours.mean() == pytest.approx(ndcg_score(places, scores, k=k))
    theirs = [average_precision_score(row, score) for row, score in zip(places, scores, strict=True)]
    assert per_person("map", places, places.sum(axis=1), 40) == pytest.approx(theirs)


def test_novelty_is_the_mean_self_information_of_the_list() -> None:
    bits = self_information(np.array([8, 4, 1, 0]), 8)
    assert bits.tolist() == [0.0, 1.0, 3.0, 3.0]
    listed = np.array([[0, 1, 2], [3, NOTHING, NOTHING], [NOTHING] * 3], dtype=np.int32)
    assert mean_over_list(listed, bits, 2).tolist() == [(0 + 1) / 2, 3.0, 0.0]


def test_diversity_is_the_share_of_pairs_that_are_unlike() -> None:
    kinds = sp.csr_matrix(np.array([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=np.float32))
    listed = np.array([[0, 1, 2], [0, 2, 3], [0, 1, NOTHING], [0, NOTHING, NOTHING]], dtype=np.int32)
    assert diversity(listed, kinds, 3).tolist() == pytest.approx([2 / 3, 1.0, 0.0, 0.0])
    assert diversity(listed, kinds, 2).tolist() == pytest.approx([0.0, 1.0, 0.0, 0.0])


def test_diversity_takes_the_cosine_where_features_are_known() -> None:
    features = sp.csr_matrix(np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32))
    unlike = [1 - 0.6, 1 - 0.0, 1 - 0.8]
    assert diversity(np.array([[0, 1, 2]], dtype=np.int32), features, 3)[0] == pytest.approx(sum(unlike) / 3)


def test_coverage_counts_a_product_once_whoever_has_it_and_nothing_that_is_not_offered() -> None:
    listed = np.array([[0, 1, 4], [0, 2, NOTHING]], dtype=np.int32)
    listable = np.array([True, True, True, True, False, True])
    assert coverage(listed, listable, 1) == 1 / 5
    assert coverage(listed, listable, 3) == 3 / 5
    assert coverage(np.full((2, 3), NOTHING, dtype=np.int32), listable, 3) == 0
