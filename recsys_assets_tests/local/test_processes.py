import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from recsys_assets.local.processes import (
    LOG_LIMIT,
    Child,
    Program,
    born,
    session_members,
    started_with,
    stop_orphan,
    wait_until,
)

DEAF = "trap '' TERM; sleep 1000 & echo ready; wait; wait"


def started(tmp_path: Path, script: str, patience: float = 0.2) -> Child:
    child = Child(Program("tried", ("sh", "-c", script), tmp_path / "logs" / "tried.log", patience=patience))
    assert wait_until(lambda: "ready" in child.tail(), 10)
    return child


@pytest.mark.skipif(sys.platform != "linux", reason="sessions are looked up in /proc")
def test_stop_ends_a_deaf_program_and_all_it_spawned(tmp_path: Path) -> None:
    child = started(tmp_path, DEAF)
    members = session_members(child.pid)
    assert len(members) == 2
    assert child.exit_code() is None
    child.stop()
    assert session_members(child.pid) == []
    assert all(born(pid) is None for pid in members)


@pytest.mark.skipif(sys.platform != "linux", reason="sessions are looked up in /proc")
def test_what_a_dead_program_leaves_is_stopped_when_its_death_is_seen(tmp_path: Path) -> None:
    child = started(tmp_path, "sleep 1000 & echo ready; exit 3")
    assert wait_until(lambda: child.exit_code() is not None, 10)
    assert child.exit_code() == 3
    assert session_members(child.pid) == []
    child.stop()  # no harm in asking again


def test_the_tail_is_of_this_start_and_a_long_log_is_set_aside(tmp_path: Path) -> None:
    started(tmp_path, "echo first; echo ready").stop()
    child = started(tmp_path, "echo second; echo ready")
    child.stop()
    assert "first" not in child.tail()
    assert "second" in child.tail()
    log = tmp_path / "logs" / "tried.log"
    with log.open("ab") as file:
        file.truncate(LOG_LIMIT + 1)
    started(tmp_path, "echo third; echo ready").stop()
    assert log.read_text() == "third\nready\n"
    assert (tmp_path / "logs" / "tried.log.1").stat().st_size == LOG_LIMIT + 1


def test_a_log_is_cut_while_its_program_writes_on(tmp_path: Path) -> None:
    child = started(tmp_path, "echo ready; while sleep 0.01; do echo more; done")
    log, aside = child.program.log, tmp_path / "logs" / "tried.log.1"
    try:
        child.trim_log()
        assert not aside.exists()  # it is short
        child.program = replace(child.program, log_limit=4)
        child.trim_log()
        assert aside.read_text().startswith("ready\n")
        assert wait_until(lambda: "more" in child.tail(), 10)
        assert log.read_text().startswith("more\n")  # it goes on at the beginning, not where it was
    finally:
        child.stop()


def test_only_a_process_with_our_own_file_is_an_orphan_of_ours(tmp_path: Path) -> None:
    ours, longer = tmp_path / "shop", tmp_path / "a" / str(tmp_path)[1:] / "shop"
    for folder in (ours, longer):
        folder.mkdir(parents=True)
    child = started(tmp_path, f"echo ready; exec sh -c 'sleep 1000' {longer}")
    assert wait_until(lambda: started_with(child.pid, longer), 10)
    try:
        assert not stop_orphan(child.pid, ours, child.program.stop_signal)  # though its path ends the other's
        assert child.exit_code() is None
        (tmp_path / "link").symlink_to(longer)
        assert stop_orphan(child.pid, tmp_path / "link", child.program.stop_signal)
        assert child.exit_code() is not None
    finally:
        child.stop()
    assert not stop_orphan(child.pid, longer, child.program.stop_signal)


def test_a_process_is_told_from_a_later_one_of_its_id() -> None:
    assert born(os.getpid()) == born(os.getpid())
    assert born(os.getpid()) is not None
    assert born(os.getpid()) != born(1)


@pytest.mark.skipif(sys.platform != "linux", reason="sessions are looked up in /proc")
def test_a_stranger_may_have_any_name(tmp_path: Path) -> None:
    named = os.fsencode(tmp_path) + b"/caf\xe9 ) S 1 1"  # no UTF-8, and what follows a name in /proc
    shutil.copy(os.fsencode(shutil.which("sleep") or ""), named)
    stranger = subprocess.Popen([named, "1000"], start_new_session=True)
    try:
        assert wait_until(lambda: b"caf\xe9" in Path(f"/proc/{stranger.pid}/stat").read_bytes(), 10)
        assert session_members(stranger.pid) == [stranger.pid]
        child = started(tmp_path, DEAF)
        child.stop()
        assert session_members(child.pid) == []
    finally:
        stranger.kill()
        stranger.wait()


def test_a_disk_that_takes_no_log_ends_no_program(tmp_path: Path) -> None:
    child = started(tmp_path, "echo ready; sleep 1000")
    log = child.program.log
    child.program = replace(child.program, log_limit=4)
    log.with_suffix(".log.1").symlink_to("/dev/full")
    try:
        child.trim_log()
        assert log.read_bytes() == b""  # its lines are lost, and it takes new ones
        log.unlink()
        log.mkdir()
        child.program = replace(child.program, log_limit=0)
        child.trim_log()
        assert child.tail() == "    (it cannot be read: Is a directory)"
        assert child.exit_code() is None
    finally:
        child.stop()
