"""The protocol on made sessions whose next click is known."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from recsys_assets.benchmark import sessions as protocol
from recsys_assets.benchmark.sessions import Clicks, Queries, sessions
from recsys_assets.commands.benchmark import benchmark
from recsys_assets.errors import RefusedError, SourceError
from recsys_assets.models.top import Picks

ITEMS = 40
Files = tuple[Path, Path]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One value more per parameter is a search, and ten trees order what is planted."""
    monkeypatch.setattr(protocol, "GRID", {name: values[:2] for name, values in protocol.GRID.items()})
    monkeypatch.setattr(protocol, "RANKER", {"trees": 10, "leaves": 7, "least_in_leaf": 5})


def planted(count: int, seed: int = 0) -> list[list[int]]:
    """Sessions walk around a circle of items, and every fourth step stays where it is."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        item = int(random.integers(ITEMS))
        clicks = [item]
        for place in range(int(random.integers(1, 6))):
            clicks.append(clicks[-1] if place == 3 else (clicks[-1] + 1) % ITEMS)
        made.append(clicks)
    return made


def as_train(made: list[list[int]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(session, position, item) for session, clicks in enumerate(made) for position, item in enumerate(clicks)],
        schema=["session", "position", "item"],
        orient="row",
    )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    train, test = tmp_path / "train.parquet", tmp_path / "test.parquet"
    as_train(planted(400)).write_parquet(train)
    prefixes = [(clicks[:-1], clicks[-1]) for clicks in planted(50, seed=1)]
    pl.DataFrame(prefixes, schema=["prefix", "target"], orient="row").write_parquet(test)
    return train, test


def test_what_is_planted_is_found_and_every_model_is_judged(files: Files) -> None:
    told: list[str] = []
    outcome = sessions(*files, k=5, progress=told.append)
    assert list(outcome.metrics) == ["p@5", "mrr@5"]
    assert outcome.metrics["p@5"] == 1.0
    assert outcome.metrics["mrr@5"] > 0.9
    assert set(outcome.validation) == {"session", "transitions", "popularity", "blend", "learned"}
    best = max(outcome.validation, key=lambda name: sum(outcome.validation[name].values()))
    assert sum(outcome.validation[outcome.model].values()) == sum(outcome.validation[best].values())
    assert outcome.validation["session"]["p@5"] > outcome.validation["popularity"]["p@5"]
    assert any(line.startswith("session: {") for line in told)


@pytest.mark.parametrize("model", ["session", "transitions", "popularity", "blend", "learned"])
def test_a_named_model_is_the_one_that_is_measured(files: Files, model: str) -> None:
    outcome = sessions(*files, k=5, model=model)
    assert outcome.model == model
    assert list(outcome.validation) == [model]
    reached = outcome.metrics["p@5"]
    assert reached < 0.5 if model == "popularity" else reached > 0.7
    assert ("weights" in outcome.choice, "ranker" in outcome.choice) == (model == "blend", model == "learned")
    json.dumps(outcome.to_json())


def test_clicks_on_the_same_item_again_are_not_masked(files: Files, tmp_path: Path) -> None:
    """The fourth step stays: a list that leaves out the last item finds none of these."""
    test = tmp_path / "again.parquet"
    pl.DataFrame(
        {"prefix": [[item, item + 1, item + 2, item + 3] for item in range(30)], "target": range(3, 33)}
    ).write_parquet(test)
    assert sessions(files[0], test, k=2, model="learned").metrics["p@2"] > 0.7


def test_the_order_of_rows_does_not_matter(files: Files, tmp_path: Path) -> None:
    other = tmp_path / "shuffled.parquet"
    pl.read_parquet(files[0]).sample(fraction=1, shuffle=True, seed=1).write_parquet(other)
    one, two = (sessions(path, files[1], k=3).to_json() for path in (files[0], other))
    for name in ("p@3", "mrr@3", "validation", "choice"):
        assert one[name] == two[name]


def test_an_unknown_prefix_gets_what_is_popular_and_an_unknown_target_counts_as_missed(
    files: Files, tmp_path: Path
) -> None:
    test = tmp_path / "unknown.parquet"
    pl.DataFrame({"prefix": [[999]] * ITEMS + [[1]], "target": [*range(ITEMS), 1000]}).write_parquet(test)
    outcome = sessions(files[0], test, k=4, model="session")
    assert outcome.metrics["p@4"] == pytest.approx(4 / (ITEMS + 1))
    assert outcome.metrics["mrr@4"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / (ITEMS + 1))


def test_figures_are_means_over_all_prefixes() -> None:
    clicks = Clicks(np.array([0, 1, 2, 3]), np.zeros(3, dtype=np.int32), np.array(["a", "b", "c"]))
    queries = Queries(clicks.people(1.0), np.array([0, 2, 1]))
    picks = Picks(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2]), np.array([2, 1, 2, 1], dtype=np.float32))
    assert queries.figures(picks, 2) == {"p@2": 2 / 3, "mrr@2": (1 + 1 / 2) / 3}
    assert queries.figures(picks, 1) == {"p@1": 1 / 3, "mrr@1": 1 / 3}


def test_every_prefix_of_a_session_is_a_query() -> None:
    clicks = Clicks(np.array([0, 1, 4]), np.array([3, 0, 2, 1], dtype=np.int32), np.array(list("abcd")))
    queries = clicks.queries()
    assert queries.targets.tolist() == [2, 1]
    assert queries.history.steps.indptr.tolist() == [0, 1, 3]
    assert queries.history.steps.columns.tolist() == [0, 0, 2]


def test_sessions_are_as_old_as_there_are_later_ones() -> None:
    clicks = Clicks(np.array([0, 2, 3]), np.array([2, 0, 1], dtype=np.int32), np.array(list("abc")))
    steps = clicks.people(per_day=2.0).steps
    assert steps.columns.tolist() == [2, 0, 1]
    assert steps.ages.tolist() == [1.0, 1.0, 0.5]
    assert steps.baskets.tolist() == [0, 1, 0]


def test_what_cannot_be_done_is_said(files: Files, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no model 'als'; it has session"):
        sessions(*files, model="als")
    few = tmp_path / "few.parquet"
    as_train(planted(5)).write_parquet(few)
    with pytest.raises(SourceError, match="no second click"):
        sessions(few, files[1])
    with pytest.raises(SourceError, match="has no column target, prefix"):
        sessions(files[0], files[0])


def test_the_command_prints_one_object_on_its_last_line(files: Files) -> None:
    ran = CliRunner().invoke(benchmark, ["sessions", *map(str, files), "--k", "3", "--model", "session", "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.output.splitlines()[-1])
    assert {"p@3", "mrr@3", "model", "fit_seconds", "score_seconds", "peak_mb"} <= set(told)
