import json
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from recsys_assets.errors import NotFoundError, RefusedError, SettingsError, StoreError
from recsys_assets.logic.copy_prompts import Prompt, most_tokens
from recsys_assets.stores.llm import ANSWER_BYTES, Answer, Spent
from recsys_assets.stores.llm_batch import Batches
from recsys_assets.tuning import Copywriting
from recsys_assets_tests import llm_server as server_of
from recsys_assets_tests.llm_server import (
    KEY,
    MODEL,
    TEXT,
    Body,
    LlmServer,
    Reply,
    completion,
    prompts,
    refused,
    written,
)

KNOBS = Copywriting()
MOST = most_tokens(prompts(1)[0])
ALL = MOST.into + MOST.out


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with server_of.llm_server() as running:
        yield running


@pytest.fixture
def batches(server: LlmServer) -> Batches:
    return Batches(server.url, MODEL, KEY)


def submitted(batches: Batches, many: int) -> tuple[str, list[Answer]]:
    found = batches.submit(prompts(many), KNOBS, Spent())
    assert found.batch_id is not None
    return found.batch_id, found.answers


def complete(server: LlmServer, batch_id: str, status: str = "completed") -> None:
    server.batches[batch_id].status = status


def test_a_batch_is_submitted_waited_for_and_collected(server: LlmServer, batches: Batches) -> None:
    batch_id, pending = submitted(batches, 3)
    assert [(a.id, a.outcome, a.text) for a in pending] == [(f"p{n}", "pending", None) for n in range(3)]
    assert all((a.tokens_in, a.tokens_out) == (MOST.into, MOST.out) for a in pending)
    (line, *_) = server.batches[batch_id].requests
    assert (line["custom_id"], line["method"], line["url"]) == ("p0", "POST", "/v1/chat/completions")
    assert line["body"]["model"] == MODEL
    assert line["body"]["max_completion_tokens"] == 200
    assert b'name="purpose"\r\n\r\nbatch' in server.seen[0].body

    for status in ("validating", "in_progress", "finalizing", "cancelling", "a status of next year"):
        complete(server, batch_id, status)
        assert batches.collect(batch_id, pending).state == "running"
    complete(server, batch_id)
    collected = batches.collect(batch_id, pending)
    assert collected.state == "done"
    assert [(a.id, a.outcome, a.text) for a in collected.answers] == [(f"p{n}", "written", TEXT) for n in range(3)]
    assert all((a.tokens_in, a.tokens_out) == (300, 40) for a in collected.answers)  # no longer the most


def test_answers_in_any_order_twice_unknown_or_missing(server: LlmServer, batches: Batches) -> None:
    batch_id, pending = submitted(batches, 4)
    complete(server, batch_id)

    def lines(found: list[bytes]) -> list[bytes]:
        strange = [
            b"",
            b"no JSON",
            b"[1]",
            b'{"custom_id": 7}',
            b'{"custom_id": "p2"',
            b"\xff",
            b"x" * 3 * ANSWER_BYTES,
        ]
        unknown = found[0].replace(b'"p0"', b'"somebody else"')
        worse = json.dumps({"custom_id": "p0", "response": {"status_code": 200, "body": {}}, "error": None}).encode()
        return [found[3], *strange, worse, unknown, found[0], found[0], worse, found[1]]  # p2 is missing

    server.lines = lines
    answers = batches.collect(batch_id, pending).answers
    assert [(a.id, a.outcome) for a in answers] == [
        ("p0", "written"), ("p1", "written"), ("p2", "failed"), ("p3", "written"),
    ]  # fmt: skip
    assert answers[2].says == "the batch holds no answer to it"
    assert (answers[2].tokens_in, answers[2].tokens_out) == (MOST.into, MOST.out)  # it may have been charged for


def test_without_the_pending_answers_whatever_is_there_is_collected(server: LlmServer, batches: Batches) -> None:
    batch_id, _ = submitted(batches, 2)
    complete(server, batch_id)
    server.lines = lambda found: found[::-1]
    assert [(a.id, a.text) for a in batches.collect(batch_id).answers] == [("p1", TEXT), ("p0", TEXT)]


def test_answers_are_read_as_direct_ones(server: LlmServer, batches: Batches) -> None:
    replies = {
        "a product 0": completion("la la la"),
        "a product 1": completion(None, refusal="no"),
        "a product 2": completion(json.dumps(TEXT.parts()), finish_reason="length"),
        "a product 3": written(usage=None),
        "a product 4": refused(400, "context_length_exceeded"),
        "a product 5": refused(400, "content_filter"),
    }
    server.behaviour = lambda body: replies[body["messages"][1]["content"]]
    batch_id, pending = submitted(batches, 6)
    complete(server, batch_id)
    answers = batches.collect(batch_id, pending).answers
    assert [a.outcome for a in answers] == [
        "unreadable", "refused_by_model", "unreadable", "written", "failed", "refused_by_model",
    ]  # fmt: skip
    assert [a.tokens_in for a in answers] == [300, 300, 300, MOST.into, 0, 0]
    assert answers[4].says == "the endpoint refuses the request (400 context_length_exceeded)"


def test_the_error_file_is_read_too(server: LlmServer, batches: Batches) -> None:
    batch_id, pending = submitted(batches, 3)
    complete(server, batch_id, "expired")
    server.lines = lambda found: found[:1]
    expired = {"custom_id": "p1", "response": None, "error": {"code": "batch_expired", "message": "late"}}
    server.error_lines = [json.dumps(expired).encode()]
    collected = batches.collect(batch_id, pending)
    assert collected.state == "done"  # what was done in time is there
    assert [(a.outcome, a.tokens_in) for a in collected.answers] == [("written", 300), ("late", 0), ("late", 0)]
    assert collected.answers[2].says == "the batch was not done within its 24 hours"


@pytest.mark.parametrize(
    ("status", "says"), [("failed", "the endpoint refused the batch"), ("cancelled", "the batch was cancelled")]
)
def test_a_batch_that_came_to_nothing_costs_nothing(
    status: str, says: str, server: LlmServer, batches: Batches
) -> None:
    batch_id, pending = submitted(batches, 2)
    complete(server, batch_id, status)
    collected = batches.collect(batch_id, pending)
    assert collected.state == "failed"
    assert {(a.outcome, a.says, a.tokens_in, a.tokens_out) for a in collected.answers} == {("failed", says, 0, 0)}


def test_what_the_budget_does_not_surely_pay_is_not_submitted(server: LlmServer, batches: Batches) -> None:
    found = batches.submit(prompts(4), Copywriting(tokens_per_day=2 * ALL + 50), Spent(50, 0))
    assert [a.outcome for a in found.answers] == ["pending", "pending", "over_budget", "over_budget"]
    assert found.batch_id is not None
    assert len(server.batches[found.batch_id].requests) == 2
    asked = len(server.seen)
    none = batches.submit(prompts(2), Copywriting(money_per_day=0, input_price=1), Spent())
    assert none.batch_id is None
    assert {a.outcome for a in none.answers} == {"over_budget"}
    assert len(server.seen) == asked


def test_what_does_not_fit_one_file_is_left_for_later(
    batches: Batches, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys_assets.stores.llm_batch.REQUESTS_AT_MOST", 2)
    found = batches.submit(prompts(3), KNOBS, Spent())
    assert [(a.outcome, a.tokens_in) for a in found.answers] == [("pending", MOST.into)] * 2 + [("busy", 0)]


def test_a_submit_whose_answer_was_lost_is_not_paid_for_twice(server: LlmServer, batches: Batches) -> None:
    first = batches.submit(prompts(2), KNOBS, Spent(), name="2024-05-01")
    again = batches.submit(prompts(2), KNOBS, Spent(), name="2024-05-01")
    assert again == first
    other = batches.submit(prompts(2), KNOBS, Spent(), name="2024-05-02")
    assert first.batch_id is not None
    complete(server, first.batch_id, "failed")
    anew = batches.submit(prompts(2), KNOBS, Spent(), name="2024-05-01")
    assert len({first.batch_id, other.batch_id, anew.batch_id}) == 3


def test_an_endpoint_that_cannot_list_batches_gets_a_named_one_all_the_same(
    server: LlmServer, batches: Batches
) -> None:
    server.other = [refused(404)]
    assert batches.submit(prompts(1), KNOBS, Spent(), name="2024-05-01").batch_id == "batch-1"


def test_an_endpoint_without_batches_says_what_to_do(server: LlmServer, batches: Batches) -> None:
    server.knows_batches = False
    with pytest.raises(RefusedError, match=r"set tuning\.copywriting\.mode to direct"):
        batches.submit(prompts(1), KNOBS, Spent(), name="2024-05-01")


def test_a_batch_that_is_gone_is_not_found(batches: Batches) -> None:
    with pytest.raises(NotFoundError, match="no batch 'batch-7'"):
        batches.collect("batch-7")


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (refused(401, says=KEY), SettingsError, "RECSYS_LLM_KEY is refused"),
        (refused(429, "rate_limit_exceeded", KEY), StoreError, "fails or is busy (429 rate_limit_exceeded)"),
        (refused(500), StoreError, "fails or is busy (500)"),
        (refused(400, "invalid_file", KEY), RefusedError, "refuses the batch (400 invalid_file)"),
        (Reply(b"[]"), StoreError, "no JSON object"),
        (server_of.page(), StoreError, "no JSON object"),
        (Reply(b"{}"), StoreError, "no id"),
        (Reply(b'"' + b"x" * 2 * ANSWER_BYTES + b'"'), StoreError, "no JSON object"),
        (server_of.cut_off(), StoreError, "broke off"),
        (server_of.resetting(), StoreError, "no connection"),
    ],
)
def test_what_goes_wrong_is_told_by_its_kind(
    reply: Reply, error: type[Exception], says: str, server: LlmServer, batches: Batches
) -> None:
    server.other = [reply]
    with pytest.raises(error) as caught:
        batches.submit(prompts(1), KNOBS, Spent())
    assert says in str(caught.value)
    assert KEY not in str(caught.value) + repr(batches)
    assert caught.value.__cause__ is None


def test_an_endpoint_that_hangs_is_not_waited_for(
    server: LlmServer, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys_assets.stores.llm_batch._TRANSFER_SECONDS", 0.2)
    server.other = [server_of.hanging()]
    with pytest.raises(StoreError, match="does not answer within"):
        batches.submit(prompts(1), KNOBS, Spent())


def test_an_endpoint_that_is_away_may_come_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(StoreError, match=r"no connection to 127\.0\.0\.1"):
        Batches(f"http://127.0.0.1:{port}/v1", MODEL).collect("batch-1")


def test_two_prompts_of_one_id_are_refused(server: LlmServer, batches: Batches) -> None:
    (one,) = prompts(1)
    with pytest.raises(RefusedError, match="same id"):
        batches.submit([one, replace(one, user="another")], KNOBS, Spent())
    assert server.seen == []


def test_a_prompt_in_any_script_arrives_whole(server: LlmServer, batches: Batches) -> None:
    user = 'Tee für „Ümit“ 茶 "\n\u2028'
    found = batches.submit([Prompt("p", "(de)", user, 9)], KNOBS, Spent())
    assert found.batch_id is not None
    body: Body = server.batches[found.batch_id].requests[0]["body"]
    assert body["messages"][1]["content"] == user
    complete(server, found.batch_id)
    assert batches.collect(found.batch_id, found.answers).answers[0].text == server_of.GERMAN
