"""Made shops of the protocol's shape: who takes what next is known."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_assets.benchmark import basket as protocol
from recsys_assets.benchmark.basket import MODELS, Baskets, Stage, basket
from recsys_assets.errors import RefusedError, SourceError
from recsys_assets.models.members import MEMBER_MODELS

Rows = list[tuple[str, int, str]]
Files = tuple[Path, Path]


def files(folder: Path, history: Rows, following: list[tuple[str, str]]) -> Files:
    pl.DataFrame(history, ["user", "basket", "item"], orient="row").write_csv(folder / "history.csv")
    pl.DataFrame(following, ["user", "item"], orient="row").write_csv(folder / "next.csv")
    return folder / "history.csv", folder / "next.csv"


@pytest.fixture
def habits(tmp_path: Path) -> Files:
    """Sixty people in six groups, who take their group's two products in turns, what is popular, and chance ones.

    Those of odd number have three baskets, those of even number four.
    """
    random = np.random.default_rng(0)
    history: Rows = []
    following = []
    for person in range(60):
        user, size = f"u{person:02}", 3 + person % 2
        taken = [
            [f"g{person % 6}{'ab'[number % 2]}", f"x{random.integers(0, 30):02}"] + ["all"] * int(random.random() < 0.5)
            for number in range(size + 1)
        ]
        history += [(user, number, item) for number in range(size) for item in taken[number]]
        following += [(user, item) for item in taken[size]]
    return files(tmp_path, history, following)


def test_files_become_steps_with_ages_in_baskets(tmp_path: Path) -> None:
    """Numbers of baskets may have gaps; an entry that comes twice is one."""
    data = Baskets.read(
        *files(tmp_path, [("p", 9, "b"), ("p", 3, "c"), ("p", 3, "a"), ("p", 3, "a"), ("q", 0, "c")], [("p", "a")])
    )
    steps = data.known.steps
    assert data.known.person_keys.tolist() == ["p", "q"]
    assert data.known.product_ids.tolist() == ["a", "b", "c"]
    assert steps.indptr.tolist() == [0, 3, 4]
    assert steps.columns.tolist() == [0, 2, 1, 2]
    assert steps.baskets.tolist() == [0, 0, 1, 0]
    assert steps.ages.tolist() == [2, 2, 1, 1]
    assert data.known.purchases.toarray().tolist() == [[1, 1, 1], [0, 0, 1]]


def test_a_repeated_product_counts_each_of_its_baskets(tmp_path: Path) -> None:
    data = Baskets.read(*files(tmp_path, [("p", 0, "a"), ("p", 1, "a"), ("p", 1, "b")], [("p", "a")]))
    assert data.known.purchases.toarray().tolist() == [[2, 1]]


def test_what_nobody_knew_counts_against_recall_and_strangers_are_asked_too(tmp_path: Path) -> None:
    data = Baskets.read(
        *files(tmp_path, [("p", 0, "a"), ("q", 0, "b")], [("p", "a"), ("p", "new"), ("z", "b"), ("z", "b")])
    )
    assert data.known.person_keys.tolist() == ["p", "q", "z"]
    assert data.following.asked.tolist() == [0, 2]
    assert data.following.relevant.tolist() == [2, 1]
    assert data.following.taken.toarray().tolist() == [[1, 0], [0, 1]]


def test_the_last_known_basket_is_held_out_unless_it_is_the_only_one(tmp_path: Path) -> None:
    history = [("p", 0, "a"), ("p", 1, "b"), ("p", 2, "c"), ("p", 2, "a"), ("q", 5, "b")]
    train, held = Baskets.read(*files(tmp_path, history, [("p", "a")])).without_last()
    assert train.steps.columns.tolist() == [0, 1, 1]
    assert train.steps.ages.tolist() == [2, 1, 1]
    assert train.purchases.toarray().tolist() == [[1, 1, 0], [0, 1, 0]]
    assert held.asked.tolist() == [0]
    assert held.taken.toarray().tolist() == [[1, 0, 1]]
    assert held.relevant.tolist() == [2]


def test_recall_and_phr_of_the_most_popular(tmp_path: Path) -> None:
    """a has three takers, b two, c one. Two places: p finds a of a and c, q b of b, r neither c nor d."""
    history = [("p", 0, "a"), ("q", 0, "a"), ("r", 0, "a"), ("p", 0, "b"), ("q", 0, "b"), ("r", 0, "c")]
    history += [(user, 1, item) for user, _, item in history]
    following = [("p", "a"), ("p", "c"), ("q", "b"), ("r", "c"), ("r", "d")]
    found = basket(*files(tmp_path, history, following), k=2, model="popularity")
    assert found.metrics == pytest.approx({"recall@2": (1 / 2 + 1 / 1 + 0) / 3, "phr@2": 2 / 3})
    assert found.model == "popularity"


def stage_of(data: Baskets, names: tuple[str, ...]) -> Stage:
    train, held = data.without_last()
    models = {name: MEMBER_MODELS[name]() for name in names}
    for model in models.values():
        model.fit(train)
    return Stage.asked(models, train, held, 3)


def test_a_member_finds_nothing_where_it_knows_nothing(tmp_path: Path) -> None:
    """`personal` knows one product of q; a list filled up with what others put forward would hold the a of q."""
    history = [("p", 0, "a"), ("p", 0, "b"), ("p", 1, "b"), ("q", 0, "c"), ("q", 1, "a")]
    stage = stage_of(Baskets.read(*files(tmp_path, history, [("p", "a")])), ("popularity", "personal"))
    assert stage.figures(stage.said("personal"), 3) == {"recall@3": 0.5, "phr@3": 0.5}
    assert stage.figures(stage.said("popularity"), 3) == {"recall@3": 1.0, "phr@3": 1.0}


def test_no_model_sees_the_basket_that_is_held_out(tmp_path: Path) -> None:
    """A product that is only in last baskets scores 0 on the validation and is found on the test."""
    history = [(f"p{place}", number, f"i{place}{number}") for place in range(4) for number in range(2)]
    history += [(f"p{place}", 2, "leak") for place in range(4)]
    found = basket(*files(tmp_path, history, [(f"p{place}", "leak") for place in range(4)]), k=1, model="popularity")
    assert found.validation == {"popularity": {"recall@1": 0.0, "phr@1": 0.0}}
    assert found.metrics == {"recall@1": 1.0, "phr@1": 1.0}


def test_habits_are_found(habits: Files) -> None:
    """Who takes two products in turns takes the other one next: transitions know, popularity does not."""
    found = basket(*habits, k=3)
    assert set(found.validation) == set(MODELS)
    assert found.validation[found.model]["recall@3"] == max(told["recall@3"] for told in found.validation.values())
    assert found.metrics["phr@3"] > 0.9
    assert found.validation["popularity"]["recall@3"] < found.validation["blend"]["recall@3"]
    assert found.validation["blend"]["recall@3"] >= max(found.validation[name]["recall@3"] for name in protocol.MEMBERS)


@pytest.mark.parametrize("model", MODELS)
def test_each_model_can_be_asked_for(habits: Files, model: str) -> None:
    found = basket(*habits, k=3, model=model)
    assert found.model == model
    assert set(found.validation) == {
        "learned": {*MODELS},
        "blend": {*MODELS} - {"learned"},
    }.get(model, {model})
    assert set(found.metrics) == {"recall@3", "phr@3"}
    assert 0 < found.metrics["recall@3"] <= found.metrics["phr@3"] <= 1


def test_the_same_figures_whatever_the_order_of_rows(habits: Files, tmp_path: Path) -> None:
    def told(one: Files) -> str:
        answer = basket(*one, k=3).to_json()
        return json.dumps({name: answer[name] for name in ("recall@3", "phr@3", "validation", "choice", "model")})

    shuffled = tmp_path / "h.parquet", tmp_path / "n.parquet"
    for file, other in zip(habits, shuffled, strict=True):
        pl.read_csv(file).sample(fraction=1, shuffle=True, seed=1).write_parquet(other)
    assert told(shuffled) == told(habits)


def test_candidates_are_cut_to_the_blends_best(habits: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "CANDIDATES", 5)
    stage = stage_of(Baskets.read(*habits), ("popularity", "personal"))
    weights = {"popularity": 0.3, "personal": 0.7}
    best = stage.shortlisted(weights)
    assert best.pool.groups(60).tolist() == [5] * 60
    assert best.figures(best.blended(weights), 3) == stage.figures(stage.blended(weights), 3)
    assert best.pool.names[:3] == ("popularity", "personal", "blend")


def test_an_unknown_model_is_refused(habits: Files) -> None:
    with pytest.raises(RefusedError, match="has no model 'best'; it has popularity, personal, basket"):
        basket(*habits, model="best")


def test_a_file_of_another_shape_is_refused(habits: Files) -> None:
    with pytest.raises(SourceError, match=r"next\.csv has no column basket"):
        basket(habits[1], habits[0])


def test_nobody_with_two_baskets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"history\.csv has no user with two baskets"):
        basket(*files(tmp_path, [("p", 0, "a"), ("q", 0, "b")], [("p", "a")]))
