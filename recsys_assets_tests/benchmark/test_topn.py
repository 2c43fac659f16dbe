"""Made pairs of the protocol's shape: what is missing is known."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_assets.benchmark import topn as protocol
from recsys_assets.benchmark.topn import GRIDS, MEMBERS, MODELS, topn
from recsys_assets.errors import RefusedError, SourceError

Pairs = list[tuple[str, str]]


def files(folder: Path, train: Pairs, test: Pairs) -> tuple[Path, Path]:
    paths = folder / "train.csv", folder / "test.parquet"
    pl.DataFrame(train, ["user", "item"], orient="row").write_csv(paths[0])
    pl.DataFrame(test, ["user", "item"], orient="row").write_parquet(paths[1])
    return paths


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search is the same with few trials, and ALS with few factors."""
    monkeypatch.setitem(MEMBERS, "als", {"factors": 8, "iterations": 3, "alpha": 20.0})
    for name in MEMBERS:
        knob = next(iter(GRIDS[name]))
        monkeypatch.setitem(GRIDS, name, {knob: GRIDS[name][knob][:2]})


@pytest.fixture
def boards(tmp_path: Path) -> tuple[Path, Path]:
    """People take eight of the ten items of their own board and later the other two; all took what is popular."""
    random = np.random.default_rng(0)
    train, test = [], []
    for person in range(60):
        own = random.permutation([f"b{person % 6}i{item}" for item in range(10)])
        train += [(f"u{person:02}", item) for item in [*own[:8], "popular"]]
        test += [(f"u{person:02}", item) for item in own[8:]]
    return files(tmp_path, train, test)


def test_popularity_written_out(tmp_path: Path) -> None:
    train = [("p", "a"), ("q", "a"), ("r", "a"), ("q", "b"), ("r", "b"), ("q", "c"), ("p", "d")]
    # r's list is c, d (one taker each, ties by item), p's is b, c; a stranger's a, b.
    test = [("r", "d"), ("r", "x"), ("p", "b"), ("stranger", "c")]
    found = topn(*files(tmp_path, train, test), k=2, model="popularity")
    second = 1 / np.log2(3)
    assert found.metrics == pytest.approx(
        {"recall@2": (1 / 2 + 1 + 0) / 3, "ndcg@2": (second / (1 + second) + 1 + 0) / 3}
    )
    assert (found.model, found.choice, found.validation) == ("popularity", {}, {})


def test_a_pair_twice_counts_once_and_the_order_of_rows_does_not_count(tmp_path: Path) -> None:
    train = [("p", "a"), ("q", "b"), ("r", "b"), ("q", "c"), ("r", "c"), ("r", "d")]
    test = [("p", "b"), ("q", "a")]
    (tmp_path / "twice").mkdir()
    one = topn(*files(tmp_path, train, test), k=1, model="popularity")
    two = topn(*files(tmp_path / "twice", [*train[::-1], ("p", "a"), ("p", "a")], test * 2), k=1, model="popularity")
    assert one.metrics == two.metrics == {"recall@1": 1.0, "ndcg@1": 1.0}


@pytest.mark.parametrize("model", [name for name in MODELS if name != "popularity"])
def test_every_model_finds_the_rest_of_the_board(boards: tuple[Path, Path], model: str) -> None:
    found = topn(*boards, k=2, model=model)
    assert found.metrics == {"recall@2": 1.0, "ndcg@2": 1.0}
    assert set(found.validation) == ({*MEMBERS, "blend"} if model == "blend" else {model})
    assert found.to_json()["model"] == model


def test_the_blend_is_the_default_and_says_what_it_chose(boards: tuple[Path, Path]) -> None:
    told: list[str] = []
    found = topn(*boards, progress=told.append)
    assert found.model == "blend"
    assert set(found.choice["weights"]) == set(MEMBERS)
    assert sum(found.choice["weights"].values()) == pytest.approx(1, abs=1e-5)
    assert json.loads(json.dumps(found.to_json()))["choice"] == found.choice
    assert found.validation["blend"]["recall@20"] == 1.0
    assert any(line.startswith("validation: linear") for line in told)


def test_the_same_choices_and_figures_again(boards: tuple[Path, Path]) -> None:
    one, two = topn(*boards, k=1), topn(*boards, k=1)
    assert (one.metrics, one.validation, one.choice) == (two.metrics, two.validation, two.choice)


def test_choices_never_look_at_the_test(boards: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("user,item\nu00,popular\nu01,b0i0\n")
    one, two = topn(*boards, k=1), topn(boards[0], other, k=1)
    assert one.metrics != two.metrics
    assert (one.validation, one.choice) == (two.validation, two.choice)


def test_held_out_items_leave_the_training_and_nobody_is_left_bare(boards: tuple[Path, Path]) -> None:
    known = pl.read_csv(boards[0])
    products = np.array(sorted(known["item"].unique().to_list()))
    everybody = protocol._people(known, products)
    rest, asked = protocol._held_out(everybody)
    assert asked.taken.nnz == asked.relevant.sum() == 60  # a fifth of nine each, rounded down
    assert rest.purchases.nnz + asked.taken.nnz == everybody.purchases.nnz
    assert (asked.history.purchases.multiply(asked.taken)).nnz == 0
    assert (np.diff(rest.purchases.indptr) == 8).all()


def test_people_with_one_item_leave_nothing_to_choose_on(tmp_path: Path) -> None:
    found = topn(*files(tmp_path, [("p", "a"), ("q", "b"), ("r", "b")], [("p", "b")]), model="blend")
    assert found.validation == {}
    assert found.choice["weights"] == dict.fromkeys(MEMBERS, 1 / len(MEMBERS))


def test_an_unknown_model_and_a_file_without_the_columns_are_named(tmp_path: Path) -> None:
    paths = files(tmp_path, [("p", "a")], [("p", "b")])
    with pytest.raises(RefusedError, match="no model 'neural'; it has blend, user_linear"):
        topn(*paths, model="neural")
    (tmp_path / "bad.csv").write_text("person,item\n1,2\n")
    with pytest.raises(SourceError, match="has no column user"):
        topn(tmp_path / "bad.csv", paths[1])


def test_where_no_member_has_anything_to_say_there_are_figures_all_the_same(tmp_path: Path) -> None:
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("user,item\n1,a\n1,b\n2,a\n")
    test.write_text("user,item\n9,zz\n")
    assert topn(train, test, k=2).metrics == {"recall@2": 0.0, "ndcg@2": 0.0}
