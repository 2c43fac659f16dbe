import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_assets.errors import SettingsError
from recsys_assets.logic.copy_prompts import Prompt, most_tokens
from recsys_assets.stores.llm import (
    Answer,
    Spent,
    Writer,
)
from recsys_assets.tuning import Copywriting
from recsys_assets_tests import llm_server as server_of
from recsys_assets_tests.llm_server import (
    KEY,
    MODEL,
    ONE,
    TEXT,
    Body,
    LlmServer,
    Reply,
    Waits,
    ask,
    prompts,
    refused,
    written,
)

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


def takes(*forms: str) -> Callable[[Body], Reply]:
    """An endpoint that knows these response formats only."""

    def behaviour(body: Body) -> Reply:
        form = body.get("response_format", {"type": "none"})["type"]
        return written() if form in forms else refused(next(statuses), says="response_format is not supported by model")

    statuses = iter([400, 404, 422] * 9)
    return behaviour


def formats(server: LlmServer) -> list[str]:
    return [body.get("response_format", {"type": "none"})["type"] for body in server.asked()]


def test_where_no_schema_is_known_json_is_asked_for(server: LlmServer, writer: Writer) -> None:
    server.behaviour = takes("json_object", "none")
    answers = ask(writer, 3)
    assert [answer.outcome for answer in answers] == ["written"] * 3
    assert formats(server) == ["json_schema", "json_object", "json_object", "json_object"]
    assert [answer.attempts for answer in answers] == [2, 1, 1]


def test_where_no_format_is_known_text_is_asked_for(server: LlmServer, writer: Writer) -> None:
    server.behaviour = takes("none")
    assert [answer.outcome for answer in ask(writer, 3)] == ["written"] * 3
    assert formats(server) == ["json_schema", "json_object", "none", "none", "none"]


def test_one_prompt_that_is_refused_changes_nothing_for_the_others(server: LlmServer, writer: Writer) -> None:
    server.script = [refused(400, "context_length_exceeded", says=KEY)] * 3
    first, second = ask(writer, 2)
    assert (first.outcome, first.says) == ("failed", "the endpoint refuses the request (400 context_length_exceeded)")
    assert second.outcome == "written"
    assert formats(server) == ["json_schema", "json_object", "none", "json_schema"]


def test_where_the_limit_has_another_name_it_is_used(server: LlmServer, writer: Writer) -> None:
    says = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    server.behaviour = lambda body: refused(400, "unsupported_parameter", says) if "max_tokens" in body else written()
    assert [answer.outcome for answer in ask(writer, 2)] == ["written"] * 2
    assert formats(server) == ["json_schema"] * 3
    assert [body.get("max_completion_tokens") for body in server.asked()] == [None, 200, 200]


def test_answers_keep_the_order_of_the_prompts(server: LlmServer, writer: Writer) -> None:
    others = threading.Semaphore(0)

    def behaviour(body: Body) -> Reply:
        number = body["messages"][1]["content"].rsplit(" ", 1)[1]
        if number == "0":  # ends last
            assert all(others.acquire(timeout=30) for _ in range(7))
        else:
            others.release()
        return written(TEXT.of(PARTS | {"headline": f"H{number}"}))

    server.behaviour = behaviour
    came: list[str] = []
    answers = writer.write(prompts(8), Copywriting(concurrency=3), Spent(), lambda answer: came.append(answer.id))
    assert [answer.text.headline for answer in answers if answer.text] == [f"H{n}" for n in range(8)]
    assert came.index("p0") >= 5  # at the end of the other seven two were under way beside it
    assert sorted(came) == [f"p{n}" for n in range(8)]


def test_no_more_than_so_many_are_asked_at_once(server: LlmServer, writer: Writer) -> None:
    barrier = threading.Barrier(4, timeout=30)  # opens only where four are under way

    def behaviour(body: Body) -> Reply:
        barrier.wait()
        return written()

    server.behaviour = behaviour
    assert {answer.outcome for answer in ask(writer, 16, Copywriting(concurrency=4))} == {"written"}
    assert server.at_once == 4


MOST = most_tokens(prompts(1)[0])
ALL = MOST.into + MOST.out


def test_a_budget_of_nothing_asks_nothing(server: LlmServer, writer: Writer) -> None:
    for knobs in (Copywriting(tokens_per_day=0), Copywriting(money_per_day=0, output_price=1)):
        assert {answer.outcome for answer in ask(writer, 3, knobs)} == {"over_budget"}
    assert ask(writer, 1, Copywriting(tokens_per_day=ALL), Spent(1, 0))[0].outcome == "over_budget"
    assert server.seen == []


def test_requests_under_way_are_waited_for_before_the_budget_is_called_used_up(
    server: LlmServer, writer: Writer
) -> None:
    # Room for one at most, but each turns out to cost 1 + 1: all fit, one after the other.
    server.behaviour = lambda _: written(usage={"prompt_tokens": 1, "completion_tokens": 1})
    answers = ask(writer, 5, Copywriting(concurrency=5, tokens_per_day=ALL + 8))
    assert {answer.outcome for answer in answers} == {"written"}
    assert server.at_once == 1


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {"prompt_tokens": "300", "completion_tokens": 40},
        {"prompt_tokens": 300},
        {"prompt_tokens": -300, "completion_tokens": 40},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": True, "completion_tokens": 1.5},
        {"prompt_tokens": 10**12, "completion_tokens": 40},
    ],
)
def test_without_true_usage_the_most_is_counted(usage: object, server: LlmServer, writer: Writer) -> None:
    server.behaviour = lambda _: written(usage=usage)
    first, second = ask(writer, 2, Copywriting(concurrency=1, tokens_per_day=2 * ALL - 1))
    assert (first.outcome, first.tokens_in, first.tokens_out) == ("written", MOST.into, MOST.out)
    assert second.outcome == "over_budget"


def test_every_try_is_counted(server: LlmServer, writer: Writer) -> None:
    server.script = [refused(500), refused(429), written()]  # the first may be charged for, the second is not
    (answer,) = ask(writer)
    assert (answer.tokens_in, answer.tokens_out) == (MOST.into + 300, MOST.out + 40)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    used=st.lists(st.tuples(st.integers(1, MOST.into), st.integers(1, MOST.out)) | st.none(), min_size=1, max_size=12),
    fails=st.lists(st.sampled_from([0, 500, 429]), max_size=12),
    concurrency=st.integers(1, 5),
    tokens=st.integers(0, 4 * ALL),
    before=st.integers(0, ALL),
    prices=st.tuples(st.floats(0, 100), st.floats(0, 100)),
    money=st.floats(0, 0.1),
)
def test_no_budget_is_ever_passed(
    server: LlmServer,
    writer: Writer,
    used: list[tuple[int, int] | None],
    fails: list[int],
    concurrency: int,
    tokens: int,
    before: int,
    prices: tuple[float, float],
    money: float,
) -> None:
    """What the server charges is drawn, up to the most; a request that it fails at is charged in full."""
    number, charged, lock = count(), [(before, 0)], threading.Lock()

    def behaviour(_: Body) -> Reply:
        with lock:
            n = next(number)
            if n < len(fails) and fails[n] == 429:
                return refused(429)
            into, out = used[n % len(used)] or (MOST.into, MOST.out)
            if n < len(fails) and fails[n]:
                charged.append((MOST.into, MOST.out))
                return refused(fails[n])
            charged.append((into, out))
            known = used[n % len(used)] is not None
            return written(usage={"prompt_tokens": into, "completion_tokens": out} if known else None)

    server.behaviour = behaviour
    knobs = Copywriting(
        concurrency=concurrency,
        tokens_per_day=tokens,
        money_per_day=money,
        input_price=prices[0],
        output_price=prices[1],
    )
    answers = writer.write(prompts(len(used)), knobs, Spent(before, 0))
    ours = charged[1:]
    assert sum(answer.tokens_in for answer in answers) == sum(into for into, _ in ours)
    assert sum(answer.tokens_out for answer in answers) == sum(out for _, out in ours)
    if ours:
        assert sum(map(sum, charged)) <= tokens
        if any(prices):
            assert sum(into * prices[0] + out * prices[1] for into, out in ours) / 1e6 <= money * (1 + 1e-9)


def test_an_interrupt_ends_it_and_what_was_under_way_is_counted(server: LlmServer, writer: Writer) -> None:
    barrier = threading.Barrier(3, action=lambda: os.kill(os.getpid(), signal.SIGINT), timeout=30)

    def behaviour(body: Body) -> Reply:
        if body["messages"][1]["content"] == "a product 0":
            return written()
        barrier.wait()
        return server_of.hanging()

    server.behaviour = behaviour
    told: list[Answer] = []
    with pytest.raises(KeyboardInterrupt):
        writer.write(prompts(50), Copywriting(concurrency=3, timeout_seconds=300), Spent(), told.append)
    outcomes = {answer.id: (answer.outcome, answer.says, answer.tokens_in) for answer in told}
    assert outcomes.pop("p0") == ("written", "", 300)
    assert outcomes == {f"p{n}": ("failed", "interrupted", MOST.into) for n in (1, 2, 3)}
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("asyncio", "AnyIO"))]


def test_who_cannot_keep_an_answer_ends_the_run(server: LlmServer, writer: Writer) -> None:
    def keep(answer: Answer) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        writer.write(prompts(20), Copywriting(concurrency=2), Spent(), keep)
    assert len(server.seen) <= 4


def test_the_key_is_in_no_message(
    server: LlmServer, writer: Writer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_LOG", "debug")
    caplog.set_level(logging.DEBUG)
    for status in (400, 401, 404, 429, 500):
        server.behaviour = lambda _, status=status: refused(status, KEY, says=f"{KEY} a product")  # type: ignore[misc]
        (answer,) = ask(writer)
        assert answer.outcome in ("failed", "busy")
        assert KEY not in repr(answer)
        assert "a product" not in repr(answer)
    assert KEY not in repr(writer) + caplog.text
    assert "a product" not in caplog.text
    assert repr(Writer("http://name:password@host/v1", MODEL, KEY)) == f"Writer(model='{MODEL}', at='host')"


def test_a_key_that_cannot_be_sent_is_refused_without_showing_it() -> None:
    for key in ("secret\n", "sécret", "a\0b"):
        with pytest.raises(SettingsError, match="RECSYS_LLM_KEY") as caught:
            Writer("http://127.0.0.1/v1", MODEL, key)
        assert key not in str(caught.value)


def test_a_prompt_with_half_a_character_is_asked(server: LlmServer, writer: Writer) -> None:
    half: list[Any] = [Prompt("p", "Write English (en).", "\ud83d", 200)]
    assert writer.write(half, ONE, Spent())[0].outcome == "written"
