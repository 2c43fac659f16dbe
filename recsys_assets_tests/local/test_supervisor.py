import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path

import psycopg
import pytest
import redis

from recsys_assets.errors import HomeError, StoreError
from recsys_assets.local.processes import born, wait_until
from recsys_assets.local.state import owner_lock, read_state, state_of, write_state
from recsys_assets.local.supervisor import down, platform_environment, running, servers
from recsys_assets.settings import Home, Settings, init_home, load_settings, open_home
from recsys_assets_tests.conftest import remove_postgres


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Home]]:
    """A home in a private folder with a space in its name; its data live through the module."""
    folder = tmp_path_factory.mktemp("private folder")
    folder.chmod(0o700)
    settings = load_settings({"RECSYS_HOME": str(folder / "a shop")})
    yield settings, init_home(settings, first_day=date(2024, 1, 1), time_zone="UTC", currency="EUR")
    remove_postgres(settings.home)


Start = Callable[..., tuple[subprocess.Popen[str], list[int]]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts an owner of a home; gives it and its servers' process ids. What a failed test leaves is killed."""
    with ExitStack() as stack:

        def begin(home: Home, *flags: str) -> tuple[subprocess.Popen[str], list[int]]:
            command = [sys.executable, "-m", "recsys_assets_tests.local.owner", str(home.path), *flags]
            owner = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            stack.enter_context(owner)
            stack.callback(owner.kill)
            assert owner.stdout is not None
            line = owner.stdout.readline()
            assert line, owner.stderr.read() if owner.stderr else ""
            pids = list(json.loads(line).values())
            stack.callback(kill_living, pids)
            return owner, pids

        yield begin


def kill_living(pids: list[int]) -> None:
    for pid in pids:
        if born(pid) is not None:
            os.kill(pid, signal.SIGKILL)


def gone(pids: list[int]) -> bool:
    return all(born(pid) is None for pid in pids)


def finish(owner: subprocess.Popen[str]) -> int:
    assert owner.stdin is not None
    owner.stdin.close()
    return owner.wait(60)


def test_data_survive_a_stop_and_nothing_is_left(shop: tuple[Settings, Home]) -> None:
    settings, home = shop
    with servers(settings, home) as found:
        state = running(home)
        assert state is not None
        assert state.owner == os.getpid()
        for url in (found.postgres_url, found.dagster_postgres_url, found.mlflow_postgres_url):
            with psycopg.connect(url) as connection:
                connection.execute("CREATE TABLE kept (value text)")
                connection.execute("INSERT INTO kept VALUES (%s)", [url.rpartition("/")[2]])
        with redis.Redis.from_url(found.redis_url) as client:
            client.set("kept", "yes")
    assert gone([process.pid for process in state.processes])
    assert running(home) is None
    with servers(settings, home) as found:
        with psycopg.connect(found.mlflow_postgres_url) as connection:
            assert connection.execute("SELECT value FROM kept").fetchall() == [("recsys_mlflow",)]
        with redis.Redis.from_url(found.redis_url, decode_responses=True) as client:
            assert client.get("kept") == "yes"
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_servers_want_a_password_and_listen_on_loopback(shop: tuple[Settings, Home]) -> None:
    settings, home = shop
    with servers(settings, home) as found:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(found.postgres_url.replace("app:", "app:not"))
        with psycopg.connect(found.postgres_url) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        with (
            redis.Redis.from_url("redis://" + found.redis_url.rpartition("@")[2]) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
        for name in ("state.json", "postgres.password", "valkey/valkey.conf"):
            assert stat.S_IMODE((home.path / name).stat().st_mode) == 0o600
        assert "app:" not in repr(found) + repr(running(home))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_process(shop: tuple[Settings, Home], start: Start, number: signal.Signals) -> None:
    owner, pids = start(shop[1])
    # Ctrl-C reaches the owner alone: its servers are in sessions of their own.
    assert {os.getsid(pid) for pid in pids} == set(pids)
    owner.send_signal(number)
    assert owner.wait(60) == (-signal.SIGINT if number == signal.SIGINT else 128 + number)
    assert gone(pids)
    assert running(shop[1]) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_owner_takes_its_servers_along(shop: tuple[Settings, Home], start: Start) -> None:
    owner, pids = start(shop[1])
    owner.kill()
    owner.wait(60)
    assert wait_until(lambda: gone(pids), 60)
    assert running(shop[1]) is None


def test_orphans_of_a_killed_owner_are_stopped_and_the_data_served_afresh(
    shop: tuple[Settings, Home], start: Start
) -> None:
    settings, home = shop
    owner, orphans = start(home, "orphans")
    state = read_state(home.path)
    assert state is not None
    with psycopg.connect(state.postgres_url + "recsys") as connection:
        connection.execute("CREATE TABLE committed AS SELECT 1 AS value")
    owner.kill()
    owner.wait(60)
    assert not any(born(pid) is None for pid in orphans)
    assert running(home) is None
    with servers(settings, home) as found:
        assert gone(orphans)
        with psycopg.connect(found.postgres_url) as connection:
            assert connection.execute("SELECT value FROM committed").fetchone() == (1,)


def test_pid_files_that_name_a_stranger_do_no_harm(shop: tuple[Settings, Home]) -> None:
    settings, home = shop
    with servers(settings, home):
        lock = (home.path / "postgres" / "postmaster.pid").read_text()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        (home.path / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{lock.partition(chr(10))[2]}")
        (home.path / "valkey" / "valkey.pid").write_text(str(stranger.pid))
        with servers(settings, home) as found, psycopg.connect(found.postgres_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert stranger.poll() is None
        stranger.kill()


def test_a_state_file_of_a_dead_owner_counts_for_nothing(shop: tuple[Settings, Home]) -> None:
    settings, home = shop
    with servers(settings, home):
        text = (home.path / "state.json").read_text()
    stale = {**json.loads(text), "owner_born": "another time"}  # the id is a stranger's now: ours
    (home.path / "state.json").write_text(json.dumps(stale))
    assert running(home) is None
    assert not down(home)
    with servers(settings, home):
        assert running(home) is not None


def test_a_second_process_shares_and_the_owner_waits_for_it(shop: tuple[Settings, Home], start: Start) -> None:
    settings, home = shop
    owner, pids = start(home)
    with servers(settings, home) as found, psycopg.connect(found.postgres_url) as connection:
        state = running(home)
        assert state is not None
        assert state.owner == owner.pid
        assert found.postgres_url == state.postgres_url + "recsys"
        assert owner.stdin is not None
        assert owner.stderr is not None
        owner.stdin.close()
        assert "other commands still use" in owner.stderr.readline()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert owner.poll() is None
    assert owner.wait(60) == 0
    assert gone(pids)


def test_servers_within_servers_are_the_same(shop: tuple[Settings, Home]) -> None:
    settings, home = shop
    with servers(settings, home) as outer, servers(settings, home) as inner:
        assert outer == inner


def test_down_ends_the_owner(shop: tuple[Settings, Home], start: Start) -> None:
    owner, pids = start(shop[1])
    assert down(shop[1])
    assert owner.wait(60) == 128 + signal.SIGTERM
    assert gone(pids)
    assert not down(shop[1])


@pytest.mark.parametrize("flag", ["", "orphans"])
def test_a_copy_of_a_running_home_never_acts_on_the_original(make_home: Callable[..., Home], flag: str) -> None:
    """Its state, locks and pid files came along; the copy's path ends with the original's whole path."""
    home = make_home()
    copy = home.path.parent / "copies" / str(home.path)[1:]
    command = [sys.executable, "-m", "recsys_assets_tests.local.owner", str(home.path), flag]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            pids = list(json.loads(owner.stdout.readline()).values())
            shutil.copytree(home.path, copy, symlinks=True)
            copied = open_home(load_settings({"RECSYS_HOME": str(copy)}))
            assert running(home) is not None
            assert running(copied) is None
            assert not down(copied)
            if not (home.path / "postgres").is_symlink():
                with servers(load_settings({"RECSYS_HOME": str(copy)}), copied):  # its locks are its own
                    state = running(copied)
                    assert state is not None
                    assert not {process.pid for process in state.processes} & set(pids)
            assert not any(born(pid) is None for pid in pids)
            if flag:  # the original's servers, orphaned, are no orphans of the copy's
                owner.kill()
                owner.wait(60)
                if not (home.path / "postgres").is_symlink():
                    with servers(load_settings({"RECSYS_HOME": str(copy)}), copied):
                        assert not any(born(pid) is None for pid in pids)
        finally:
            owner.kill()
            kill_living(pids)
            remove_postgres(home.path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"owner": 1}', '{"processes": [{"name": "x"}]}'],
    ids=["empty", "cut", "list", "old", "odd"],
)
def test_a_damaged_state_file_counts_for_nothing(home: Home, text: str) -> None:
    (home.path / "state.json").write_text(text)
    assert running(home) is None
    assert not down(home)


def test_the_state_of_another_folder_or_machine_counts_for_nothing(home: Home) -> None:
    state = state_of(home.path, "", "")
    write_state(home.path, state)
    assert running(home) == state
    for another in (replace(state, home="another"), replace(state, machine="another")):
        write_state(home.path, another)
        assert running(home) is None


def test_a_server_that_does_not_come_up_is_named_with_its_log(make_home: Callable[..., Home]) -> None:
    home = make_home()
    settings = load_settings({"RECSYS_HOME": str(home.path)})
    try:
        with servers(settings, home):
            pass
        with (home.path / "postgres" / "postgresql.conf").open("a") as file:
            file.write("no_such_option = 1\n")
        with pytest.raises(StoreError, match=r"did not come up(.|\n)*no_such_option"), servers(settings, home):
            pass
        lock = owner_lock(home.path)
        assert lock.take()  # nothing is held after the failure
        lock.release()
        (home.path / "postgres.password").unlink()
        with pytest.raises(HomeError, match=r"postgres\.password is gone"), servers(settings, home):
            pass
    finally:
        remove_postgres(home.path)


def test_servers_of_the_users_own_are_used_and_none_started(
    make_home: Callable[..., Home], database: Callable[[], str], redis_url: str
) -> None:
    home = make_home()
    base = database()
    urls = {
        "RECSYS_POSTGRES_URL": base,
        "RECSYS_DAGSTER_POSTGRES_URL": base + "_dagster",  # not there yet
        "RECSYS_MLFLOW_POSTGRES_URL": base + "_mlflow",
        "RECSYS_REDIS_URL": redis_url,
    }
    settings = load_settings({"RECSYS_HOME": str(home.path), **urls})
    with servers(settings, home) as found:
        assert found.dagster_postgres_url == base + "_dagster"
        with psycopg.connect(found.dagster_postgres_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert running(home) is None
    assert not (home.path / "postgres").exists()


def test_the_platforms_environment_is_whole(make_home: Callable[..., Home], database: Callable[[], str]) -> None:
    home = make_home()
    settings = load_settings({"RECSYS_HOME": str(home.path), "RECSYS_SECRET": "", "RECSYS_THREADS": "3"})
    with servers(settings, home) as found:
        environment = platform_environment(settings, home, found)
    remove_postgres(home.path)
    again = load_settings(environment)  # it names no setting that does not exist
    assert (again.home, again.threads, again.redis_url) == (home.path, 3, found.redis_url)
    assert not again.embedded_postgres
    assert not again.embedded_redis
    assert environment["DO_NOT_TRACK"] == "true"
    config = Path(environment["DAGSTER_HOME"]) / "dagster.yaml"
    for line in config.read_text().splitlines():
        if line.strip().startswith("env: "):
            assert environment[line.partition("env: ")[2]]
