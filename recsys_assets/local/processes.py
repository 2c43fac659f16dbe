"""Child processes that do not outlive us: each in a session of its own, watched, and stopped with all it spawned."""

import ctypes
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from recsys_assets.local.signals import AT_ONCE, check, shielded

LOG_LIMIT = 10_000_000  # bytes
TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PID = os.getpid()
_SESSIONS: set[int] = set()  # of children whose end has not been seen


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
    log_limit: int = LOG_LIMIT  # a longer log is set aside as .1


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
        _set_aside(program.log, program.log_limit)
        with program.log.open("ab") as log:  # to append: what it writes after the log was cut goes to its beginning
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
        _SESSIONS.add(self.pid)

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

    def trim_log(self) -> None:
        """Sets a log aside that has grown long, while the program writes on; ask now and then."""
        if _set_aside(self.program.log, self.program.log_limit):
            self._log_start = 0

    def tail(self) -> str:
        """Last lines it wrote since this start."""
        try:
            with self.program.log.open("rb") as log:
                log.seek(self._log_start)
                lines = log.read().decode(errors="replace").splitlines()
        except OSError as error:
            return f"    (it cannot be read: {error.strerror})"
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
        with shielded():
            for number, seconds in ((signal.SIGTERM, min(self.program.patience, 5.0)), (signal.SIGKILL, 5.0)):
                left = session_members(self.pid)
                for pid in left:
                    _signal(pid, number)
                if not left or wait_until(lambda: not session_members(self.pid), seconds):
                    break
            _SESSIONS.discard(self.pid)


def _set_aside(log: Path, limit: int) -> bool:
    """Whether a log was longer than ``limit`` bytes: then its lines are in ``.1`` now, and it is empty.

    The file stays, for whoever writes to it has it open. Lines that come between the last read and the cut, which
    follow one another at once, are lost; so are all of them where the disk is full. A log that cannot be cut grows on:
    that is no reason for its program to end.
    """
    try:
        if log.stat().st_size <= limit:
            return False
        with log.open("r+b") as file:
            with suppress(OSError), log.with_suffix(".log.1").open("wb") as aside:
                while block := file.read(1 << 20):
                    aside.write(block)
            file.truncate(0)
    except OSError:
        return False
    return True


def _kill_all() -> None:
    if os.getpid() != _PID:  # a fork of ours, which has our list
        return
    for session in tuple(_SESSIONS):  # a signal may have come while it was changed
        for pid in {session, *session_members(session)}:
            _signal(pid, signal.SIGKILL)


AT_ONCE.append(_kill_all)


def _dies_with_us(number: signal.Signals) -> Callable[[], None] | None:
    """Linux sends ``number`` to the child when the thread that started it is gone, however it went."""
    libc, parent = _LIBC, os.getpid()
    if libc is None:
        return None

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it was killed before we could ask
            os._exit(1)

    return ask


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it is gone, or has become somebody else's
        os.kill(pid, number)


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    """Whether ``condition`` came true within ``seconds``. A signal that asks us to end ends the wait (`check`)."""
    deadline = time.monotonic() + seconds
    while not condition():
        check()
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def pause(seconds: float) -> None:
    """Sleeps, and ends where a signal asks us to end (`check`)."""
    wait_until(lambda: False, seconds)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now. Who uses it must be ready to lose the race for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# What is known of processes that are not our children.


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; None where there is no such process."""
    try:  # in bytes: what stands in the brackets is any program's name, in any coding
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode().split()
    except OSError:
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


def machine() -> str:
    """Where a process id means what it says: this start of this machine, and in it this container."""
    if sys.platform != "linux":
        return platform.node()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def started_with(pid: int, path: Path) -> bool:
    """Whether a process has this file or folder, however it is spelled, among the words that it was started with."""
    if sys.platform != "linux":
        return f" {path} " in f" {_ps(pid, 'command')} "
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
    except OSError:
        return False
    return any(_is_file(word, path) for word in words)


def _is_file(word: str, path: Path) -> bool:
    try:
        return word.startswith("/") and Path(word).samefile(path)
    except (OSError, ValueError):  # it is no path, or there is nothing
        return False


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


def stop_orphan(pid: int, ours: Path, number: signal.Signals) -> bool:
    """Stops a server that an owner which was killed has left; whether there was one.

    It is ours only when it was started with ``ours``, its data or settings: process ids are used again, and what one
    home's path ends with may be another home's whole path.
    """
    since = born(pid)
    if since is None or not started_with(pid, ours):
        return False
    for attempt, seconds in ((number, 20.0), (signal.SIGKILL, 10.0)):
        if born(pid) == since:
            _signal(pid, attempt)
        if wait_until(lambda: born(pid) != since, seconds):
            break
    return True
