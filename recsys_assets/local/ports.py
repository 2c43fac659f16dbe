"""Ports of a home's programs: chosen at the first start and kept in ``ports.json``, so that addresses last.

A kept port that somebody else holds is left alone: the program takes a free one for this start, and the home's own
again at the next.
"""

import json
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

from recsys_assets.local.answers import HOST
from recsys_assets.scratch import write_private

# Below what Linux gives to outgoing connections (32768 on): one of those would hold a kept port by chance.
_FIRST, _COUNT = 20_000, 10_000
_TRIES = 5


class Ports:
    """The ports of one home, by program. For whoever holds the home's lock."""

    def __init__(self, home: Path) -> None:
        self._file = home / "ports.json"

    def kept(self) -> dict[str, int]:
        """Those that were chosen; of a damaged file none."""
        try:
            told = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return {name: port for name, port in told.items() if isinstance(port, int)} if isinstance(told, dict) else {}

    def port(self, name: str) -> int:
        """The program's own port; the first time, or where another program has it, a free one."""
        kept = self.kept()
        if name not in kept:
            kept[name] = _free(set(kept.values()))
            write_private(self._file, json.dumps(kept, indent=1))
        return kept[name] if is_free(kept[name]) else _free(set(kept.values()))

    def tries(self, name: str) -> Iterator[int]:
        """Ports to try one after the other: whether a port is free is asked anew each time."""
        for _ in range(_TRIES):
            yield self.port(name)

    def moved(self, name: str, port: int) -> str | None:
        """What to say of a program that listens elsewhere than the home keeps for it."""
        own = self.kept().get(name, port)
        return None if own == port else f"{name} has port {port} this time: its own, {own}, is taken by another program"


def is_free(port: int) -> bool:
    """Whether a server could listen on a port of this machine now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free(taken: set[int]) -> int:
    while True:
        port = _FIRST + secrets.randbelow(_COUNT)
        if port not in taken and is_free(port):
            return port
