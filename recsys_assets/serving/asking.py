"""Asking a store: every wait has an end, and whatever goes wrong on the way is that store's failure.

A client raises more than its errors: redis-py on uvloop a RuntimeError where a connection is accepted and reset, of a
garbled answer whatever its parser meets. So inside `asking`, which holds nothing but the talk with a store, every error
is the store's; what we make of an answer stands outside, where our own mistakes stay ours.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from recsys_assets.logs import where

_log = structlog.stdlib.get_logger(__name__)

READ_SECONDS = 0.25  # for all that a list is read from, whatever hangs
RECORD_SECONDS = 1.0  # for what Postgres alone knows, and for many people's lists
# What a list may wait for Redis before Postgres is asked, too: where that is more than three times as long as usual.
PATIENCE_SECONDS = 0.05
REST_SECONDS = 0.5
Read = TypeVar("Read")
Said = TypeVar("Said")


class StoreFailedError(Exception):
    """A store has not answered in time, or with nothing that can be understood."""


_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def within(seconds: float | None = None) -> Iterator[None]:
    """All that is asked inside shares these seconds, by default a read's, or what is left of those around it."""
    outer, until = _until.get(), asyncio.get_running_loop().time() + (READ_SECONDS if seconds is None else seconds)
    token = _until.set(until if outer is None else min(outer, until))
    try:
        yield
    finally:
        _until.reset(token)


def left() -> float:
    """Seconds that are left of those shared."""
    until = _until.get()
    return READ_SECONDS if until is None else until - asyncio.get_running_loop().time()


@asynccontextmanager
async def asking(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Around one talk with a store: ``seconds`` for it, where it shares none with others.

    Raises:
        StoreFailedError: anything went wrong, or they are over.
    """
    until = _until.get()
    if until is None:
        until = asyncio.get_running_loop().time() + seconds
    try:
        async with asyncio.timeout_at(until) as waiting:
            yield waiting
    except Exception as error:
        raise StoreFailedError(type(error).__name__) from error


@contextmanager
def understanding() -> Iterator[None]:
    """Around the reading of a value that was stored: one that is not what we write is the store's failure.

    Raises:
        StoreFailedError: it is not.
    """
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise StoreFailedError(type(error).__name__) from error


@dataclass
class Breaker:
    """Whether a store is asked. `REST_SECONDS` after a failure one read tries it; meanwhile the others do without."""

    store: str
    failures: int = field(default=0)  # since the process began, for the metrics
    failing: bool = field(default=False)
    probing: bool = field(default=False)  # a read tries the store at this moment
    _until: float = field(default=0.0)
    _usual: float = field(default=0.0)  # seconds of an answer

    def admits(self) -> bool:
        """Whether the one who asks this may ask the store."""
        if not self.failing:
            return True
        if self.probing or asyncio.get_running_loop().time() < self._until:
            return False
        self.probing = True
        return True

    def seen(self) -> None:
        """The watch has met the store: the next read tries it, unless one does, without waiting until it has rested."""
        self._until = 0.0

    @property
    def patience(self) -> float:
        """Seconds after which an answer is late."""
        return min(max(PATIENCE_SECONDS, 3 * self._usual), READ_SECONDS / 2)

    def failed(self, error: StoreFailedError) -> None:
        """It has not answered. Only the first of several failures is logged."""
        self._until = asyncio.get_running_loop().time() + REST_SECONDS
        self.failures += 1
        if not self.failing:
            self.failing = True
            why = error.__cause__ or error
            _log.warning(
                "read failed, answering without it", store=self.store, error=type(why).__name__,
                at=where(why.__traceback__),
            )  # fmt: skip

    def answered(self, seconds: float) -> None:
        """It has answered after ``seconds``."""
        self._usual += (seconds - self._usual) / 32
        if self.failing:
            self.failing = False
            _log.info("reads work again", store=self.store)


async def ask(breaker: Breaker, read: Callable[[], Awaitable[Read]]) -> Read | None:
    """What ``read`` finds in a store; None where that is not to be asked, or there is no time left to."""
    if left() < PATIENCE_SECONDS or not breaker.admits():
        return None
    loop, probes = asyncio.get_running_loop(), breaker.failing
    began = loop.time()
    try:
        found = await read()
    except StoreFailedError as error:
        breaker.failed(error)
        return None
    finally:
        if probes:
            breaker.probing = False
    breaker.answered(loop.time() - began)
    return found


_tasks: set[asyncio.Task[Any]] = set()  # nothing else may hold those whose answer nobody waits for any more


def _aside(asked: Coroutine[Any, Any, Read]) -> asyncio.Task[Read]:
    task = asyncio.get_running_loop().create_task(asked)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def _probe(store: Breaker, talk: Callable[[], Awaitable[Said]], made: Callable[[Said], Read]) -> Read | None:
    """Whether a store that has failed answers again, asked beside the other one, so that no read waits for it.

    The first talk opens a connection, which a read that is overtaken would never come to; the second one is timed.
    """
    _until.set(None)  # of this task's own context
    loop = asyncio.get_running_loop()
    try:
        async with asking(RECORD_SECONDS):
            await talk()
        began = loop.time()
        async with asking(READ_SECONDS / 2):
            said = await talk()
        with understanding():
            found = made(said)
    except StoreFailedError as error:
        store.failed(error)
        return None
    finally:
        store.probing = False
    store.answered(loop.time() - began)
    return found


async def ask_either(
    first: Breaker,
    talk: Callable[[], Awaitable[Said]],
    made: Callable[[Said], Read | None],
    second: Breaker,
    read: Callable[[], Awaitable[Read | None]],
) -> Read | None:
    """What is ``made`` of a talk with the first store, else what ``read`` finds in the second; None: neither answers.

    The second is asked where the first has failed, knows nothing (None), or is late. Then both are asked, the answer
    that comes first is taken, and a first store that comes second has failed.
    """
    if first.failing and first.admits():
        both = [_aside(ask(second, read)), _aside(_probe(first, talk, made))]
        with suppress(TimeoutError):  # of the deadline of this read; the probe goes on
            for answered in asyncio.as_completed(both, timeout=max(0.0, left())):
                if (found := await answered) is not None:
                    return found
        return None
    if left() < PATIENCE_SECONDS or first.failing:
        return await ask(second, read)
    loop = asyncio.get_running_loop()
    began, found = loop.time(), None
    other: asyncio.Task[Read | None] | None = None
    talking = True

    def hedge() -> None:
        nonlocal other
        other = _aside(ask(second, read))
        other.add_done_callback(overtake)

    def overtake(task: asyncio.Task[Read | None]) -> None:
        if talking and (task.cancelled() or task.exception() or task.result() is not None):
            waiting.reschedule(loop.time())

    late = loop.call_later(first.patience, hedge)
    try:
        async with asking(READ_SECONDS) as waiting:
            try:
                said = await talk()
            finally:
                talking = False
        with understanding():
            found = made(said)
        first.answered(loop.time() - began)
    except StoreFailedError as error:
        first.failed(error)
    finally:
        late.cancel()
    return await (other or ask(second, read)) if found is None else found
