import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import psycopg
import pytest

from recsys_assets.errors import NotFoundError, RefusedError, StoreError
from recsys_assets.identity import KeyRing
from recsys_assets.stores.tracking import Run, Tracking, metric_name

DAY = date(2017, 11, 5)
KEYS = [KeyRing(b"a secret of 16 bytes").user_key(str(n)) for n in range(50)]


@pytest.fixture(scope="module")
def tracking(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    return Tracking(database(), tmp_path_factory.mktemp("a folder with a space") / "mlflow")


def started(tracking: Tracking, name: str, day: date = DAY) -> Run:
    return tracking.run(name, day=day, dagster_run_id="run-1", settings_hash="abc", parameters={"factors": 64})


def status(tracking: Tracking, run: Run) -> str:
    return str(tracking._client.get_run(run.run_id).info.status)


def model(folder: Path) -> Path:
    folder.mkdir()
    np.savez_compressed(folder / "items.npz", factors=np.eye(3, dtype=np.float32), product_ids=np.array(["1", "2"]))
    (folder / "parameters.json").write_text('{"factors": 64}')
    return folder


def files_with(folder: Path, keys: list[str]) -> list[str]:
    """Files that hold a person's key: as text, as numpy's UTF-32 text, as 16 bytes; also inside .npz."""
    forms = [form for key in keys for form in (key.encode(), key.encode("utf-32-le"), bytes.fromhex(key))]
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        if any(form in content for content in contents for form in forms):
            found.append(path.name)
    return found


def test_a_run_keeps_what_it_was_told(tracking: Tracking, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("n")
    with started(tracking, "popularity") as run:
        run.log_metrics({metric_name("ndcg", 10, "test", "new"): 0.25})
        run.log_file(tmp_path / "notes.txt", "notes")
        run.log_figure("metrics_by_model", b"png")
    kept = tracking._client.get_run(run.run_id)
    assert kept.info.status == "FINISHED"
    assert kept.data.metrics == {"test/new/ndcg_at_10": 0.25}
    assert kept.data.params == {"factors": "64"}
    tags = {name: kept.data.tags[name] for name in ("model", "data_day", "dagster_run_id", "settings_hash")}
    assert tags == {
        "model": "popularity",
        "data_day": "2017-11-05",
        "dagster_run_id": "run-1",
        "settings_hash": "abc",
    }
    folder = tracking._artifacts / run.run_id / "artifacts"
    assert (folder / "notes/notes.txt").read_text() == "n"
    assert (folder / "figures/metrics_by_model.png").read_bytes() == b"png"
    assert run.url_path.endswith(f"/runs/{run.run_id}")


def test_a_day_trained_again_supersedes_only_its_own_model_and_day(tracking: Tracking) -> None:
    with started(tracking, "als") as first, started(tracking, "item_cf") as other:
        pass
    with started(tracking, "als", date(2017, 11, 6)) as tomorrow:
        pass
    with started(tracking, "als") as second:
        pass
    superseded = {
        run.run_id: tracking._client.get_run(run.run_id).data.tags.get("superseded_by")
        for run in (first, other, tomorrow, second)
    }
    assert superseded == {first.run_id: second.run_id, other.run_id: None, tomorrow.run_id: None, second.run_id: None}


def test_a_failed_run_says_so_and_supersedes_nothing(tracking: Tracking) -> None:
    with started(tracking, "blend") as good:
        pass
    with pytest.raises(ZeroDivisionError), started(tracking, "blend") as bad:
        _ = 1 / 0
    assert status(tracking, bad) == "FAILED"
    assert "superseded_by" not in tracking._client.get_run(good.run_id).data.tags


def test_an_interrupted_run_is_killed(tracking: Tracking) -> None:
    with pytest.raises(KeyboardInterrupt), started(tracking, "personal") as run:
        raise KeyboardInterrupt
    assert status(tracking, run) == "KILLED"


def test_a_run_that_died_without_a_word_is_killed_by_the_next_one(tracking: Tracking) -> None:
    died = started(tracking, "random")
    assert status(tracking, died) == "RUNNING"
    with started(tracking, "random"):
        assert status(tracking, died) == "KILLED"


def test_many_parameters_and_metrics_are_sent_in_batches(tracking: Tracking) -> None:
    parameters = {f"p{n}": n for n in range(230)}
    with tracking.run("many", day=DAY, dagster_run_id="r", settings_hash="s", parameters=parameters) as run:
        run.log_metrics({f"m{n}": float(n) for n in range(1100)})
    kept = tracking._client.get_run(run.run_id).data
    assert len(kept.params) == 230
    assert kept.metrics["m1099"] == 1099.0
    assert len(kept.metrics) == 1100


def test_no_champion_before_the_first(tracking: Tracking) -> None:
    assert tracking.aliased("challenger") is None


def test_the_champion_is_the_version_last_named_so(tracking: Tracking, tmp_path: Path) -> None:
    with started(tracking, "blend") as run:
        pass
    first = tracking.register(run.run_id, model(tmp_path / "first"), tags={"model": "blend"})
    second = tracking.register(run.run_id, model(tmp_path / "second"))
    assert second == first + 1
    tracking.set_alias(second, "champion")
    tracking.set_alias(first, "champion")
    champion = tracking.champion()
    assert champion is not None
    assert (champion.version, champion.run_id, champion.data_day) == (first, run.run_id, DAY)
    assert tracking.fetch(first) == champion.folder
    assert sorted(path.name for path in champion.folder.iterdir()) == ["items.npz", "parameters.json"]


def test_what_is_not_there_is_named(tracking: Tracking, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="model version 999"):
        tracking.set_alias(999, "champion")
    with pytest.raises(NotFoundError, match="model version 999"):
        tracking.fetch(999)
    with pytest.raises(NotFoundError, match="nothing to register"):
        tracking.register("none", tmp_path)


def test_promise_4_no_person_in_artifacts_or_database(tracking: Tracking, tmp_path: Path) -> None:
    with started(tracking, "als") as run:
        run.log_figure("figure", b"png")
    version = tracking.register(run.run_id, model(tmp_path / "model"))
    assert files_with(tracking.fetch(version).parent, KEYS) == []
    text = []
    with psycopg.connect(tracking._uri) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert ("model_versions",) in tables
        for (table,) in tables:
            text += [row[0] for row in connection.execute(f'SELECT t::text FROM "{table}" t')]
    assert not [key for key in KEYS if any(key in row for row in text)]


def test_the_search_for_people_finds_planted_ones(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "users.npz", keys=np.array(KEYS))
    np.save(tmp_path / "uuids.npy", np.frombuffer(bytes.fromhex(KEYS[3]), dtype=np.uint8))
    (tmp_path / "note.txt").write_text(f"user {KEYS[7]}")
    (tmp_path / "clean.txt").write_text("nobody")
    assert files_with(tmp_path, KEYS) == ["note.txt", "users.npz", "uuids.npy"]


def test_an_absent_database_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/mlflow does not answer") as refused:
        Tracking("postgresql://app:hidden@127.0.0.1:1/mlflow", tmp_path).champion()
    assert "recsys up" in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_two_processes_that_open_a_new_database_at_once_both_succeed(
    database: Callable[[], str], tmp_path: Path
) -> None:
    code = (
        "import sys, pathlib; from recsys_assets.stores.tracking import Tracking;"
        "print(Tracking(sys.argv[1], pathlib.Path(sys.argv[2])).champion())"
    )
    command = [sys.executable, "-c", code, database(), str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate() for process in both] == [("None\n", "")] * 2  # and mlflow says nothing


def test_old_arrays_go_and_named_ones_and_figures_stay(database: Callable[[], str], tmp_path: Path) -> None:
    tracking = Tracking(database(), tmp_path / "mlflow")
    made = {}
    for number, day in enumerate((date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 2), date(2024, 1, 3))):
        with started(tracking, "blend", day) as run:
            run.log_metrics({"ndcg": 0.5})
            made[tracking.register(run.run_id, model(tmp_path / f"model {number}"))] = run
    first, *later = made
    tracking.set_alias(first, "champion")
    size = sum(file.stat().st_size for file in tracking.fetch(first).rglob("*"))

    assert tracking.drop_arrays(0) == 0
    assert tracking.drop_arrays(2) == 0  # the oldest has the alias
    tracking.set_alias(later[-1], "champion")
    assert tracking.drop_arrays(2) == size
    with pytest.raises(NotFoundError, match="Materialize its day again"):
        tracking.fetch(first)
    assert all(tracking.fetch(version).is_dir() for version in later)
    assert tracking._client.get_run(made[first].run_id).data.metrics == {"ndcg": 0.5}


def test_what_was_made_by_hand_is_left_alone(database: Callable[[], str], tmp_path: Path) -> None:
    """As MLflow's UI makes it: a version of a run's artifacts without tags, with aliases; runs of the experiment."""
    tracking = Tracking(database(), tmp_path / "mlflow")
    made = {}
    for number, day in enumerate((date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3))):
        with started(tracking, "blend", day) as run:
            made[tracking.register(run.run_id, model(tmp_path / f"model {number}"))] = run
    first, second, third = made
    client, theirs = tracking._client, tracking._client.get_run(made[first].run_id).info
    copied = client.create_model_version("recsys", f"{theirs.artifact_uri}/model", run_id=theirs.run_id)
    (tmp_path / "theirs").mkdir()
    foreign = client.create_model_version("recsys", (tmp_path / "theirs").as_uri())
    tags = {"data_day": "soon", "dagster_run_id": "x", "settings_hash": "x"}
    client.create_model_version("recsys", (tmp_path / "theirs").as_uri(), run_id=theirs.run_id, tags=tags)
    client.set_registered_model_alias("recsys", "champion", foreign.version)
    client.set_registered_model_alias("recsys", "mine", copied.version)
    by_hand = client.create_run(theirs.experiment_id, tags={"model": "blend", "data_day": "2024-01-01"})

    size = sum(file.stat().st_size for file in tracking.fetch(second).rglob("*"))
    assert tracking.drop_arrays(1) == size
    assert tracking.fetch(first).is_dir()  # theirs stands on it
    assert tracking.fetch(third).is_dir()
    assert (tmp_path / "theirs").is_dir()
    with started(tracking, "blend", date(2024, 1, 1)):
        pass
    kept = client.get_run(by_hand.info.run_id)
    assert (kept.info.status, "superseded_by" in kept.data.tags) == ("RUNNING", False)
    with pytest.raises(RefusedError, match=rf"champion .*is on version {foreign.version}, .*another alias"):
        tracking.champion()
    with pytest.raises(NotFoundError, match="was not made here"):
        tracking.fetch(int(foreign.version))
    tracking.set_alias(third, "champion")
    champion = tracking.champion()
    assert champion is not None
    assert champion.version == third
    assert client.get_registered_model("recsys").aliases == {"champion": third, "mine": copied.version}


def test_an_experiment_that_was_deleted_is_named_with_the_way_back(database: Callable[[], str], tmp_path: Path) -> None:
    tracking = Tracking(database(), tmp_path / "mlflow")
    with started(tracking, "als") as run:
        pass
    client = tracking._client
    client.delete_experiment(client.get_run(run.run_id).info.experiment_id)
    with pytest.raises(RefusedError, match="mlflow experiments restore --experiment-id"):
        started(tracking, "als")
