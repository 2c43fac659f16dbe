"""Requests as bytes, which no client library would send."""

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Raw:
    """One answer: its status, headers (names in small letters) and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body of a problem, which it must be."""
        assert self.headers["content-type"] == "application/problem+json", self
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] == self.status
        assert {"type", "title", "detail"} <= found.keys()
        return found


def request(method: str, target: bytes, body: bytes | None = None, **headers: str) -> bytes:
    """A request after which the server hangs up."""
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: shop", b"Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
    lines += [] if body is None else [b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*lines, b"", body or b""])


def send(port: int, sent: bytes) -> list[Raw]:
    """What a server answers until it hangs up; it has to."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        answer = b""
        with suppress(OSError):  # it may have heard enough before the end
            connection.sendall(sent)
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                answer += piece
    return list(_answers(answer))


def _answers(rest: bytes) -> list[Raw]:
    found = []
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "content-length" in headers:
            size = int(headers["content-length"])
            body, rest = rest[:size], rest[size:]
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                length, _, rest = rest.partition(b"\r\n")
                piece, rest = rest[: int(length, 16)], rest[int(length, 16) + 2 :]
                if not piece:
                    break
                body += piece
        else:
            body, rest = rest, b""
        found.append(Raw(int(first.split(" ")[1]), headers, body))
    return found
