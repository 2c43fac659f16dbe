"""A reader who asks one API all the time for the lists of known people, and judges every answer."""

import asyncio
import itertools
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

SIZE = 5  # products in every list
SLOW_MS = 300.0  # promise 8
PATIENCE = 10.0  # seconds after which a reader would have gone
POPULAR = "popular"


def products(label: str, whose: str) -> list[str]:
    """The list that a publish of this label has for a person, or for everybody (POPULAR)."""
    return [f"{label}/{whose}/{place}" for place in range(SIZE)]


@dataclass
class Counts:
    """What was seen of reads: answers with another status than 200, none at all, and answers that are not right."""

    reads: int = 0
    refused: int = 0
    unanswered: int = 0
    slow: int = 0
    longest_ms: float = 0.0
    mixed: int = 0
    resurrected: int = 0


class Reader:
    """Asks the API on a port from the beginning of the block to its end; ``counts`` is what it has seen.

    ``rate`` is reads a second, whatever has become of those before. ``people`` are asked for in turns, and in every
    fourth read one of those who are ``gone`` since a moment.
    """

    def __init__(self, port: int, people: Sequence[str], gone: dict[str, float], rate: int) -> None:
        self._port, self._gone, self._rate = port, gone, rate
        self._people = itertools.cycle(people)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._ended = False
        self._labels: dict[int, str] = {}
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.counts = Counts()
        self.begun = 0  # reads
        self.examples: list[str] = []  # of answers that are not right
        self._healthy, self._wanted, self._since = 0, "", 0.0

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()

    def pass_time(self, seconds: float) -> None:
        """Returns when the reads of so many seconds have begun."""
        self.pass_reads(int(seconds * self._rate))

    def pass_reads(self, number: int) -> None:
        """Returns when so many more have begun."""
        until = self.begun + number
        while self.begun < until and self._thread.is_alive():
            threading.Event().wait(0.02)

    def expect(self, label: str) -> None:
        """From now on `in_a_row` counts answers to reads that begin after this, of this label."""
        self._healthy, self._wanted, self._since = 0, label, perf_counter()

    @property
    def in_a_row(self) -> int:
        """How many answers, up to the last one, were people's own lists as they are to be since `expect`."""
        return self._healthy

    def note(self, what: str) -> None:
        """One more example, of a few."""
        if len(self.examples) < 5:
            self.examples.append(what)

    async def _run(self) -> None:
        due = perf_counter()
        async with asyncio.TaskGroup() as reads:
            while not self._ended:
                reads.create_task(self._read())
                self.begun += 1
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - perf_counter()))
        for _, writer in self._idle:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _asked(self) -> str:
        gone = tuple(self._gone) if self.begun % 4 == 0 else ()
        return gone[-1 - self.begun // 4 % min(len(gone), 20)] if gone else next(self._people)

    async def _read(self) -> None:
        person, began = self._asked(), perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                status, body = await self._answer(person)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            status, body = 0, b""
        self._judge(person, began, status, body)

    async def _answer(self, person: str) -> tuple[int, bytes]:
        """As HTTP clients do, once more where the server has closed a connection that was idle."""
        sent = f"GET /api/recommendations?userId={person}&limit={SIZE} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
        while self._idle:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                return await self._over(*self._idle.pop(), sent)
        return await self._over(*await asyncio.open_connection("127.0.0.1", self._port), sent)

    async def _over(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> tuple[int, bytes]:
        whole = False
        try:
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
            whole = b"connection: close" not in head
        finally:
            if whole:
                self._idle.append((reader, writer))
            else:
                writer.close()
        return int(head[9:12]), body

    def _judge(self, person: str, began: float, status: int, body: bytes) -> None:
        ms, counts = 1000 * (perf_counter() - began), self.counts
        counts.reads += 1
        counts.slow += ms > SLOW_MS
        counts.longest_ms = max(counts.longest_ms, ms)
        suppressed, own, label = self._gone.get(person, began) < began, False, ""
        if status == 0:
            counts.unanswered += 1
            self.note(f"no answer after {ms:.0f} ms")
        elif status != 200:
            counts.refused += 1
            self.note(f"{status} after {ms:.0f} ms: {body[:200]!r}")
        else:
            answer = json.loads(body)
            shown = [product["id"] for product in answer["products"]]
            own, label = answer["fallback"] is None, shown[0].partition("/")[0] if shown else ""
            whole = shown == products(label, person if own else POPULAR) and answer["fallback"] in (None, POPULAR)
            if not whole or self._labels.setdefault(answer["generation"], label) != label:
                counts.mixed += 1
                self.note(f"mixed for {person}: {body[:300]!r}")
            if own and suppressed:
                counts.resurrected += 1
                self.note(f"{person} is gone for {began - self._gone[person]:.2f} s, and is shown {label}")
        if began > self._since and person not in self._gone:
            self._healthy = self._healthy + 1 if own and label == self._wanted else 0
