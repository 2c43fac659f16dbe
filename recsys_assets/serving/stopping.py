"""A SIGTERM is first told to whoever spreads requests, and only then ends the process."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from recsys_assets.serving.state import State


@contextmanager
def draining(state: State, seconds: int) -> Iterator[None]:
    """After a SIGTERM, ``/readyz`` says no, and ``seconds`` later the server's own handler ends the answering.

    A second one ends it at once. Outside of the main thread, which alone is told of signals, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()

    def end(number: int, frame: FrameType | None) -> None:
        if callable(ending):
            ending(number, frame)

    def told(number: int, frame: FrameType | None) -> None:
        again, state.draining = state.draining, True
        if again or not seconds:
            end(number, frame)
        else:
            loop.call_soon_threadsafe(loop.call_later, seconds, end, number, None)

    signal.signal(signal.SIGTERM, told)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, ending)
