"""Every manner of a door, for a connection that is there and for a new one."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from recsys_assets_tests.door import Door, Manner

ANSWER = b"an answer"


@pytest.fixture
def front() -> Iterator[Door]:
    """Before a server that gives an answer to whatever it hears."""

    def serve(one: socket.socket) -> None:
        with one:
            while one.recv(100):
                one.sendall(ANSWER)

    def accept() -> None:
        while True:
            try:
                one, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(one,)))
            threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=accept)
        accepting.start()
        made = Door(listening.getsockname()[1])
        try:
            yield made
        finally:
            made.remove()
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join()


def through(front: Door) -> socket.socket:
    return socket.create_connection(("127.0.0.1", front.port), timeout=0.5)


def asked(one: socket.socket) -> bytes | str:
    """What comes back: an answer as far as it comes, or the name of an error."""
    heard = b""
    try:
        one.sendall(b"a question")
        while len(heard) < len(ANSWER) and (piece := one.recv(100)):
            heard += piece
    except OSError as error:
        return heard.decode() + type(error).__name__
    return heard


@pytest.mark.parametrize(
    ("manner", "there", "new"),
    [
        ("open", ANSWER, ANSWER),
        ("slow", ANSWER, ANSWER),
        ("trickle", ANSWER, ANSWER),
        ("hole", "TimeoutError", "TimeoutError"),
        ("swallow", "TimeoutError", "TimeoutError"),
        ("refused", "ConnectionResetError", "ConnectionRefusedError"),
        ("reset", "ConnectionResetError", "ConnectionResetError"),
        ("cut", "an aConnectionResetError", "an aConnectionResetError"),
        ("shut", b"", ""),
    ],
)
def test_a_manner(front: Door, manner: Manner, there: bytes | str, new: bytes | str) -> None:
    with closing(through(front)) as one:
        assert asked(one) == ANSWER
        front.behave(manner, 0.05)
        began = time.monotonic()
        assert asked(one) == there
        if manner == "slow":
            assert time.monotonic() - began >= 0.05
        if manner == "trickle":
            assert time.monotonic() - began >= 0.05 * (len(ANSWER) - 1)
    try:
        with closing(through(front)) as one:
            found = asked(one)
    except ConnectionError as error:
        found = type(error).__name__
    assert found == new or manner == "shut"
    front.open()
    with closing(through(front)) as one:
        assert asked(one) == ANSWER


def test_what_was_swallowed_never_comes(front: Door) -> None:
    with closing(through(front)) as one:
        front.behave("swallow")
        assert asked(one) == "TimeoutError"
        front.open()
        assert asked(one) == "TimeoutError"


def test_what_a_hole_held_comes_when_it_ends(front: Door) -> None:
    with closing(through(front)) as one:
        assert asked(one) == ANSWER
        front.behave("hole")
        assert asked(one) == "TimeoutError"
        front.open()
        assert one.recv(100) == ANSWER
