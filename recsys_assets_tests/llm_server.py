"""A server on loopback that speaks OpenAI's protocol as far as copy needs it, and misbehaves when it is told to.

A request is answered by the next reply of ``script``; where that is used up, by ``behaviour``, which sees the request's
body. Batches are answered by ``behaviour`` alone, when they are collected.
"""

import json
import os
import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from recsys_assets.logic.copy_facts import Text
from recsys_assets.logic.copy_prompts import Prompt
from recsys_assets.stores.llm import Answer, Spent, Writer
from recsys_assets.tuning import Copywriting

KEY = "key-0123456789-of-the-tests"
MODEL = "test-writer"
Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What is answered, and what becomes of the connection: ``hang`` until `LlmServer.release`, ``reset`` instead of an
    answer, ``cut`` in the midst of one.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wire: Literal["whole", "hang", "reset", "cut"] = "whole"


def completion(content: object, *, usage: object = "fair", **choice: object) -> Reply:
    """A chat completion; further fields go into its choice, ``refusal`` into the message."""
    message = {"role": "assistant", "content": content, "refusal": choice.pop("refusal", None)}
    answer: Body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340} if usage == "fair" else usage,
    }
    if usage is None:
        del answer["usage"]
    return Reply(json.dumps(answer).encode())


TEXT = Text("{name} for you", "Have a look at {name} at {shop}.", "Take a look")
GERMAN = Text("{name} für dich", "Sieh dir {name} bei {shop} an.", "Mehr ansehen")


def written(text: Text = TEXT, usage: object = "fair") -> Reply:
    """A text as asked for."""
    return completion(json.dumps(text.parts(), ensure_ascii=False), usage=usage)


def refused(status: int, code: str = "", says: str = "no", **headers: str) -> Reply:
    """An error. Headers by their names with ``_`` for ``-``."""
    body = json.dumps({"error": {"message": says, "type": "error", "param": None, "code": code or None}})
    return Reply(body.encode(), status, {name.replace("_", "-"): value for name, value in headers.items()})


def hanging() -> Reply:
    """No answer until the server is told to release it."""
    return replace(written(), wire="hang")


def resetting() -> Reply:
    """The connection is reset instead of an answer."""
    return replace(written(), wire="reset")


def cut_off() -> Reply:
    """The connection ends in the midst of the body."""
    return replace(written(), wire="cut")


def page(status: int = 200) -> Reply:
    """What a proxy shows to people."""
    return Reply(b"<html><body>Bad gateway</body></html>", status, {"Content-Type": "text/html"})


def fine(body: Body) -> Reply:
    """The default behaviour: a text that says nothing but slots, in the language that the prompt asks for."""
    system = next((m["content"] for m in body["messages"] if m["role"] == "system"), "")
    return written(GERMAN if re.search(r"\(de\)", system) else TEXT)


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Body:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


@dataclass
class Batch:
    """What was submitted, and how far it is: set ``status`` to "completed" and it can be collected."""

    id: str
    requests: list[Body]
    metadata: Mapping[str, str]
    status: str = "in_progress"


class LlmServer:
    """The server's state; all of it may be set at any time.

    ``lines`` edits a batch's output file: to reorder, to drop, to double. ``other`` is the script of all requests that
    are no chat completions.
    """

    def __init__(self) -> None:
        self.url = ""
        self.script: list[Reply] = []
        self.behaviour: Callable[[Body], Reply] = fine
        self.lines: Callable[[list[bytes]], Sequence[bytes]] = lambda lines: lines
        self.error_lines: list[bytes] = []
        self.seen: list[Seen] = []
        self.at_once = 0  # most chat completions under way at the same time
        self.knows_batches = True
        self.batches: dict[str, Batch] = {}
        self.files: dict[str, bytes] = {}
        self.other: list[Reply] = []
        self._under_way = 0
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._broken: list[BaseException | None] = []

    def release(self) -> None:
        """Ends what hangs."""
        self._released.set()

    def asked(self) -> list[Body]:
        """The bodies of the chat completions asked for, in the order of their coming."""
        return [seen.json() for seen in self.seen if seen.path.endswith("/chat/completions")]

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
            self.at_once = max(self.at_once, self._under_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def _chat(self, body: Body) -> Reply:
        with self._lock:
            scripted = self.script.pop(0) if self.script else None
        return scripted or self.behaviour(body)

    def _upload(self, body: bytes) -> Reply:
        content = body.split(b"copy.jsonl", 1)[1].split(b"\r\n\r\n", 1)[1].split(b"\r\n--", 1)[0]
        name = f"file-{len(self.files) + 1}"
        self.files[name] = content
        return _object(id=name, object="file", purpose="batch", bytes=len(content))

    def _batch(self, asked: Body) -> Reply:
        assert asked["endpoint"] == "/v1/chat/completions"
        assert asked["completion_window"] == "24h"
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        made = Batch(f"batch-{len(self.batches) + 1}", lines, asked.get("metadata") or {})
        self.batches[made.id] = made
        return self._shown(made)

    def _shown(self, batch: Batch) -> Reply:
        return Reply(json.dumps(self._facts(batch)).encode())

    def _facts(self, batch: Batch) -> Body:
        done = batch.status in ("completed", "expired")
        errors = f"{batch.id}-errors" if done and self.error_lines else None
        return {
            "id": batch.id,
            "object": "batch",
            "status": batch.status,
            "metadata": dict(batch.metadata),
            "output_file_id": f"{batch.id}-output" if done else None,
            "error_file_id": errors,
        }

    def _content(self, name: str) -> Reply:
        batch_id, _, kind = name.rpartition("-")
        if batch_id not in self.batches:
            return refused(404, "not_found")
        if kind == "errors":
            return Reply(b"\n".join(self.error_lines))
        lines = []
        for request in self.batches[batch_id].requests:
            reply = self.behaviour(request["body"])
            response = {"status_code": reply.status, "request_id": "r", "body": json.loads(reply.body)}
            line = {"id": "x", "custom_id": request["custom_id"], "response": response, "error": None}
            lines.append(json.dumps(line).encode())
        return Reply(b"\n".join(self.lines(lines)) + b"\n")

    def _other(self, method: str, path: str, body: bytes) -> Reply:
        if self.other:
            return self.other.pop(0)
        path = path.partition("?")[0].removeprefix("/v1")
        if (method, path) == ("GET", "/models"):
            return _object(object="list", data=[{"id": MODEL, "object": "model"}])
        if not self.knows_batches:
            return refused(404)
        if (method, path) == ("POST", "/files"):
            return self._upload(body)
        if (method, path) == ("POST", "/batches"):
            return self._batch(json.loads(body))
        if (method, path) == ("GET", "/batches"):
            return _object(object="list", data=[self._facts(batch) for batch in self.batches.values()], has_more=False)
        if found := re.fullmatch(r"/batches/([\w-]+)", path):
            return self._shown(self.batches[found[1]]) if found[1] in self.batches else refused(404, "not_found")
        if found := re.fullmatch(r"/files/([\w-]+)/content", path):
            return self._content(found[1])
        return refused(404)


def _object(**fields: object) -> Reply:
    return Reply(json.dumps(fields).encode())


@contextmanager
def llm_server(behaviour: Callable[[Body], Reply] = fine, *, tls: ssl.SSLContext | None = None) -> Iterator[LlmServer]:
    """The server while the context lasts, at ``url`` (…/v1)."""
    server = LlmServer()
    server.behaviour = behaviour

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self._body()
            server.seen.append(Seen(method, self.path, dict(self.headers.items()), body))
            if method == "POST" and self.path == "/v1/chat/completions":
                with server._counted():
                    reply = server._chat(json.loads(body))
                    self._hang(reply)
            else:
                reply = server._other(method, self.path, body)
                self._hang(reply)
            with suppress(OSError):  # who asked may be gone
                self._send(reply)

        def _hang(self, reply: Reply) -> None:
            if reply.wire == "hang":
                server._released.wait()

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _send(self, reply: Reply) -> None:
            if reply.wire == "reset":
                # Lingering for no time: what is sent is a RST, not the end of a stream.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if reply.wire == "cut":
                self.wfile.write(reply.body[: len(reply.body) // 2])
                self.close_connection = True
                return
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True  # a client may keep its connection for as long as it likes

        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(error := sys.exception(), OSError):
                server._broken.append(error)  # of a behaviour; else a client that went away

    with Server(("127.0.0.1", 0), Handler) as http:
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{http.server_port}/v1"
        if tls:
            http.socket = tls.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.release()
            http.shutdown()
            thread.join()
    for error in server._broken:
        raise AssertionError("a behaviour failed") from error


def prompts(many: int) -> list[Prompt]:
    """Small ones, which ask for English."""
    return [Prompt(f"p{n}", "Write English (en).", f"a product {n}", 200) for n in range(many)]


class Waits:
    """Instead of sleeping: what was to be slept."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


ONE = Copywriting(concurrency=1)


def ask(writer: Writer, many: int = 1, knobs: Copywriting = ONE, spent: Spent | None = None) -> list[Answer]:
    """One prompt after the other, if not told otherwise."""
    return writer.write(prompts(many), knobs, spent or Spent())
