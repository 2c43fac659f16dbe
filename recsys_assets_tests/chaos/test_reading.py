"""The reader sees what is wrong: a made-up API answers each person in another way."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from urllib.parse import parse_qs, urlsplit

import pytest

from recsys_assets_tests.chaos.reading import POPULAR, Counts, Reader, products
from recsys_assets_tests.chaos.rows import Row, table

OWN, OTHERS = products("g1", "anna"), products("g1", "bert")
READS = 40
# How an API answers: status, generation, fallback, products; no status: it hangs up.
ANSWERS: dict[str, tuple[int, int, str | None, list[str]]] = {
    "her own": (200, 1, None, OWN),
    "popular": (200, 1, POPULAR, products("g1", POPULAR)),
    "another person's": (200, 1, None, OTHERS),
    "of two generations": (200, 1, None, [*OWN[:-1], products("g2", "anna")[-1]]),
    "own as popular": (200, 1, POPULAR, OWN),
    "nothing": (200, 1, None, []),
    "another one's later": (200, 1, None, products("g2", "anna")),
    "500": (500, 0, None, []),
    "none": (0, 0, None, []),
}


class _Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ways: Iterator[str]

    def do_GET(self) -> None:
        assert parse_qs(urlsplit(self.path).query)["userId"] == ["anna"]
        status, generation, fallback, shown = ANSWERS[next(self.ways)]
        if not status:
            self.close_connection = True
            return
        body = {"generation": generation, "fallback": fallback, "products": [{"id": one} for one in shown]}
        self.send_response(status)
        data = json.dumps(body).encode()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def answering(*told: str) -> Iterator[int]:
    """The port of an API that answers in these ways, one after the other and then as in the last."""

    class Api(_Api):
        ways = chain(told[:-1], repeat(told[-1]))

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def seen(*ways: str, gone: bool = False) -> tuple[Counts, int]:
    """Counts of a reader who asks an API that answers so, and its own good answers in a row."""
    with answering(*ways) as port:
        with Reader(port, ["anna"], {"anna": 0.0} if gone else {}, 200) as reader:
            reader.expect("g1")
            reader.pass_reads(READS)
        assert reader.counts.reads >= READS
        return reader.counts, reader.in_a_row


def test_right_answers() -> None:
    counts, in_a_row = seen("her own")
    assert (counts.refused, counts.unanswered, counts.mixed, counts.resurrected) == (0, 0, 0, 0)
    assert in_a_row > READS // 2
    counts, in_a_row = seen("popular")
    assert (counts.mixed, in_a_row) == (0, 0)
    assert seen("popular", gone=True)[0].resurrected == 0


@pytest.mark.parametrize("way", ["another person's", "of two generations", "own as popular", "nothing"])
def test_mixed_ones(way: str) -> None:
    counts, _ = seen(way)
    assert counts.mixed == counts.reads


def test_one_generation_that_is_another_list_later() -> None:
    counts, in_a_row = seen("her own", "another one's later")
    assert (counts.mixed, in_a_row) == (counts.reads - 1, 0)


def test_a_list_of_somebody_who_is_gone() -> None:
    counts, _ = seen("her own", gone=True)
    assert counts.resurrected == counts.reads


def test_other_answers_and_none() -> None:
    counts, _ = seen("500")
    assert (counts.refused, counts.unanswered) == (counts.reads, 0)
    counts, _ = seen("none")
    assert (counts.refused, counts.unanswered) == (0, counts.reads)


def test_the_table() -> None:
    row = Row(fault="none")
    row.add(Counts(reads=200, slow=1, longest_ms=312.4), lost=0, healed=1.25)
    row.add(Counts(reads=200, refused=2), lost=1, healed=None)
    heads, line = table([row])
    assert len(heads) == len(line)
    assert line.split("  ")[-1].strip() == "never"
    assert line.split() == ["none", "2", "400", "2", "0", "1", "=", "0.2", "%", "312", "ms", "1", "0", "0", "never"]
