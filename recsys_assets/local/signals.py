"""Signals that ask this process to end. Each is kept until it has been acted upon; none is lost.

SIGINT, SIGTERM and SIGHUP are noted, and every wait of ours looks at the note (`check`). What the handler does beside
depends on where the main thread is:

- in somebody else's code (a library computes) it raises KeyboardInterrupt or SystemExit, which alone interrupts that;
- in `deferred`, where servers and programs are started and watched, it raises nothing, and `check` does where nothing
  is half done: an exception out of a handler may come between the start of a program and the line that would stop it,
  and is swallowed where Python runs a destructor;
- in `shielded`, where they are stopped, nothing is raised before it is left.

A second signal kills what we have started and ends this process at once.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME_SECONDS = 0.5  # a terminal that closes and its shell both say so: that is one wish
AT_ONCE: list[Callable[[], None]] = []  # what a second signal still does
_Mode = Literal["raise", "check", "keep"]


class _Kept:
    """What has come, and what may be done about it now. Touched by the main thread alone."""

    def __init__(self) -> None:
        self.mode: _Mode = "raise"
        self.number = 0  # the first signal that asked us to end; 0: none has
        self.at = 0.0
        self.before: dict[int, Any] = {}  # handlers in whose place ours stand
        self.theirs: list[int] = []  # signals whose handler is somebody else's and has not been called yet


_kept = _Kept()


def _told(number: int, frame: FrameType | None) -> None:
    handler = _kept.before[number]
    if handler not in (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler):
        if _kept.mode == "raise":
            handler(number, frame)
        else:
            _kept.theirs.append(number)
    elif not _kept.number:
        _kept.number, _kept.at = number, time.monotonic()
        if _kept.mode == "raise":
            raise _end(number)
    elif time.monotonic() - _kept.at >= SAME_SECONDS:
        try:
            for last in AT_ONCE:
                last()
        finally:
            os._exit(128 + number)


def _ignored(_number: int, _frame: FrameType | None) -> None:
    return


def _end(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def asked() -> bool:
    """Whether a signal has asked us to end."""
    return bool(_kept.number)


def taken() -> None:
    """Says that the wish to end has been fulfilled: nothing is raised for it any more."""
    _kept.number = 0


def check() -> None:
    """Raises KeyboardInterrupt or SystemExit where a signal has asked us to end, except within `shielded`."""
    if not _in_main_thread() or _kept.mode == "keep":
        return
    while _kept.theirs:
        number = _kept.theirs.pop(0)
        _kept.before[number](number, None)
    if _kept.number:
        raise _end(_kept.number)


@contextmanager
def _within(mode: _Mode) -> Iterator[None]:
    if not _in_main_thread():
        yield
        return
    outermost = not _kept.before
    if outermost:
        _install()
    before, _kept.mode = _kept.mode, mode
    try:
        if mode == "raise":
            check()
        yield
        _kept.mode = before
        if before == "raise":
            check()
    finally:
        _kept.mode = before
        if outermost:
            _uninstall()


def _install() -> None:
    # The old handler is noted first: ours may be called as soon as it is set. An ignored signal stays ignored (SIGHUP
    # under nohup, SIGINT behind a script's `&`), but for SIGTERM, by which `recsys down` ends us. What we start does
    # not inherit that: Dagster ignores SIGTERM where SIGINT is ignored.
    for number in ENDING:
        handler = signal.getsignal(number)
        if handler not in (None, _told):
            _kept.before[number] = handler
            ignored = handler == signal.SIG_IGN and number != signal.SIGTERM
            signal.signal(number, _ignored if ignored else _told)


def _uninstall() -> None:
    for number, handler in _kept.before.items():
        signal.signal(number, handler)
    _kept.before, _kept.theirs, _kept.number = {}, [], 0


@contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise SystemExit as Ctrl-C raises KeyboardInterrupt, so that ``finally`` runs.

    One that was swallowed is raised at its end. A handler that somebody else has set is called as before.
    """
    with _within("raise"):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """Within it `check` raises for a signal, and nothing else does."""
    with _within("check"):
        yield


@contextmanager
def exposed() -> Iterator[None]:
    """Within it, as outside of `deferred`, a signal raises by itself."""
    with _within("raise"):
        yield


@contextmanager
def shielded() -> Iterator[None]:
    """Within it no signal interrupts us; it is raised afterwards. A first Ctrl-C must not leave half of it running."""
    with _within("keep"):
        yield
