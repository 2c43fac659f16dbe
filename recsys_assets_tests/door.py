"""A TCP port in front of a server, which treats who comes through as it is told to. The server keeps its state."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from recsys_assets.local.processes import free_port

# open: goes on to the server. shut: ended at once. refused: nobody listens. reset: reset once accepted. cut: reset in
# the middle of an answer. slow: every piece of an answer waits. trickle: an answer comes byte by byte. hole: what comes
# in is held, and nothing comes back. swallow: what comes in is lost, and the connection with it, for good.
Manner = Literal["open", "shut", "refused", "reset", "cut", "slow", "trickle", "hole", "swallow"]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is not yet sent is thrown away, and the other side is told so


class Door:
    """Connections to ``port`` go on to ``target``, a port of this machine, in the manner that holds now.

    A manner holds for connections that are there, too; what it held back goes through when the next one begins.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._manner: tuple[Manner, float, threading.Event] = ("open", 0.0, threading.Event())
        self._ended = False
        self._through: set[_Passage] = set()
        # By number: a port that Linux has chosen is let go of as soon as nobody listens.
        self._listening = socket.create_server(("127.0.0.1", free_port()))
        self._listening.settimeout(0.05)
        self.port: int = self._listening.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def manner(self) -> tuple[Manner, float, threading.Event]:
        """How it treats who comes through, the seconds that belong to it, and what is set when that ends."""
        return self._manner

    def behave(self, manner: Manner, seconds: float = 0.0) -> None:
        """From now on. ``seconds``: that a piece waits (slow), or a byte (trickle)."""
        before, _, over = self._manner
        self._manner = (manner, seconds, threading.Event())
        if manner == "refused":  # a port that is bound and not listened on stays ours, and Linux says no
            self._listening.shutdown(socket.SHUT_RD)
        elif before == "refused":
            self._listening.listen()
        over.set()
        if manner in ("shut", "refused", "reset"):
            for each in tuple(self._through):
                each.end(reset=manner != "shut")

    def shut(self) -> None:
        self.behave("shut")

    def open(self, target: int = 0) -> None:
        """``target``: another port from now on; the server has moved."""
        self._target = target or self._target
        self.behave("open")

    def remove(self) -> None:
        self._ended = True
        self.shut()
        self._accepting.join()
        for each in tuple(self._through):
            each.join()
        self._listening.close()

    def passed(self, one: "_Passage") -> None:
        """One connection has ended."""
        self._through.discard(one)

    def _accept(self) -> None:
        while not self._ended:
            manner, _, over = self._manner
            try:
                outer, _ = self._listening.accept()
            except TimeoutError:
                continue
            except OSError:  # nobody is to be let in
                if manner == "refused":
                    over.wait()
                continue
            self._let_in(outer)

    def _let_in(self, outer: socket.socket) -> None:
        manner = self._manner[0]
        if manner in ("shut", "refused", "reset"):
            if manner != "shut":
                outer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            outer.close()
            return
        try:
            inner = socket.create_connection(("127.0.0.1", self._target))
        except ConnectionRefusedError:  # the server itself has stopped
            outer.close()
            return
        made = _Passage(self, outer, inner)
        self._through.add(made)
        made.begin()
        if (manner := self._manner[0]) in ("shut", "refused", "reset"):  # told meanwhile
            made.end(reset=manner != "shut")


class _Passage:
    """One connection through a door: two threads, of which the last one closes both sides."""

    def __init__(self, door: Door, outer: socket.socket, inner: socket.socket) -> None:
        self._door, self._outer, self._inner = door, outer, inner
        self._reset = self._lost = False
        self._lock, self._running = threading.Lock(), 2
        self._threads = [
            threading.Thread(target=self._pump, args=(outer, inner, False)),
            threading.Thread(target=self._pump, args=(inner, outer, True)),
        ]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def end(self, *, reset: bool) -> None:
        with suppress(OSError):
            if reset:
                self._reset = True
                self._outer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            # Of a connection that is to be reset no side may be ended in order: what reads it is only woken.
            self._outer.shutdown(socket.SHUT_RD if self._reset else socket.SHUT_RDWR)
        with suppress(OSError):
            self._inner.shutdown(socket.SHUT_RDWR)

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._pass(data, sink, answers)
        self.end(reset=False)
        with self._lock:
            self._running -= 1
            last = not self._running
        if last:
            self._outer.close()
            self._inner.close()
            self._door.passed(self)

    def _pass(self, data: bytes, sink: socket.socket, answers: bool) -> None:
        manner, seconds, over = self._door.manner
        if self._lost or manner == "swallow":
            self._lost = True
            return
        if manner == "hole":
            over.wait()
        elif answers and manner == "slow":
            over.wait(seconds)
        elif answers and manner == "trickle":
            while data and not over.wait(seconds):
                sink.sendall(data[:1])
                data = data[1:]
        elif answers and manner == "cut":
            sink.sendall(data[: len(data) // 2])
            self.end(reset=True)
            return
        sink.sendall(data)


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
