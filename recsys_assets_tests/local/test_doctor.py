import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import redis
from click.testing import CliRunner, Result

from recsys_assets.commands.doctor import doctor
from recsys_assets.local import doctor as probes
from recsys_assets.local.processes import free_port
from recsys_assets.settings import Home, Source
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import CATALOG
from recsys_assets_tests.published import Stores

Examine = Callable[..., dict[str, list[dict[str, str]]]]


@pytest.fixture
def stores(make_home: Callable[..., Home], tmp_path: Path, database: Callable[[], str], redis_url: str) -> Stores:
    (tmp_path / "events.csv").write_text("event_type\n")
    source = Source(format="contract", path=str(tmp_path / "events.csv"))
    return Stores(make_home(sources=(source,)), database(), redis_url)


@pytest.fixture
def examine(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Findings of `recsys doctor`, by what was looked at; its exit code has to fit them."""

    def run(**variables: str) -> dict[str, list[dict[str, str]]]:
        with monkeypatch.context() as patch:
            for name, value in {**stores.environment, **variables}.items():
                patch.setenv(name, value)
            result: Result = CliRunner().invoke(doctor, ["--json"])
            told = CliRunner().invoke(doctor, [])
        assert isinstance(result.exception, SystemExit | None), result.exception
        found: list[dict[str, str]] = json.loads(result.output)
        failed = any(finding["level"] == "fail" for finding in found)
        assert (result.exit_code, told.exit_code) == (int(failed), int(failed))
        assert all(finding["todo"] for finding in found if finding["level"] != "ok")
        for finding in found:
            assert finding["what"] in told.output
        by: dict[str, list[dict[str, str]]] = {}
        for finding in found:
            by.setdefault(finding["what"], []).append(finding)
        return by

    return run


def levels(found: dict[str, list[dict[str, str]]], what: str) -> list[str]:
    return [finding["level"] for finding in found[what]]


def test_a_sound_home_has_no_failure(stores: Stores, examine: Examine) -> None:
    stores.publish(["1"])
    found = examine(RECSYS_ALERT_WEBHOOK="http://127.0.0.1:1/x")
    for what in ("python", "settings", "home", "secret", "lake", "disk", "sources", "alerts", "schema", "published"):
        assert levels(found, what) == ["ok"], found[what]
    assert levels(found, "RECSYS_POSTGRES_URL") == ["ok"]
    assert set(levels(found, "clock")) == {"ok"}
    assert not (stores.home.lake / "doctor").exists()


def test_each_thing_that_is_wrong_is_named_with_a_remedy(stores: Stores, examine: Examine, tmp_path: Path) -> None:
    (stores.home.path / "secret").chmod(0o644)
    (tmp_path / "events.csv").unlink()
    stores.home.lake.write_text("a file where the folder should be")
    with redis.Redis.from_url(stores.redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = examine()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert "can be read by others (mode 644)" in found["secret"][1]["said"]
    assert found["secret"][1]["todo"].startswith("chmod 600")
    assert levels(found, "lake") == ["fail"]
    assert levels(found, "sources") == ["fail"]
    assert levels(found, "alerts") == ["warn"]
    assert "allkeys-lru" in found["RECSYS_REDIS_URL"][1]["said"]
    assert levels(found, "schema") == ["warn"]
    assert "nothing is live" in found["published"][0]["said"]


def test_servers_that_are_away_are_each_a_line_and_their_passwords_none(examine: Examine) -> None:
    away = free_port()
    found = examine(
        RECSYS_POSTGRES_URL=f"postgresql://app:hush@127.0.0.1:{away}/x",
        RECSYS_MLFLOW_POSTGRES_URL="postgresql://app:hu/sh@127.0.0.1/x",
        RECSYS_REDIS_URL=f"redis://:hush@127.0.0.1:{away}/0",
    )
    assert levels(found, "RECSYS_POSTGRES_URL") == ["fail"]
    assert levels(found, "RECSYS_DAGSTER_POSTGRES_URL") == ["ok"]
    assert levels(found, "RECSYS_REDIS_URL") == ["fail"]
    assert "hush" not in json.dumps(found)
    assert "hu/sh" not in json.dumps(found)


def test_a_plain_connection_to_another_machine_is_named(stores: Stores, examine: Examine) -> None:
    elsewhere = stores.postgres_url.replace("@127.0.0.1:", "@db.example:") + "?hostaddr=127.0.0.1"
    found = examine(RECSYS_POSTGRES_URL=elsewhere)
    assert levels(found, "RECSYS_POSTGRES_URL") == ["warn", "ok"]
    assert "without verified TLS" in found["RECSYS_POSTGRES_URL"][0]["said"]
    assert "sslmode=verify-full" in found["RECSYS_POSTGRES_URL"][0]["todo"]
    assert levels(found, "RECSYS_MLFLOW_POSTGRES_URL") == levels(found, "RECSYS_REDIS_URL") == ["ok"]
    redis_url = stores.redis_url.replace("127.0.0.1", "cache.example")
    assert [finding.level for finding in probes._network("RECSYS_REDIS_URL", redis_url)] == ["warn"]
    assert list(probes._network("RECSYS_REDIS_URL", redis_url.replace("redis:", "rediss:"))) == []


def test_wrong_settings_a_missing_home_and_a_newer_schema_are_lines_too(stores: Stores, examine: Examine) -> None:
    found = examine(RECSYS_THREADS="many", RECSYS_HOMME="x")
    assert levels(found, "settings") == ["fail"]
    assert "did you mean RECSYS_HOME?" in found["settings"][0]["said"]
    assert "recsys init" in examine(RECSYS_HOME="/nowhere")["home"][0]["said"]
    stores.publish(["1"])
    with psycopg.connect(stores.postgres_url) as connection:
        connection.execute("INSERT INTO schema_version VALUES (999)")
    found = examine()
    assert levels(found, "schema") == ["fail"]
    assert levels(found, "published") == ["fail"]


def test_a_clock_is_wrong_by_what_lies_outside_of_the_asking() -> None:
    before = datetime(2024, 1, 1, tzinfo=UTC)
    after = before + timedelta(seconds=60)  # a slow answer is not a wrong clock
    assert [finding.level for finding in probes._clock("x", before + timedelta(seconds=30), before, after)] == ["ok"]
    (late,) = probes._clock("x", before - timedelta(seconds=5), before, after)
    assert (late.level, "5.0 s" in late.said) == ("warn", True)


def test_a_full_disk_and_a_stale_generation_are_told(
    stores: Stores, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.publish(["1"])
    with psycopg.connect(stores.postgres_url) as connection:
        connection.execute("UPDATE generations SET flipped_at = now() - interval '3 days'")
    monkeypatch.setattr(probes, "LEAST_BYTES", 10**18)
    found = examine()
    assert levels(found, "disk") == ["fail"]
    assert (levels(found, "published"), "72 h ago" in found["published"][0]["said"]) == (["warn"], True)


def test_packages_are_compared_with_the_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed = subprocess.run(
        [sys.executable, "-c", "from importlib.metadata import version; print(version('click'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    monkeypatch.setattr(probes, "CHECKOUT", tmp_path)
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"click=={installed} ; x \\\n    --hash=sha256:0\nclick==99 ; y \\\nnot-there-at-all==1\n")
    assert [finding.level for finding in probes._versions()] == ["ok", "ok"]
    lock.write_text("click==99\n")
    (_, packages) = probes._versions()
    assert packages.said == f"1 are not as locked: click {installed} instead of 99"


def test_what_others_may_read_and_what_is_damaged_is_named_with_the_line_that_mends_it(
    stores: Stores, examine: Examine
) -> None:
    home, lists = stores.home, stores.home.exports / "the lists.csv"
    lists.parent.mkdir()
    lists.write_text("person_key\n")
    home.path.chmod(0o755)
    lists.chmod(0o644)
    Lake(home.lake).write(CATALOG, date(2024, 3, 1), CATALOG.empty())
    (home.lake / "catalog/2024-03-01/part.parquet").unlink()
    found = examine()
    todo = [finding["todo"] for finding in found["rights"]]
    assert todo == [f"chmod 700 {shlex.quote(str(home.path))}", f"chmod 600 {shlex.quote(str(lists))}"]
    ((said, way),) = [(finding["said"], finding["todo"]) for finding in found["files"]]
    assert said == "the lake's file catalog/2024-03-01/part.parquet is gone"
    assert way == "`recsys run daily --day 2024-03-01`, or restore a backup."
    for line in todo:
        subprocess.run(line, shell=True, check=True)
    Lake(home.lake).write(CATALOG, date(2024, 3, 1), CATALOG.empty())
    found = examine()
    assert (levels(found, "rights"), levels(found, "files")) == (["ok"], ["ok"])
