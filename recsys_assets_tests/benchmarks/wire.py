"""A client that is no limit: raw sockets of one event loop, each with one request under way at a time.

httpx costs some 0.5 ms of processor a request, which is more than the API itself takes; this one a twentieth of that.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

Whole = Callable[[bytes], bool | None]  # an answer so far → None: not all of it yet; whether it is the one wanted


@dataclass(frozen=True)
class Measured:
    """One load: seconds of every answer, sorted; how many were not what was wanted; processor time of both sides."""

    seconds: list[float]
    errors: int
    wall: float
    client: float
    server: float

    def quantile(self, share: float) -> float:
        """Milliseconds within which this share was answered."""
        return 1e3 * self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    def each(self, total: float) -> float:
        """Microseconds of a request."""
        return 1e6 * total / len(self.seconds)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.wall


def http(method: str, target: str, body: bytes = b"", token: str = "") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def http_200(answer: bytes) -> bool | None:
    """Of an API."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return None
    lowered = head.lower()
    _, sized, rest = lowered.partition(b"content-length:")
    if sized:
        if len(body) < int(rest.split(b"\r\n", 1)[0]):
            return None
    elif not body.endswith(b"0\r\n\r\n"):  # chunked
        return None
    return head.startswith(b"HTTP/1.1 200")


def redis_auth(url: str) -> bytes:
    """What a connection to a Redis begins with."""
    password = (urlsplit(url).password or "").encode()
    return b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n" % (len(password), password)


def processor_seconds(pid: int) -> float:
    """What a process has used until now; Linux tells."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def redis_get(key: str) -> bytes:
    """A GET as it goes over the wire."""
    return f"*2\r\n$3\r\nGET\r\n${len(key.encode())}\r\n{key}\r\n".encode()


def redis_value(answer: bytes) -> bool | None:
    """Of Redis."""
    head, found, body = answer.partition(b"\r\n")
    if not found:
        return None
    if not head.startswith(b"$") or head == b"$-1":
        return False
    return True if len(body) >= int(head[1:]) + 2 else None


@dataclass(frozen=True)
class Server:
    """A process that listens on a port of this machine; ``hello`` is what a connection begins with."""

    port: int
    pid: int
    hello: bytes = b""


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], whole: Whole, stop: float, hello: bytes) -> None:
        self._requests, self._whole, self._stop, self._hello = requests, whole, stop, hello
        self._buffer = bytearray()
        self._began = 0.0
        self._transport: asyncio.Transport | None = None
        self.seconds: list[float] = []
        self.errors = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._hello:
            transport.write(self._hello)
        else:
            self._ask()

    def data_received(self, data: bytes) -> None:
        if self._hello:
            self._hello = b""
            self._ask()
            return
        self._buffer += data
        right = self._whole(bytes(self._buffer))
        if right is None:
            return
        self.seconds.append(time.perf_counter() - self._began)
        self.errors += not right
        self._buffer.clear()
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():  # the other side hung up
            self.errors += 1
            self.done.set_result(None)

    def _ask(self) -> None:
        assert self._transport is not None
        self._began = time.perf_counter()
        request = next(self._requests, None) if self._began < self._stop else None
        if request is None:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._transport.write(request)


def load(
    server: Server, requests: Callable[[], Iterator[bytes]], whole: Whole, *, connections: int, seconds: float
) -> Measured:
    """Asks over so many connections at once, for so long, or until there are no more requests."""

    async def run() -> list[_Connection]:
        loop, stop, source = asyncio.get_running_loop(), time.perf_counter() + seconds, requests()
        made = [
            await loop.create_connection(
                lambda: _Connection(source, whole, stop, server.hello), "127.0.0.1", server.port
            )
            for _ in range(connections)
        ]
        await asyncio.gather(*(connection.done for _, connection in made))
        return [connection for _, connection in made]

    began, cpu, used = time.perf_counter(), time.process_time(), processor_seconds(server.pid)
    made = asyncio.run(run())
    wall, spent = time.perf_counter() - began, time.process_time() - cpu
    used = processor_seconds(server.pid) - used
    every = sorted(second for connection in made for second in connection.seconds)
    return Measured(every, sum(connection.errors for connection in made), wall, spent, used)
