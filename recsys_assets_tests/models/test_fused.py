"""What is made in one pass is what whole matrices give, bit for bit."""

import numpy as np
import pytest
import scipy.sparse as sp

from recsys_assets.models import make_blend
from recsys_assets.models.base import Interactions
from recsys_assets.models.blend import USER_TYPES, Blend, best_is_one, rms_is_one, user_types
from recsys_assets.models.fused import Said, counted, separated, values_at
from recsys_assets.models.top import Picks, top
from recsys_assets.tuning import Als, Tuning
from recsys_assets_tests.models.builders import bought, random_shop

SCALES = {"best": best_is_one, "rms": rms_is_one}


@pytest.fixture(scope="module")
def shop() -> Interactions:
    return random_shop(people=60, products=90)


@pytest.fixture(scope="module")
def blend(shop: Interactions) -> Blend:
    made = make_blend(Tuning(als=Als(factors=8)))
    made.fit(shop)
    return made


@pytest.mark.parametrize("scale", ["best", "rms"])
def test_members_and_their_sum_are_those_of_whole_matrices(shop: Interactions, blend: Blend, scale: str) -> None:
    said = Said.by(blend.models, shop, "best" if scale == "best" else "rms")
    whole = {name: SCALES[scale](model.scores(shop)) for name, model in blend.models.items()}
    for place, name in enumerate(said.names):
        np.testing.assert_array_equal(said.dense(place), whole[name])
    assert said.combined(blend.weights_of(shop)).tobytes() == blend.combine(whole).tobytes()
    assert any(isinstance(part, sp.csr_matrix) for part in said.parts)


def test_picked_scores_are_those_of_whole_matrices(shop: Interactions, blend: Blend) -> None:
    said = blend.said(shop)
    picks = top(said.combined(blend.weights_of(shop)), 7)
    for place, (name, scores) in enumerate(said.at(picks.rows, picks.columns).items()):
        assert name == said.names[place]
        np.testing.assert_array_equal(scores, said.dense(place)[picks.rows, picks.columns])


def test_new_products_and_those_bought_before_are_told_apart(shop: Interactions, blend: Blend) -> None:
    scores = blend.scores(shop)
    whole = scores.copy()
    listable = np.ones(90, dtype=np.bool_)
    listable[5] = False
    new, repeat = separated(scores, listable, shop, 10)
    owned = shop.owned.toarray() > 0
    assert not owned[new.rows, new.columns].any()
    assert owned[repeat.rows, repeat.columns].all()
    assert 5 not in {*new.columns.tolist(), *repeat.columns.tolist()}
    for picks in (new, repeat):
        np.testing.assert_array_equal(picks.scores, whole[picks.rows, picks.columns])
        assert (np.diff(picks.scores)[np.diff(picks.rows) == 0] <= 0).all()


def test_the_best_are_those_of_a_whole_sort_with_ties_by_column() -> None:
    random = np.random.default_rng(2)
    scores = np.round(random.random((40, 700)), 2).astype(np.float32)
    scores[scores < 0.3] = 0
    rows, columns = np.nonzero(scores)
    for k in (1, 3, 50, 1000):
        expected = Picks.ordered(rows, columns, scores[rows, columns]).first(k)
        made = top(scores, k)
        np.testing.assert_array_equal(made.rows, expected.rows)
        np.testing.assert_array_equal(made.columns, expected.columns)
        np.testing.assert_array_equal(made.scores, expected.scores)


def test_neighbours_bought_are_counted(shop: Interactions) -> None:
    near = sp.csr_matrix((np.random.default_rng(3).random((90, 90)) < 0.2).astype(np.int32))
    rows, columns = np.divmod(np.arange(0, 60 * 90, 7), 90)
    whole = (shop.owned @ near).toarray()
    np.testing.assert_array_equal(counted(near, shop, rows, columns), whole[rows, columns])


def test_values_of_no_entries_are_none() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert values_at(sp.csr_matrix(np.zeros((2, 2), dtype=np.float32)), none, none).shape == (0,)


def test_types_of_history_count_baskets() -> None:
    days = {"nobody": 0, "once": 1, "often": 4, "always": 20}
    frame = bought([(person, "a", count) for person, count in days.items() if count])
    history = Interactions.from_frame(frame, person_keys=np.array(sorted(days)))
    kinds = [USER_TYPES[kind] for kind in user_types(history, (1, 4, 20))]
    assert dict(zip(sorted(days), kinds, strict=True)) == {
        "nobody": "new", "once": "sparse", "often": "regular", "always": "loyal"
    }  # fmt: skip


def test_a_type_of_history_has_its_own_weights() -> None:
    shop = Interactions.from_frame(bought([("p", "a", 1), ("q", "a", 9), ("q", "b", 9), ("r", "b", 1)]))
    blend = Blend(
        weights={"popularity": 1.0}, by_type={"regular": {"personal": 1.0}}, members={"popularity": {}, "personal": {}}
    )
    blend.fit(shop)
    np.testing.assert_array_equal(
        blend.scores(shop.rows(1, 2)), best_is_one(blend.models["personal"].scores(shop))[1:2]
    )
    np.testing.assert_array_equal(
        blend.scores(shop.rows(0, 1)), best_is_one(blend.models["popularity"].scores(shop))[:1]
    )
