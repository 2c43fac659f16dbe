"""What every model must do, whatever it is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys_assets.errors import NotFoundError
from recsys_assets.models import MODELS, load, save
from recsys_assets.models.base import Interactions, Neighbourly, Recommender
from recsys_assets.models.blend import DEFAULT
from recsys_assets_tests.models.builders import answer, bought, checkerboard, random_shop

Make = Callable[[int], Recommender]


@pytest.fixture(params=sorted(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(name: str) -> Make:
    def made(threads: int = 0) -> Recommender:
        small = {"factors": 8, "regularization": 0.1}
        options: dict[str, object] = {
            "als": small | {"threads": threads},
            "item_cf": {"threads": threads},
            "blend": {"members": {name: {} for name in DEFAULT} | {"als": small}, "threads": threads},
        }
        given = options.get(name, {})
        assert isinstance(given, dict)
        return MODELS[name](**given)

    return made


def fitted(make: Make, train: Interactions, threads: int = 0) -> Recommender:
    model = make(threads)
    model.fit(train)
    return model


def test_scores_are_people_by_products_in_float32(make: Make) -> None:
    train = random_shop()
    scores = fitted(make, train).scores(train)
    assert scores.shape == (len(train.person_keys), len(train.product_ids))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_the_same_bits_on_one_and_two_threads(make: Make) -> None:
    train = random_shop(people=300, products=120)
    one, two = (fitted(make, train, threads).scores(train) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


def test_the_same_bits_whatever_the_order_of_rows(make: Make) -> None:
    frame = checkerboard()
    one, other = Interactions.from_frame(frame), Interactions.from_frame(frame.sample(fraction=1, shuffle=True, seed=3))
    assert fitted(make, one).scores(one).tobytes() == fitted(make, other).scores(other).tobytes()


def test_a_person_without_history_gets_nothing_or_what_is_popular(make: Make) -> None:
    train = random_shop()
    stranger = Interactions.from_frame(bought([]), train.product_ids, np.array(["stranger"]))
    model = fitted(make, train)
    scores = model.scores(stranger)
    assert scores.shape == (1, len(train.product_ids))
    if model.name in {"popularity", "blend"}:
        buyers = np.asarray(train.owned.sum(axis=0)).ravel()
        assert buyers[scores[0].argmax()] == buyers.max()
    else:
        assert not scores.any()


def test_a_person_who_was_not_trained_on_is_scored_by_history(make: Make) -> None:
    train = random_shop()
    parts = (getattr(train.rows(3, 4), part) for part in (*PARTS, "steps"))
    twin = Interactions(np.array(["new"]), train.product_ids, *parts)
    model = fitted(make, train)
    np.testing.assert_array_equal(model.scores(twin), model.scores(train.rows(3, 4)))


PARTS = ("weights", "frequency", "purchases", "spending")


def test_no_array_of_a_model_grows_with_people(make: Make) -> None:
    """Promise 4: twice the people, the same lengths (neighbours of a product are capped by its own products)."""
    few = random_shop(people=40, products=30)
    many = random_shop(people=83, products=30)
    for key, array in fitted(make, many).arrays().items():
        assert len(many.person_keys) not in array.shape, key
        if not key.endswith(("data", "indices")):
            assert array.shape == fitted(make, few).arrays()[key].shape, key
        else:
            assert array.shape[0] <= 30 * 29


def test_no_key_of_a_person_is_in_a_saved_model(make: Make, tmp_path: Path) -> None:
    train = random_shop()
    save(fitted(make, train), tmp_path)
    for array in np.load(tmp_path / "model.npz").values():
        assert array.dtype.kind != "U" or set(array.tolist()) == set(train.product_ids.tolist())


def test_saved_and_loaded_it_scores_the_same_and_writes_the_same_bytes(make: Make, name: str, tmp_path: Path) -> None:
    train = random_shop()
    model = fitted(make, train)
    save(model, tmp_path / "one")
    again = load(name, tmp_path / "one")
    save(again, tmp_path / "two")
    if isinstance(again, Neighbourly):
        again.meet(train)
    np.testing.assert_array_equal(again.scores(train), model.scores(train))
    for file in ("model.npz", "model.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_one_person_and_one_product(make: Make) -> None:
    tiny = Interactions.from_frame(bought([("p", "i", 1)]))
    assert fitted(make, tiny).scores(tiny).shape == (1, 1)


def test_ties_and_empty_columns_do_no_harm(make: Make) -> None:
    train = Interactions.from_frame(bought([("p", "b", 1)]), np.array(["a", "b", "c"]))
    scores = fitted(make, train).scores(train)
    assert scores.shape == (1, 3)
    assert scores[0, 0] == scores[0, 2] == 0


@pytest.mark.parametrize("name", ["als", "item_cf", "blend"])
def test_the_planted_product_comes_first(make: Make) -> None:
    train = Interactions.from_frame(checkerboard())
    scores = fitted(make, train).scores(train)
    scores[train.owned.toarray() > 0] = -np.inf
    for person in range(len(train.person_keys)):
        assert scores[person].argmax() == answer(person)


def test_loading_what_is_not_there_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"holds no model: .*model\.json is missing"):
        load("als", tmp_path)


def test_loading_another_model_names_both(tmp_path: Path) -> None:
    model = MODELS["personal"]()
    model.fit(random_shop())
    save(model, tmp_path)
    with pytest.raises(NotFoundError, match="'personal' instead of 'als'"):
        load("als", tmp_path)


def test_matrices_of_another_shape_are_refused() -> None:
    train = random_shop()
    with pytest.raises(AssertionError, match="weights is"):
        Interactions(train.person_keys[:-1], train.product_ids, *(getattr(train, part) for part in PARTS))


def test_rows_of_other_products_and_people_are_left_out() -> None:
    made = Interactions.from_frame(
        bought([("p", "a", 2), ("p", "b", 3), ("q", "b", 1)]), np.array(["b", "c"]), np.array(["p", "z"])
    )
    assert made.purchases.toarray().tolist() == [[3, 0], [0, 0]]
    assert made.weights.toarray().tolist() == [[15, 0], [0, 0]]
