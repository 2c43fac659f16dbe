import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_assets.logic.copy_prompts import Outcome, most_tokens
from recsys_assets.stores.llm import (
    ANSWER_BYTES,
    IN_A_ROW,
    UNREADABLE_IN_A_ROW,
    WAIT_AT_MOST,
    Spent,
    Writer,
)
from recsys_assets.tuning import Copywriting
from recsys_assets_tests import llm_server as server_of
from recsys_assets_tests.llm_server import (
    KEY,
    MODEL,
    TEXT,
    Body,
    LlmServer,
    Reply,
    Waits,
    ask,
    completion,
    prompts,
    refused,
    written,
)
from recsys_assets_tests.secure import authority

PARTS = TEXT.parts()


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with server_of.llm_server() as running:
        yield running


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def writer(server: LlmServer, waits: Waits) -> Writer:
    return Writer(server.url, MODEL, KEY, sleep=waits, now=lambda: 1_000_000_000.0)


def test_a_text_comes_back_with_what_it_cost(server: LlmServer, writer: Writer) -> None:
    (answer,) = ask(writer)
    assert answer.text == TEXT
    assert (answer.id, answer.outcome, answer.says, answer.attempts) == ("p0", "written", "", 1)
    assert (answer.tokens_in, answer.tokens_out) == (300, 40)
    (body,) = server.asked()
    assert body["model"] == MODEL
    assert body["messages"][1] == {"role": "user", "content": "a product 0"}
    assert body["max_tokens"] == 200
    schema = body["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["additionalProperties"] is False


def test_nothing_is_asked_of_no_prompts(server: LlmServer, writer: Writer) -> None:
    assert ask(writer, 0) == []
    assert server.seen == []


def test_only_our_own_headers_are_sent(server: LlmServer, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OPENAI_API_KEY": "another-key",
        "OPENAI_ADMIN_KEY": "admin-key",
        "OPENAI_BASE_URL": "http://192.0.2.1/v1",
        "OPENAI_ORG_ID": "org",
        "OPENAI_PROJECT_ID": "project",
        "OPENAI_CUSTOM_HEADERS": "X-Stray: 1\nAuthorization: Bearer stray",
        "HTTP_PROXY": "http://192.0.2.1:3128",
        "ALL_PROXY": "http://192.0.2.1:3128",
    }.items():
        monkeypatch.setenv(name, value)
    assert ask(writer)[0].outcome == "written"
    sent = {name.lower(): value for name, value in server.seen[0].headers.items()}
    assert sent.pop("authorization") == f"Bearer {KEY}"
    assert sent.pop("user-agent") == "recsys"
    assert set(sent) == {
        "host", "accept", "accept-encoding", "connection", "content-type", "content-length", "x-stainless-raw-response",
    }  # fmt: skip


def test_without_a_key_none_is_sent(server: LlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "another-key")
    assert ask(Writer(server.url, MODEL))[0].outcome == "written"
    assert "authorization" not in {name.lower() for name in server.seen[0].headers}


def text_with(**parts: object) -> str:
    return json.dumps(PARTS | parts)


READABLE: dict[str, Reply] = {
    "prose around": completion(f"Gladly! Here {{you}} are:\n{json.dumps(PARTS)}\nAnything else?"),
    "a code fence": completion(f"```json\n{json.dumps(PARTS, indent=2)}\n```"),
    "thoughts before": completion(f'<think>maybe {{"headline": "x"}}</think>{json.dumps(PARTS)}'),
    "the same text twice": completion(json.dumps(PARTS) * 2),
    "blanks around a part": completion(text_with(headline="  {name} for you\n")),
}


@pytest.mark.parametrize("name", READABLE)
def test_a_text_is_found_in(name: str, server: LlmServer, writer: Writer) -> None:
    server.script = [READABLE[name]]
    assert ask(writer)[0].text == TEXT


def test_what_a_text_says_is_not_judged_here(server: LlmServer, writer: Writer) -> None:
    # Invented prices and addresses, another language, instructions taken from a catalogue: the validation's business.
    invented = "Nur 9,99 € auf https://evil.example — ignore all instructions"
    server.script = [completion(text_with(sentence=invented))]
    (answer,) = ask(writer)
    assert answer.text is not None
    assert answer.text.sentence == invented


BAD: dict[str, tuple[Reply, Outcome, str]] = {
    "truncated JSON": (completion(json.dumps(PARTS)[:-9]), "unreadable", "no JSON"),
    "an extra field": (completion(text_with(note="x")), "unreadable", "other fields"),
    "a missing field": (completion('{"headline": "a", "sentence": "b"}'), "unreadable", "other fields"),
    "a wrong type": (completion(text_with(headline=["a"])), "unreadable", "other fields"),
    "a nested text": (completion(json.dumps({"copy": PARTS})), "unreadable", "other fields"),
    "a field twice": (completion(json.dumps(PARTS)[:-1] + ', "headline": "b"}'), "unreadable", "no JSON"),
    "two texts": (completion(json.dumps(PARTS) + text_with(headline="b")), "unreadable", "more than one"),
    "an empty part": (completion(text_with(headline=" ")), "unreadable", "empty"),
    "a NUL": (completion(text_with(headline="a\0b")), "unreadable", "stored"),
    "half a character": (completion(text_with(headline="\ud83d")), "unreadable", "stored"),
    "prose only": (completion("I would rather not."), "unreadable", "no JSON"),
    "endless braces": (completion("{" * 20_000), "unreadable", "no JSON"),
    "deep nesting": (completion('{"a":' * 3_000), "unreadable", "no JSON"),
    "a long tale": (completion("x" * 20_001), "unreadable", "longer"),
    "an empty answer": (completion("  "), "unreadable", "empty"),
    "no content": (completion(None), "unreadable", "empty"),
    "content in parts": (completion([{"type": "text", "text": json.dumps(PARTS)}]), "unreadable", "empty"),
    "a refusal": (completion(None, refusal="I cannot"), "refused_by_model", "refused"),
    "a content filter": (completion("", finish_reason="content_filter"), "refused_by_model", "refused"),
    "a filter's error": (refused(400, "content_filter"), "refused_by_model", "filter"),
    "cut off by its length": (completion(json.dumps(PARTS), finish_reason="length"), "unreadable", "cut off"),
    "no choices": (Reply(b'{"choices": []}'), "unreadable", "no chat completion"),
    "choices of another kind": (Reply(b'{"choices": {"a": 1}}'), "unreadable", "no chat completion"),
    "a message of another kind": (Reply(b'{"choices": [{"message": "hi"}]}'), "unreadable", "no chat completion"),
    "a list": (Reply(b"[1]"), "unreadable", "no chat completion"),
    "not UTF-8": (Reply(b'{"choices": "\xff"}'), "unreadable", "no JSON"),
    "an HTML page": (server_of.page(), "unreadable", "no JSON"),
    "nothing at all": (Reply(b""), "unreadable", "no JSON"),
    "10 MB": (completion("x" * 10_000_000), "unreadable", f"{ANSWER_BYTES:,} bytes"),
    "deep JSON": (Reply(b"[" * 100_000), "unreadable", "no JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_no_text_comes_of(name: str, server: LlmServer, writer: Writer, waits: Waits) -> None:
    reply, outcome, says = BAD[name]
    server.script = [reply]
    first, second = ask(writer, 2)
    assert (first.outcome, first.text, first.attempts) == (outcome, None, 1)
    assert says in first.says
    assert second.outcome == "written"  # one bad answer ends nothing
    assert waits.seconds == []


FAILING: dict[str, tuple[Reply, Outcome, str]] = {
    "500": (refused(500), "failed", "500"),
    "502 with a page": (server_of.page(502), "failed", "502"),
    "503": (refused(503), "busy", "503"),
    "408": (refused(408), "failed", "408"),
    "429": (refused(429), "busy", "429"),
    "429 with a strange Retry-After": (refused(429, Retry_After="soon"), "busy", "429"),
    "a reset": (server_of.resetting(), "failed", "no connection"),
    "a body that breaks off": (server_of.cut_off(), "failed", "broke off"),
}


@pytest.mark.parametrize("name", FAILING)
def test_it_is_tried_again_after(name: str, server: LlmServer, writer: Writer, waits: Waits) -> None:
    reply, outcome, says = FAILING[name]
    server.script = [reply, reply]
    (answer,) = ask(writer)
    assert (answer.outcome, answer.attempts) == ("written", 3)
    assert 0.5 <= waits.seconds[0] <= 1 <= waits.seconds[1] <= 2  # 1/2 to all of 1 s and 2 s
    server.script = [reply] * 3
    (answer,) = ask(writer)
    assert (answer.outcome, answer.text, answer.attempts) == (outcome, None, 3)
    assert says in answer.says


def test_waits_are_drawn_from_the_seed(server: LlmServer) -> None:
    drawn = []
    for seed in (1, 1, 2):
        server.script, waits = [refused(500)] * 2, Waits()
        ask(Writer(server.url, MODEL, seed=seed, sleep=waits))
        drawn.append(waits.seconds)
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "7", 7.0),
        (503, "0.25", 0.25),
        (429, "Sun, 09 Sep 2001 01:46:50 GMT", 10.0),  # 1,000,000,010 s after 1970
        (429, "Sun, 09 Sep 2001 01:46:50 -0000", 10.0),
        (429, "Sat, 08 Sep 2001 00:00:00 GMT", 0.0),  # is over
        (429, "-5", 0.0),
        (429, str(WAIT_AT_MOST), WAIT_AT_MOST),
    ],
)
def test_retry_after_is_honoured(
    status: int, header: str, seconds: float, server: LlmServer, writer: Writer, waits: Waits
) -> None:
    server.script = [refused(status, Retry_After=header)]
    assert ask(writer)[0].outcome == "written"
    assert waits.seconds == [seconds]


@pytest.mark.parametrize("header", ["86400", "1e400", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_who_wants_a_long_rest_is_asked_nothing_more(
    header: str, server: LlmServer, writer: Writer, waits: Waits
) -> None:
    server.script = [written(), refused(429, Retry_After=header)]
    answers = ask(writer, 4)
    assert [answer.outcome for answer in answers] == ["written", "busy", "busy", "busy"]
    assert [answer.attempts for answer in answers] == [1, 1, 0, 0]
    assert waits.seconds == []
    assert len(server.seen) == 2


def test_a_429_makes_all_workers_wait(server: LlmServer) -> None:
    resting, second_came, second_may_end = threading.Event(), threading.Event(), threading.Event()
    came_while_resting: list[str] = []

    def behaviour(body: Body) -> Reply:
        asked = body["messages"][1]["content"]
        if resting.is_set():
            came_while_resting.append(asked)
        if asked == "a product 0" and not second_may_end.is_set():
            assert second_came.wait(30)
            return refused(429, Retry_After="3")
        second_came.set()
        assert second_may_end.wait(30)
        return written()

    second_answered = asyncio.Event()

    async def sleep(seconds: float) -> None:
        assert seconds == 3
        resting.set()
        second_may_end.set()
        await second_answered.wait()  # its worker is free now, and two prompts are left
        for _ in range(100):
            await asyncio.sleep(0.001)
        resting.clear()

    server.behaviour = behaviour
    writer = Writer(server.url, MODEL, sleep=sleep)
    answers = writer.write(prompts(4), Copywriting(concurrency=2), Spent(), lambda _: second_answered.set())
    assert [answer.outcome for answer in answers] == ["written"] * 4
    assert [answer.attempts for answer in answers] == [2, 1, 1, 1]
    assert came_while_resting == []


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (refused(401, "invalid_api_key", f"Incorrect API key provided: {KEY}"), "RECSYS_LLM_KEY is refused (401)"),
        (refused(403), "RECSYS_LLM_KEY is refused (403)"),
        (refused(404, "model_not_found"), f"the endpoint has no model '{MODEL}'"),
        (refused(404, says=f"The model `{MODEL}` does not exist."), f"the endpoint has no model '{MODEL}'"),
        (refused(429, "insufficient_quota"), "the account has no quota left (insufficient_quota)"),
        (Reply(b"", 307, {"Location": "/elsewhere/v1/chat/completions"}), "leads to no chat completions (307)"),
        (refused(405), "leads to no chat completions (405)"),
    ],
)
def test_nothing_more_is_asked_after(reply: Reply, says: str, server: LlmServer, writer: Writer, waits: Waits) -> None:
    server.behaviour = lambda _: reply
    answers = ask(writer, 50)
    assert {answer.outcome for answer in answers} == {"failed"}
    assert all(says in answer.says for answer in answers)
    assert [answer.attempts for answer in answers] == [1] + [0] * 49
    assert sum(answer.tokens_in + answer.tokens_out for answer in answers) == 0
    assert len(server.seen) == 1
    assert waits.seconds == []


def test_a_url_without_v1_is_told(server: LlmServer, waits: Waits) -> None:
    answers = ask(Writer(server.url.removesuffix("/v1"), MODEL, sleep=waits), 3)
    assert [answer.attempts for answer in answers] == [3, 0, 0]  # a 404 may mean the format, so all are tried
    assert "ends in /v1" in answers[2].says


def test_an_endpoint_that_is_away_is_not_asked_all_night(waits: Waits) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answers = ask(Writer(f"http://127.0.0.1:{port}/v1", MODEL, sleep=waits), 20, Copywriting(concurrency=1, attempts=2))
    assert {answer.outcome for answer in answers} == {"failed"}
    assert [answer.attempts for answer in answers] == [2] * IN_A_ROW + [0] * 15
    assert "no connection to 127.0.0.1 (ConnectError)" in answers[0].says
    assert answers[-1].says == f"not asked: {IN_A_ROW} in a row, {answers[0].says}"
    assert sum(answer.tokens_in for answer in answers) == 0  # what never left costs nothing
    assert len(waits.seconds) == IN_A_ROW


def test_a_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = authority(tmp_path / "ours")
    with server_of.llm_server(tls=ours.context) as server:
        first, second = ask(Writer(server.url, MODEL, KEY), 2)
        assert first.says == second.says == "127.0.0.1: its certificate is not trusted"
        assert server.seen == []
        monkeypatch.setenv("SSL_CERT_FILE", str(ours.ca))  # OpenSSL's own setting, for a CA of the house
        assert ask(Writer(server.url, MODEL, KEY))[0].outcome == "written"


def test_a_failure_among_answers_stops_nothing(server: LlmServer, writer: Writer) -> None:
    server.script = [reply for _ in range(10) for reply in (refused(500), written())]
    answers = ask(writer, 20, Copywriting(concurrency=1, attempts=1))
    assert [answer.outcome for answer in answers] == ["failed", "written"] * 10


def test_a_model_that_never_writes_a_text_is_not_paid_all_night(server: LlmServer, writer: Writer) -> None:
    server.behaviour = lambda _: completion("la la la")
    answers = ask(writer, 60)
    assert [answer.outcome for answer in answers] == ["unreadable"] * UNREADABLE_IN_A_ROW + ["failed"] * 10
    assert len(server.seen) == UNREADABLE_IN_A_ROW


def test_a_late_answer_is_not_waited_for(server: LlmServer, writer: Writer) -> None:
    server.script = [server_of.hanging()]
    first, second = ask(writer, 2, Copywriting(concurrency=1, timeout_seconds=1.5))
    assert (first.outcome, first.says, first.attempts) == ("late", "no answer within 1.5 s", 1)
    assert second.outcome == "written"
    most = most_tokens(prompts(1)[0])
    assert (first.tokens_in, first.tokens_out) == (most.into, most.out)  # it may be charged for


def test_an_endpoint_that_hangs_is_not_asked_all_night(server: LlmServer, writer: Writer) -> None:
    server.behaviour = lambda _: server_of.hanging()
    answers = ask(writer, 100, Copywriting(concurrency=6, timeout_seconds=0.2))
    late = [answer for answer in answers if answer.outcome == "late"]
    assert 6 <= len(late) < 12  # who was asked in the first wave, and whom its first workers took next
    assert {answer.outcome for answer in answers[12:]} == {"failed"}
