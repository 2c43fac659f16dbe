import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from click.testing import CliRunner

from recsys_assets.commands.home import status
from recsys_assets.errors import RefusedError
from recsys_assets.local import doctor
from recsys_assets.local.liveness import conditions
from recsys_assets.local.processes import born, wait_until
from recsys_assets.local.state import State
from recsys_assets.local.supervisor import down, running, servers
from recsys_assets.local.up import PROGRAMS, up
from recsys_assets.local.up import platform as programs_of
from recsys_assets.settings import CHECKOUT, Home, load_settings
from recsys_assets_tests.conftest import remove_postgres


class Platform:
    """One `recsys up` in a process of its own."""

    def __init__(self, home: Home, *flags: str) -> None:
        command = [sys.executable, "-m", "recsys_assets_tests.local.platform", str(home.path), *flags]
        self.home = home
        self.process = subprocess.Popen(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def read_until(self, words: str) -> str:
        """What it prints, to the line with ``words``."""
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            if words in line:
                return text
        raise AssertionError(f"it ended without {words!r}:\n{text}")

    def state(self) -> State:
        state = running(self.home)
        assert state is not None
        return state


@pytest.fixture
def platform(home: Home) -> Iterator[Callable[..., Platform]]:
    begun: list[Platform] = []

    def begin(*flags: str) -> Platform:
        begun.append(Platform(home, *flags))
        return begun[-1]

    try:
        yield begin
    finally:
        for each in begun:
            each.process.terminate()
            try:
                each.process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                each.process.kill()
                raise
        remove_postgres(home.path)


def test_up_runs_everything_until_it_is_told_to_stop(platform: Callable[..., Platform], home: Home) -> None:
    settings = load_settings({"RECSYS_HOME": str(home.path)})
    first = platform()
    printed = first.read_until("Everything runs")
    state = first.state()
    assert [process.name for process in state.processes] == ["postgres", "valkey", *PROGRAMS]
    for process in state.processes:
        assert f"{process.name:<18} {process.address}" in printed
    with urllib.request.urlopen(state.processes[-1].address) as answer:
        assert answer.status == 200
    with servers(settings, home) as found:  # a command uses what runs
        assert found.redis_url == state.redis_url
    with programs_of(settings, home, ("api",), print) as theirs:
        theirs.check()
        assert theirs.address("pages") == state.processes[-1].address
        assert os.environ["DAGSTER_HOME"] == str(home.dagster)
    assert "DAGSTER_HOME" not in os.environ
    with pytest.raises(RefusedError, match=f"is up already, under process {state.owner}"):
        up(settings, home, print, print)

    assert down(home)
    first.read_until("stopped")
    assert first.process.wait(60) == 0
    assert all(born(process.pid) is None for process in state.processes)
    assert running(home) is None


def test_ctrl_c_ends_it_and_leaves_nothing(platform: Callable[..., Platform]) -> None:
    first = platform()
    first.read_until("Everything runs")
    state = first.state()
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(60) == 0
    assert all(born(process.pid) is None for process in state.processes)


def test_what_dies_is_started_again_where_it_was(platform: Callable[..., Platform], home: Home) -> None:
    first = platform()
    first.read_until("Everything runs")
    before = first.state()
    with redis.Redis.from_url(before.redis_url) as client:
        client.set("kept", "yes")
    for name in ("pages", "valkey", "postgres"):
        pid = next(process.pid for process in first.state().processes if process.name == name)
        os.kill(pid, signal.SIGKILL)
        assert "ended with code -9" in first.read_until(f"{name} is started again")
        assert wait_until(lambda: pid not in [process.pid for process in first.state().processes], 10)  # noqa: B023
    after = first.state()
    assert (after.owner, after.postgres_url, after.redis_url) == (before.owner, before.postgres_url, before.redis_url)
    assert [process.address for process in after.processes] == [process.address for process in before.processes]
    unhurt = [process for process in before.processes if process.name not in ("pages", "valkey", "postgres")]
    assert unhurt == [process for process in after.processes if process in unhurt]
    with redis.Redis.from_url(after.redis_url) as client:
        assert client.get("kept") == b"yes"
    with psycopg.connect(after.postgres_url + "recsys") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert wait_until(lambda: {each.state for each in conditions(first.state())} == {"runs"}, 60)


def test_neither_a_full_disk_nor_a_closed_terminal_ends_it(platform: Callable[..., Platform], home: Home) -> None:
    first = platform()
    first.read_until("Everything runs")

    def killed(name: str) -> int:
        pid = next(process.pid for process in first.state().processes if process.name == name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_another(pid: int) -> Callable[[], bool]:
        return lambda: (state := running(home)) is not None and pid not in [one.pid for one in state.processes]

    log, state = home.logs / "pages.log", home.path / "state.json"
    log.unlink()
    log.mkdir()  # in place of a disk that takes no log
    pid = killed("pages")
    state.unlink()
    state.mkdir()
    first.read_until("pages cannot be started: ")
    log.rmdir()
    first.read_until("pages is started again")
    assert running(home) is None
    state.rmdir()
    assert wait_until(is_another(pid), 10)
    assert first.process.stdout is not None
    first.process.stdout.close()
    assert wait_until(is_another(killed("pages")), 10)
    first.process.terminate()
    assert first.process.wait(60) in (0, 120)  # Python itself cannot write its last lines then
    assert running(home) is None


def test_what_dies_too_often_is_left_and_told(platform: Callable[..., Platform], home: Home) -> None:
    first = platform("often")  # its api ends as soon as it is asked for anything but its first answer
    first.read_until("Everything runs")
    first.read_until("api has died more than")
    dead = [each.process.name for each in conditions(first.state()) if each.state == "dead"]
    assert dead == ["api"]
    assert first.process.poll() is None
    told = CliRunner().invoke(status, ["--json"], env={"RECSYS_HOME": str(home.path)}, catch_exceptions=False)
    assert {each["name"]: each["state"] for each in json.loads(told.output)["processes"]}["api"] == "dead"
    (failed, rest) = doctor._processes(home)
    assert (failed.level, failed.said.partition(",")[0], rest.level) == ("fail", "api", "ok")
    assert "api.log" in failed.todo
    web = next(process for process in first.state().processes if process.name == "pages")
    os.kill(web.pid, signal.SIGSTOP)  # it lives, takes connections, and does not answer
    try:
        assert [each.process.name for each in conditions(first.state()) if each.state == "silent"] == ["pages"]
        printed = CliRunner().invoke(status, [], env={"RECSYS_HOME": str(home.path)}, catch_exceptions=False).output
        assert f"DOES NOT ANSWER, pid {web.pid}" in printed
        assert "IS DEAD, was pid" in printed
    finally:
        os.kill(web.pid, signal.SIGCONT)


def test_a_database_that_dies_too_often_ends_all(platform: Callable[..., Platform]) -> None:
    first = platform("impatient")
    first.read_until("Everything runs")
    state = first.state()
    os.kill(state.processes[0].pid, signal.SIGKILL)
    first.read_until("postgres has died more than")
    assert first.process.wait(60) == 1
    assert wait_until(lambda: all(born(process.pid) is None for process in state.processes), 10)


def test_a_program_that_does_not_start_is_named_with_its_log(platform: Callable[..., Platform]) -> None:
    first = platform("api")
    assert "it cannot" in first.read_until("it cannot")
    assert first.process.wait(60) == 1
    assert running(first.home) is None


def test_a_taken_port_is_refused_by_the_settings_name(home: Home, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = load_settings({"RECSYS_HOME": str(home.path), "RECSYS_API_PORT": str(port)})
        with pytest.raises(RefusedError, match=f"RECSYS_API_PORT: port {port} is taken"):
            up(settings, home, print, print)
