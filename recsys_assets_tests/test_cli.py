"""Every command: help, --json, exit codes, completion."""

import errno
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import click
import pytest

from recsys_assets import commands
from recsys_assets.cli import _of_file, recsys
from recsys_assets.commands.words import WORDS
from recsys_assets.local.processes import free_port
from recsys_assets.settings import Home
from recsys_assets_tests.readme import commands_of

AWAY = {
    name: f"postgresql://app:hush@127.0.0.1:{free_port()}/x"
    for name in ("RECSYS_POSTGRES_URL", "RECSYS_DAGSTER_POSTGRES_URL", "RECSYS_MLFLOW_POSTGRES_URL")
} | {"RECSYS_REDIS_URL": f"redis://:hush@127.0.0.1:{free_port()}/0"}


def leaves(group: click.Group, path: str = "recsys") -> Iterator[tuple[str, click.Command]]:
    for name, command in commands_of(group).items():
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


def test_the_help_of_every_word_is_that_of_its_command() -> None:
    found = {name: (command.help or "").splitlines()[0] for name, command in commands_of(recsys).items()}
    assert found == {name: what for name, (_, what) in WORDS.items()}


def test_every_command_of_every_module_has_a_word() -> None:
    folder = Path(commands.__file__).parent
    modules = [import_module(f"recsys_assets.commands.{path.stem}") for path in folder.glob("[!_]*.py")]
    made = {command.name for module in modules for command in getattr(module, "COMMANDS", ())}
    assert made == set(WORDS)


PROCESSOR = """
import resource, sys
from recsys_assets.cli import main
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime, file=sys.stderr)
"""


@pytest.mark.parametrize(("word", "seconds"), [("--help", 0.5), ("status", 1.0)])
def test_what_is_typed_often_is_answered_with_little_work(home: Home, word: str, seconds: float) -> None:
    def used() -> float:
        done = subprocess.run(
            [sys.executable, "-c", PROCESSOR, word],
            env={"PATH": os.environ["PATH"], "RECSYS_HOME": str(home.path)},
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        return float(done.stderr.split()[-1])

    # Of the processor, not of the clock; the best of three, because a busy machine makes the same work longer.
    assert min(used() for _ in range(3)) < seconds


@pytest.mark.parametrize("word", ["--help", "run --help", "requests --help"])
def test_no_word_is_broken_in_sixty_columns(word: str, home: Home) -> None:
    wide, narrow = (call(*word.split(), home=home.path, COLUMNS=columns).stdout for columns in ("200", "60"))
    assert set(narrow.split()) <= set(wide.split())
    assert "..." not in narrow.replace("[ARGS]...", "")
    assert max(map(len, narrow.splitlines())) <= 60


def typed(*words: str, home: Path, columns: int) -> str:
    """What stands on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "recsys_assets.cli", *words],
        cwd=home.parent,
        env={"PATH": os.environ["PATH"], "RECSYS_HOME": str(home), "TERM": "xterm-256color", "NO_COLOR": "1"},
        stdout=theirs, stderr=theirs, stdin=theirs,
    ):  # fmt: skip
        os.close(theirs)
        said = b""
        with suppress(OSError):  # the terminal ends with the program
            while piece := os.read(ours, 1 << 16):
                said += piece
    os.close(ours)
    return said.decode()


@pytest.mark.parametrize("line", ["status", "down", "run daily --from 2023-01-01", "ingest contract /gone.csv"])
def test_on_a_narrow_terminal_lines_break_between_words_and_none_is_coloured(home: Home, line: str) -> None:
    wide, narrow = (typed(*line.split(), home=home.path, columns=columns) for columns in (500, 60))
    assert narrow.split() == wide.split()
    assert max(map(len, wide.splitlines())) > 60
    assert all(len(line) <= 60 or " " not in line.strip() for line in narrow.splitlines())
    assert "\x1b" not in wide + narrow


def test_what_is_there_to_be_copied_is_not_wrapped(home: Home, tmp_path: Path) -> None:
    file = tmp_path / f"{'long ' * 20}.csv"
    file.write_text("when,customer,sku,paid\n2024-05-01 10:12:00,17,A-100,2.49\n")
    lines = typed("ingest", "auto", str(file), home=home.path, columns=60).splitlines()
    assert f"  recsys ingest mapped '{file}' --map '{file.with_suffix('.map.toml')}' --check" in lines
    assert "# A guess from the names of the columns and the first rows. Check every line." in lines


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
