"""Made sequences of the protocol's shape: what comes next is known."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_assets.benchmark import sequence as protocol
from recsys_assets.benchmark.sequence import MEMBERS, MODELS, Fitted, Sequences, Stage, sequence
from recsys_assets.errors import RefusedError, SourceError


def file(folder: Path, people: dict[str, list[str]]) -> Path:
    """Each user's items in order; positions have gaps."""
    rows = [(user, 3 * place, item) for user, items in people.items() for place, item in enumerate(items)]
    path = folder / "sequences.csv"
    pl.DataFrame(rows, ["user", "position", "item"], orient="row").write_csv(path)
    return path


@pytest.fixture(autouse=True)
def few_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search is the same with two trials, and ALS with few factors."""
    monkeypatch.setitem(MEMBERS, "transitions", ("transitions", {}, {"step_decay": (0.5,), "backward": (0.5,)}))
    monkeypatch.setitem(MEMBERS, "als", ("als", {"factors": 8, "regularization": 0.2, "iterations": 2}, {}))
    monkeypatch.setattr(protocol, "TREES", {"trees": 10, "leaves": 4, "least_in_leaf": 20})


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """Ninety people go round a ring of thirty products from somewhere, and now and then take what is popular."""
    random = np.random.default_rng(0)
    people = {}
    for person in range(90):
        start = person % 30
        items = [f"r{(start + step) % 30:02}" for step in range(5 + person % 3)]
        if random.random() < 0.5:
            items.insert(int(random.integers(0, 3)), f"popular{random.integers(2)}")
        people[f"u{person:02}"] = items
    return file(tmp_path, people)


def test_what_is_known_before_the_last_items(tmp_path: Path) -> None:
    data = Sequences.read(file(tmp_path, {"q": ["c", "a"], "p": ["b", "c", "a", "d"]}))
    assert data.people.tolist() == ["p", "q"]
    assert data.products.tolist() == ["a", "b", "c", "d"]
    known = data.without(2)
    assert known.steps.indptr.tolist() == [0, 2, 2]
    assert known.steps.columns.tolist() == [1, 2]
    assert known.steps.baskets.tolist() == [0, 1]
    assert known.steps.ages.tolist() == [2, 1]
    assert known.purchases.toarray().tolist() == [[0, 1, 1, 0], [0, 0, 0, 0]]
    assert data.faded(known).frequency.toarray().tolist() == [[0, 0.5, 1, 0], [0, 0, 0, 0]]
    people, targets = data.targets(2)
    assert (people.tolist(), targets.tolist()) == ([0], [0])
    people, targets = data.targets(1)
    assert (people.tolist(), targets.tolist()) == ([0, 1], [3, 0])


def test_positions_order_and_rows_do_not(ring: Path, tmp_path: Path) -> None:
    shuffled = tmp_path / "shuffled.parquet"
    pl.read_csv(ring).sample(fraction=1, shuffle=True, seed=1).write_parquet(shuffled)

    def told(path: Path) -> str:
        answer = sequence(path, k=3).to_json()
        return json.dumps({name: answer[name] for name in ("hr@3", "ndcg@3_strict", "validation", "choice", "model")})

    assert told(shuffled) == told(ring)


def test_figures_of_the_most_popular(tmp_path: Path) -> None:
    """Known before the last items: a of p, q, r and s, b of r and s, c of s; nobody is asked about what they have.

    p's answer b is the first of its list, and q's c the second; r's c is first; s's d stands nowhere.
    """
    path = file(
        tmp_path,
        {
            "p": ["a", "x", "y", "z", "b"],
            "q": ["a", "x", "y", "z", "c"],
            "r": ["a", "x", "y", "z", "b", "c"],
            "s": ["a", "x", "y", "z", "b", "c", "d"],
        },
    )
    found = sequence(path, k=2, model="popularity")
    assert found.model == "popularity"
    assert found.metrics["hr@2"] == pytest.approx(3 / 4)
    assert found.metrics["ndcg@2"] == pytest.approx((1 + 1 / np.log2(3) + 1) / 4)
    assert set(found.metrics) == {"hr@2", "ndcg@2", "hr@2_strict", "ndcg@2_strict"}


def test_strict_models_never_saw_the_validation_items_and_refitted_ones_did(tmp_path: Path) -> None:
    """The half's validation item is the other half's test item and stands nowhere else."""
    people = {f"p{place}": ["a", "b", "c", "late", "d"] for place in range(4)}
    people |= {f"q{place}": ["a", "b", "c", "d", "late"] for place in range(4)}
    found = sequence(file(tmp_path, people), k=2, model="popularity")
    assert found.validation == {"popularity": {"hr@2": 0.0, "ndcg@2": 0.0}}
    assert found.metrics["hr@2_strict"] == 0.0
    assert found.metrics["hr@2"] == 1.0


def test_what_an_order_may_learn_from_is_the_trainings(ring: Path) -> None:
    """Facts of products come from what members were fitted on, whatever the histories that are asked with."""
    data = Sequences.read(ring)
    fitted = Fitted.on({"popularity": {}}, data.without(2))
    asked = Stage.asked(data, fitted, 1, 3).pool
    counts = np.bincount(data.without(2).steps.columns, minlength=len(data.products))
    np.testing.assert_allclose(asked.feature("taken"), np.log1p(counts[asked.columns]).astype(np.float32))
    assert (asked.feature("person_length") == np.diff(data.without(1).steps.indptr)[asked.rows]).all()


def test_what_a_user_has_is_not_put_forward(ring: Path) -> None:
    data = Sequences.read(ring)
    known = data.without(1)
    pool = Stage.asked(data, Fitted.on({"transitions": {}, "als": {"factors": 4}}, known), 1, 3).pool
    assert len(pool.rows)
    assert not known.purchases[pool.rows, pool.columns].any()


def test_the_way_round_is_found(ring: Path) -> None:
    found = sequence(ring, k=3)
    assert list(found.validation) == list(MODELS)
    assert found.metrics["hr@3"] > 0.9
    assert found.metrics["hr@3_strict"] > 0.9
    assert found.validation["popularity"]["hr@3"] < 0.5
    best = max(found.validation, key=lambda name: found.validation[name]["ndcg@3"])
    assert found.model == found.choice["model"] == best
    assert set(found.choice["weights"]) == set(MEMBERS)


def test_parameters_are_those_that_the_validation_likes(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules of which only the backward ones count would lead back: they are tried and not taken."""
    grid = {"backward": (100.0,), "reach": (1,)}
    monkeypatch.setitem(MEMBERS, "transitions", ("transitions", {"backward": 50.0}, {"backward": (0.0, 100.0)}))
    assert sequence(ring, k=3, model="transitions").choice["parameters"] == {"transitions": {"backward": 0.0}}
    monkeypatch.setitem(MEMBERS, "transitions", ("transitions", {"backward": 0.0}, grid))
    chosen = sequence(ring, k=3, model="transitions").choice["parameters"]["transitions"]
    assert chosen["backward"] == 0.0


@pytest.mark.parametrize("model", MODELS)
def test_each_model_can_be_asked_for(ring: Path, model: str) -> None:
    found = sequence(ring, k=5, model=model)
    assert found.model == model
    assert 0 <= found.metrics["ndcg@5"] <= found.metrics["hr@5"] <= 1
    assert found.validation[model]["hr@5"] >= found.validation[model]["ndcg@5"]


def test_more_places_than_candidates_are_asked_for(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "DEPTH", 1)
    monkeypatch.setattr(protocol, "KEPT", 1)
    assert sequence(ring, k=32, model="popularity").metrics["hr@32"] == 1.0


def test_two_items_at_one_position_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("user,position,item\np,1,a\np,2,b\np,2,c\np,3,d\n")
    with pytest.raises(SourceError, match=r"bad\.csv has two items at position 2 of user p"):
        sequence(path)


def test_sequences_too_short_to_choose_on_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no user with four items"):
        sequence(file(tmp_path, {"p": ["a", "b", "c"]}))


def test_unknown_models_are_named(ring: Path) -> None:
    with pytest.raises(RefusedError, match="no model 'bert'; it has transitions, last"):
        sequence(ring, model="bert")


def test_where_no_order_can_be_learned_one_is_refused_or_done_without(tmp_path: Path) -> None:
    """Nobody takes what anybody took before."""
    path = file(tmp_path, {user: [f"{user}{place}" for place in range(5)] for user in "pqr"})
    with pytest.raises(RefusedError, match="no order to learn"):
        sequence(path, model="learned")
    assert "learned" not in sequence(path).validation
