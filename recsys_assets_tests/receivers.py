"""A web server and a mail server on loopback that keep what they are sent."""

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Hook:
    """What was posted. While ``status`` is not 200 nothing is taken; each answer takes ``seconds``."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status = 200
        self.reason: str | None = None
        self.seconds = 0.0
        self.url = ""


@contextmanager
def webhook() -> Iterator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.status == 200:
                assert self.headers["Content-Type"] == "application/json"
                hook.posted.append(json.loads(body))
            time.sleep(hook.seconds)
            self.send_response(hook.status, hook.reason)
            self.send_header("Content-Length", "0")
            if 300 <= hook.status < 400:
                self.send_header("Location", hook.url)
            self.end_headers()

        def do_GET(self) -> None:  # where a redirect leads
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_port}/hook"
        with _serving(server):
            yield hook


class Mailbox:
    """What was mailed: sender, recipients, and the message as it came."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], str]] = []
        self.full = False
        self.host = ""


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            sender, to = "", list[str]()
            self._say("220 ready")
            while line := self.rfile.readline().decode().strip():
                word = line[:4].upper()
                if word == "EHLO":
                    self._say("250 a test")
                elif word == "MAIL":
                    sender = line.partition("<")[2].partition(">")[0]
                    self._say("452 the box is full" if box.full else "250 ok")
                elif word == "RCPT":
                    to.append(line.partition("<")[2].partition(">")[0])
                    self._say("250 ok")
                elif word == "DATA":
                    self._say("354 go on")
                    lines: list[str] = []
                    while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                        lines.append(text)
                    box.mails.append((sender, to, "\n".join(lines)))
                    self._say("250 ok")
                elif word == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 ok")

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        box.host = f"127.0.0.1:{server.server_address[1]}"
        with _serving(server):
            yield box


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
