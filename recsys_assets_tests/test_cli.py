"""Every command: help, --json, exit codes, completion."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from recsys_assets.cli import _of_file, recsys
from recsys_assets.local.processes import free_port
from recsys_assets.settings import Home

AWAY = {
    name: f"postgresql://app:hush@127.0.0.1:{free_port()}/x"
    for name in ("RECSYS_POSTGRES_URL", "RECSYS_DAGSTER_POSTGRES_URL", "RECSYS_MLFLOW_POSTGRES_URL")
} | {"RECSYS_REDIS_URL": f"redis://:hush@127.0.0.1:{free_port()}/0"}


def leaves(group: click.Group, path: str = "recsys") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


LEAVES = list(leaves(recsys))


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[path for path, _ in LEAVES])
def test_every_command_has_help_and_json(path: str, command: click.Command) -> None:
    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert all(option.help for option in options), f"an option of {path} has no help"
    assert "--json" in {word for option in options for word in option.opts}


def call(*words: str, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "recsys_assets.cli", *words],
        env={"PATH": os.environ["PATH"], "RECSYS_HOME": str(home), **environment},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_mistake_is_an_object_for_programs_and_a_sentence_for_people(tmp_path: Path) -> None:
    done = call("status", "--json", home=tmp_path / "none")
    assert (done.returncode, done.stdout) == (1, "")
    error = json.loads(done.stderr)["error"]
    assert error["kind"] == "HomeError"
    assert "run `recsys init`" in error["message"]
    done = call("status", home=tmp_path / "none")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("recsys: ")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("name", ["/x/y", None])
def test_a_disk_that_takes_nothing_is_a_sentence(number: int, name: str | None) -> None:
    said = _of_file(OSError(number, os.strerror(number), name))
    assert said.startswith(f"{name or 'a file'} cannot be written: {os.strerror(number)}. Make room")


def test_a_wrong_command_line_is_code_2(tmp_path: Path) -> None:
    done = call("show", "--json", "--nonsense", home=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stderr)["error"]["kind"] == "NoSuchOption"
    done = call("optout", "--", "--json", home=tmp_path)  # a person of that name, not the option
    assert (done.returncode, done.stderr.startswith("recsys: ")) == (1, True)


def test_a_store_that_is_away_is_code_3_and_no_password_is_printed(home: Home) -> None:
    done = call("generations", "--json", home=home.path, **AWAY)
    assert done.returncode == 3
    assert json.loads(done.stderr)["error"]["kind"] == "StoreError"
    assert "hush" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_has_its_own_code(home: Home, tmp_path: Path, number: signal.Signals, code: int) -> None:
    fifo = tmp_path / "order.json"
    os.mkfifo(fifo)  # whoever opens it waits
    # A shell may have started the tests with SIGINT ignored, which children inherit.
    heard = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from recsys_assets.cli import main"
    )
    command = [sys.executable, "-c", f"{heard}; main()", "suppressions", "apply", "--json", str(fifo)]
    environment = {"PATH": os.environ["PATH"], "RECSYS_HOME": str(home.path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        with fifo.open("w"):  # it has got as far as opening it
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):  # then the end of the file wakes it
                process.wait(10)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(60) in (code, code - 256, -number), said
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert json.loads(said)["error"]["message"] == "interrupted"


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "recsys"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m recsys_assets.cli "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(recsys completion bash)"
        complete -p recsys
        COMP_WORDS=(recsys gen); COMP_CWORD=1; _recsys_completion recsys; echo "${COMPREPLY[*]}"
        COMPREPLY=(); COMP_WORDS=(recsys run ""); COMP_CWORD=2; _recsys_completion recsys; echo "${COMPREPLY[*]}"
        COMPREPLY=(); COMP_WORDS=(recsys migrate --c); COMP_CWORD=2; _recsys_completion recsys; echo "${COMPREPLY[*]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    registered, *completed = done.stdout.splitlines()
    assert "-F _recsys_completion recsys" in registered
    assert completed[0] == "generations"
    assert set(completed[1].split()) >= {"daily", "history"}
    assert completed[2] == "--check"


@pytest.mark.parametrize(
    ("shell", "word"), [("zsh", "#compdef recsys"), ("fish", "complete --no-files --command recsys")]
)
def test_the_other_shells_have_scripts(shell: str, word: str) -> None:
    from click.testing import CliRunner

    result = CliRunner().invoke(recsys, ["completion", shell, "--json"], catch_exceptions=False)
    assert word in json.loads(result.output)["script"]
