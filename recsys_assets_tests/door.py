"""A TCP port in front of a server. While it is shut the server cannot be reached through it, and keeps its state."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Door:
    """Connections to ``port`` go on to ``target``, a port of this machine; while shut they are ended at once."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._opened = threading.Event()
        self._opened.set()
        self._ended = False
        self._through: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.05)
        self.port: int = self._listening.getsockname()[1]
        self._begin(self._accept)

    def shut(self) -> None:
        self._opened.clear()
        for each in self._through:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def open(self, target: int = 0) -> None:
        """``target``: another port from now on; the server has moved."""
        self._target = target or self._target
        self._opened.set()

    def remove(self) -> None:
        self._ended = True
        self.shut()
        for thread in self._threads:
            thread.join()
        for each in (*self._through, self._listening):
            each.close()

    def _begin(self, run: object, *arguments: socket.socket) -> None:
        assert callable(run)
        self._threads.append(threading.Thread(target=run, args=arguments))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self._ended:
            with suppress(TimeoutError):
                outer, _ = self._listening.accept()
                if not self._opened.is_set():
                    outer.close()
                    continue
                try:
                    inner = socket.create_connection(("127.0.0.1", self._target))
                except ConnectionRefusedError:  # the server itself has stopped
                    outer.close()
                    continue
                self._through += [outer, inner]
                self._begin(_pump, outer, inner)
                self._begin(_pump, inner, outer)
                if not self._opened.is_set():  # shut meanwhile
                    self.shut()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def door(url: str) -> Iterator[tuple[Door, str]]:
    """A door before the server of a URL, and the URL through it."""
    found = re.search(r"@127\.0\.0\.1:(\d+)/", url)
    assert found is not None
    made = Door(int(found[1]))
    try:
        yield made, url.replace(found[0], f"@127.0.0.1:{made.port}/")
    finally:
        made.remove()
