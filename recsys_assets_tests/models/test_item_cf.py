"""Neighbours of a product by each weighting, written out."""

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from recsys_assets.models.base import Interactions
from recsys_assets.models.item_cf import ItemCf, Signals, Weighting
from recsys_assets_tests.models.builders import answer, bought, checkerboard

# p took a and b, q took a, b and c: a taste is ln 2 wherever there is one.
SHOP = Interactions.from_frame(bought([("p", "a", 1), ("p", "b", 1), ("q", "a", 1), ("q", "b", 1), ("q", "c", 1)]))
TASTE = float(np.log1p(np.float32(1)))
BM25_P, BM25_Q = (TASTE * 2.2 / (TASTE + 1.2 * (0.25 + 0.75 * taken / 2.5)) for taken in (2, 3))


@pytest.mark.parametrize(
    ("weighting", "both", "one"),
    [("cosine", 1 / 2 + 1 / 3, 1 / 3), ("l1", 1 / 4 + 1 / 9, 1 / 9), ("bm25", BM25_P**2 + BM25_Q**2, BM25_Q**2)],
)
def test_likeness_by_weighting(weighting: Weighting, both: float, one: float) -> None:
    model = ItemCf(popularity_exponent=0.0, weighting=weighting)
    model.fit(SHOP)
    likeness: csr_matrix[np.float32] = model.similarity
    np.testing.assert_allclose(likeness.toarray(), [[0, both, one], [both, 0, one], [one, one, 0]], rtol=1e-6)


def test_cosine_is_what_it_was() -> None:
    plain, named = ItemCf(), ItemCf(weighting="cosine")
    plain.fit(SHOP)
    named.fit(SHOP)
    expected = 1 / 2 + 1 / 3
    np.testing.assert_allclose(plain.similarity[0, 1], expected * 2**-0.5, rtol=1e-6)
    assert plain.similarity.toarray().tobytes() == named.similarity.toarray().tobytes()


def test_an_old_purchase_says_less() -> None:
    """``frequency`` fades with age, and tastes follow it: history is weighed by age without a knob."""
    model = ItemCf()
    model.fit(SHOP)
    old = Interactions.from_frame(bought([("new", "a", 1), ("new", "c", 1)]), SHOP.product_ids)
    faded = old.frequency.copy()
    faded.data = np.array([0.25, 1.0], dtype=np.float32)
    aged = Interactions(old.person_keys, old.product_ids, old.weights, faded, old.purchases, old.spending)
    from_a, from_c = model.similarity[0, 1], model.similarity[2, 1]
    np.testing.assert_allclose(model.scores(old)[0, 1], TASTE * (from_a + from_c), rtol=1e-6)
    np.testing.assert_allclose(model.scores(aged)[0, 1], np.log1p(0.25) * from_a + TASTE * from_c, rtol=1e-6)


@pytest.mark.parametrize("weighting", ["cosine", "l1", "bm25"])
def test_the_planted_product_comes_first(weighting: Weighting) -> None:
    shop = Interactions.from_frame(checkerboard())
    model = ItemCf(weighting=weighting)
    model.fit(shop)
    scores = model.scores(shop)
    scores[shop.owned.toarray() > 0] = -np.inf
    assert scores.argmax(axis=1).tolist() == [answer(person) for person in range(len(shop.person_keys))]


def test_neighbours_by_purchases_by_looks_or_by_both() -> None:
    """p and q buy a and b; p and r look at c: c is near what p bought by looks alone."""
    frame = bought([("p", "a", 1), ("p", "b", 1), ("q", "a", 1), ("q", "b", 1), ("p", "c", 1), ("r", "c", 1)])
    nothing = [
        pl.when(pl.col("product_id") == "c").then(0).otherwise(name).alias(name)
        for name in ("frequency_micros", "purchases", "units")
    ]
    shop = Interactions.from_frame(frame.with_columns(*nothing))

    def near(signals: Signals) -> dict[str, float]:
        model = ItemCf(signals=signals, popularity_exponent=0.0)
        model.fit(shop)
        return dict(
            zip(shop.product_ids.tolist(), model.similarity.toarray()[0].astype(float).round(3).tolist(), strict=True)
        )

    assert near("purchases") == {"a": 0, "b": 1, "c": 0}  # of each of two people √½ × √½
    assert near("views") == {"a": 0, "b": round(1 / 3 + 1 / 2, 3), "c": round(1 / 3, 3)}
    assert near("both")["c"] > 0
