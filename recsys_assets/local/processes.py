"""Child processes that do not outlive us: each in a session of its own, watched, and stopped with all it spawned."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LOG_LIMIT = 10_000_000  # bytes; a longer log is set aside as .1 at the next start
TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """One program to run. ``environment`` None passes ours on; ``user`` names whom root runs it as."""

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] | None = None
    folder: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 20.0  # seconds between asking it, or what it leaves, to stop and SIGKILL
    user: str | None = None


@dataclass
class Child:
    """A running program. Its standard output and error go to the program's log."""

    program: Program
    _popen: subprocess.Popen[bytes] = field(init=False)
    _log_start: int = field(init=False, default=0)
    _swept: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        program = self.program
        program.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if program.log.exists() and program.log.stat().st_size > LOG_LIMIT:
            program.log.replace(program.log.with_suffix(".log.1"))
        with program.log.open("ab") as log:
            self._log_start = log.tell()
            # In a session of its own, so that Ctrl-C at the terminal reaches us alone and we stop it in order.
            self._popen = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=program.environment,
                cwd=program.folder,
                start_new_session=True,
                preexec_fn=_dies_with_us(program.stop_signal),  # noqa: PLW1509  one prctl call, no Python lock
                user=program.user,
                group=None if program.user is None else _group_of(program.user),
                extra_groups=None if program.user is None else [],
            )

    @property
    def pid(self) -> int:
        """Process id, and id of the session that holds everything it spawns."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """None while it runs. When it has died of itself, what it had spawned is stopped too."""
        code = self._popen.poll()
        if code is not None:
            self._sweep()
        return code

    def tail(self) -> str:
        """Last lines it wrote since this start."""
        with self.program.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join("    " + line for line in lines[-TAIL_LINES:]) or "    (it wrote nothing)"

    def stop(self) -> None:
        """Asks it to stop, waits, kills what is left of its session."""
        with shielded():
            if self._popen.poll() is None:
                self._popen.send_signal(self.program.stop_signal)
                try:
                    self._popen.wait(self.program.patience)
                except subprocess.TimeoutExpired:
                    self._popen.kill()
                    self._popen.wait()
            self._sweep()

    def _sweep(self) -> None:
        # Once only: when the last of a session is gone its number may become a stranger's.
        if self._swept:
            return
        self._swept = True
        for number, seconds in ((signal.SIGTERM, min(self.program.patience, 5.0)), (signal.SIGKILL, 5.0)):
            left = session_members(self.pid)
            for pid in left:
                _signal(pid, number)
            if not left or wait_until(lambda: not session_members(self.pid), seconds):
                return


def _dies_with_us(number: signal.Signals) -> Callable[[], None] | None:
    """Linux sends ``number`` to the child when the thread that started it is gone, however it went."""
    libc = _LIBC
    if libc is None:
        return None

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))

    return ask


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    """Whether ``condition`` came true within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now. Who uses it must be ready to lose the race for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# What is known of processes that are not our children.


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; None where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _ps(pid: int, column: str) -> str:
    command = ("ps", "-ww", "-o", f"{column}=", "-p", str(pid))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def born(pid: int) -> str | None:
    """When a process started, in the system's own words; None when it is gone. Tells it from a later one of its id."""
    if sys.platform != "linux":
        return _ps(pid, "lstart") or None
    fields = _stat(pid)
    # A zombie holds nothing; where the first process of a container reaps nobody it stays for ever.
    return None if fields is None or fields[0] in "ZX" else fields[19]


def command_line(pid: int) -> str:
    """What a process was started as; empty when it is gone."""
    if sys.platform != "linux":
        return _ps(pid, "command")
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def session_members(session: int) -> list[int]:
    """Living processes of a session. Known on Linux only; elsewhere a program has to end its own children."""
    if sys.platform != "linux":
        return []
    members = []
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields is not None and fields[0] not in "ZX" and int(fields[3]) == session:
            members.append(int(entry.name))
    return members


def stop_orphan(pid: int, mark: str, number: signal.Signals) -> bool:
    """Stops a server that an owner which was killed has left; whether there was one.

    It is ours only when its command line holds ``mark``, the path of its data: process ids are used again.
    """
    if born(pid) is None or mark not in command_line(pid):
        return False
    for attempt, seconds in ((number, 20.0), (signal.SIGKILL, 10.0)):
        _signal(pid, attempt)
        if wait_until(lambda: born(pid) is None, seconds):
            break
    return True


# Signals to ourselves.

_ENDING = (signal.SIGTERM, signal.SIGHUP)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise SystemExit as Ctrl-C raises KeyboardInterrupt, so that ``finally`` runs.

    A handler that somebody else has set, or a signal that is ignored (nohup), stays as it is.
    """
    if not _in_main_thread():
        yield
        return

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    changed = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def shielded() -> Iterator[None]:
    """Within it no signal interrupts us: a second Ctrl-C must not leave half of the servers running."""
    if not _in_main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *_ENDING)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
