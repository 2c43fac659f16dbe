"""Who owns a home's servers, and where they listen: one lock, one state file, one lock of those who use them."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from recsys_assets.local.processes import born, machine
from recsys_assets.scratch import write_private


@dataclass(frozen=True)
class Process:
    """One running program of a home. ``address`` holds no password; ``born`` tells it from a later one of its id."""

    name: str
    pid: int
    address: str
    born: str


@dataclass(frozen=True)
class State:
    """What the owner of a home's servers runs. The two URLs hold passwords; empty where the server is not ours.

    ``home`` is the folder itself, not its name, and ``machine`` is where process ids mean what they say: the state in a
    copy of a home, or in a folder that another machine or container has too, is not that of processes here.
    """

    home: str
    machine: str
    owner: int
    owner_born: str
    postgres_url: str
    redis_url: str
    processes: tuple[Process, ...]

    def __repr__(self) -> str:
        return f"State(owner={self.owner}, processes={self.processes!r})"  # passwords stay out of logs


class Lock:
    """An advisory lock on a file. The system drops it with the process that held it, so none is ever stale."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self, *, shared: bool = False) -> bool:
        """Whether we hold it now; does not wait."""
        file = self._path.open("a")
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Lets go, also for copies of the handle that a fork has made."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._file.close()
            self._file = None


def owner_lock(home: Path) -> Lock:
    """Held by the one process that may start and stop this home's servers."""
    return Lock(home / "supervisor.lock")


def users_lock(home: Path) -> Lock:
    """Held shared by each process that uses servers of another owner, and whole by an owner who stops them."""
    return Lock(home / "users.lock")


@contextmanager
def held(lock: Lock) -> Iterator[None]:
    """Releases a lock that was taken."""
    try:
        yield
    finally:
        lock.release()


def _path(home: Path) -> Path:
    return home / "state.json"


def write_state(home: Path, state: State) -> None:
    """Publishes the state, whole."""
    write_private(_path(home), json.dumps(asdict(state), indent=1))


def clear_state(home: Path) -> None:
    """Withdraws it."""
    _path(home).unlink(missing_ok=True)


def read_state(home: Path) -> State | None:
    """The state, where the process that wrote it lives, here and for this very folder.

    None too where the file is damaged, cannot be read or is of another version of this program.
    """
    try:
        raw = json.loads(_path(home).read_text())
        state = State(**{**raw, "processes": tuple(Process(**each) for each in raw["processes"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    ours = (state.home, state.machine) == (_folder(home), machine())
    return state if ours and born(state.owner) == state.owner_born else None


def state_of(home: Path, postgres_url: str, redis_url: str) -> State:
    """That of a home which this process owns, before it has started anything."""
    pid = os.getpid()
    return State(_folder(home), machine(), pid, born(pid) or "", postgres_url, redis_url, ())


def process(name: str, pid: int, address: str) -> Process:
    """A program that has just been started."""
    return Process(name, pid, address, born(pid) or "")


def _folder(home: Path) -> str:
    found = home.stat()
    return f"{found.st_dev}:{found.st_ino}"
