"""What the servers of a home have in common: one process, a port of 127.0.0.1 that the home keeps, a log."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import ClassVar

from recsys_assets.errors import StoreError
from recsys_assets.local.ports import Ports
from recsys_assets.local.processes import Child, Program
from recsys_assets.local.signals import check

START_SECONDS = 120.0  # after a crash what was not yet written back is replayed, and a long append-only file always
_TRIES = 5


class Server(ABC):
    """The server of one home. ``start``, ``revive`` and ``stop`` are for whoever holds the home's lock."""

    name: ClassVar[str]
    title: ClassVar[str]
    retry_on: ClassVar[tuple[str, ...]] = ("Address already in use",)  # words of a log after which another try may help

    def __init__(self, home: Path) -> None:
        self._home = home
        self._log = home / "logs" / f"{self.name}.log"
        self._child: Child | None = None
        self._port = 0

    @abstractmethod
    def _prepare(self) -> None:
        """Makes the data where there are none, and repairs what a kill has left."""

    @abstractmethod
    def _serving(self) -> Program:
        """What is started, to listen on the port."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it takes a connection."""

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

    def start(self) -> None:
        """Repairs what a kill has left, starts, and waits for an answer.

        Raises:
            StoreError: it does not come up; the message ends with its log.
            HomeError: the data cannot be used as they stand.
        """
        self._begin(Ports(self._home).tries(self.name))

    def revive(self) -> None:
        """Starts it again where it has died: on its port, with its password, so that those who use it go on.

        Raises:
            StoreError: it does not come up, or another has its port.
        """
        self._begin(repeat(self._port, _TRIES))

    def _begin(self, ports: Iterable[int]) -> None:
        self._prepare()
        for port in ports:
            self._port = port
            child = self._child = Child(self._serving())
            deadline = time.monotonic() + START_SECONDS
            while child.exit_code() is None and time.monotonic() < deadline:
                check()
                if self._answers():
                    return
                time.sleep(0.03)
            tail = child.tail()
            self.stop()
            if not any(reason in tail for reason in self.retry_on):
                break
            time.sleep(0.5)  # another took the port, or the last of a killed server are still going
        raise StoreError(f"{self.title} of {self._home} did not come up. Its log, {self._log}, ends:\n{tail}")

    def stop(self) -> None:
        """Stops it; what it was told, but for open transactions, is on disk."""
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
        return f"{self.title} ended with code {code}. Its log, {self._log}, ends:\n{self._child.tail()}"
