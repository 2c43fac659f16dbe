"""A language model behind any endpoint that speaks OpenAI's chat completions: prompts in, texts out.

It knows what a request costs at most before it is sent, and sends none that could pass the day's budget.
"""

import asyncio
import json
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from recsys_assets.logic.copy_facts import Text
from recsys_assets.logic.copy_prompts import (
    FORMATS,
    Outcome,
    Prompt,
    Reading,
    Tokens,
    most_tokens,
    read_completion,
    request_body,
)
from recsys_assets.stores.llm_client import checked_key, error_of, open_client, read_at_most, retry_after
from recsys_assets.tuning import Copywriting

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

WAIT_AT_MOST = 60.0  # seconds; who wants us to wait longer is asked another night
IN_A_ROW = 5  # failures without an answer between them, after which nothing more is asked
UNREADABLE_IN_A_ROW = 50  # answers without a text, each of them paid: this model will not learn it tonight
ANSWER_BYTES = 1_000_000
_FREE = Tokens()
_FIRST_WAIT = 0.5  # seconds; doubled with every further try
_NO_MODEL = re.compile(
    r"(no such|unknown|invalid) model|\bmodel\b(?!.*response_format).{0,200}?not (found|exist|available)"
)
_NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")


@dataclass(frozen=True)
class Answer:
    """What came of one prompt. ``says`` why there is no text, in words of ours.

    Tokens are those of all its requests that count against the budget: the endpoint's figures, or where it gives none
    the most that the request could cost. ``latency_ms`` is of the last request; ``attempts`` counts requests.
    """

    id: str
    text: Text | None
    outcome: Outcome
    says: str
    tokens_in: int = 0
    tokens_out: int = 0
    latency_ms: float = 0.0
    attempts: int = 0


@dataclass(frozen=True)
class Spent:
    """What was spent on this UTC day before this run; money in the currency of the knobs' prices."""

    tokens: int = 0
    money: float = 0.0


_Then = Literal["that is it", "try again", "wait, all", "ask otherwise", "stop"]


@dataclass(frozen=True)
class _Said:
    """What asking once came to, by how many requests, and whether and how it is worth asking again."""

    reading: Reading
    then: _Then = "that is it"
    seconds: float | None = None  # that the endpoint wants us to wait
    requests: int = 1


class Budget:
    """What is left of a day: a request holds the most it could cost until it is known what it did cost."""

    def __init__(self, knobs: Copywriting, spent: Spent) -> None:
        self._knobs = knobs
        self._before = spent
        self._used = self._held = Tokens()
        self._settled = asyncio.Event()

    def money(self, tokens: Tokens) -> float:
        """Of these tokens, at the knobs' prices."""
        return (tokens.into * self._knobs.input_price + tokens.out * self._knobs.output_price) / 1_000_000

    def _fits(self, tokens: Tokens) -> bool:
        if self._before.tokens + tokens.into + tokens.out > self._knobs.tokens_per_day:
            return False
        counted = self._knobs.input_price or self._knobs.output_price
        return not counted or self._before.money + self.money(tokens) <= self._knobs.money_per_day

    def hold(self, most: Tokens) -> bool:
        """Holds so much, if it fits beside all that is held."""
        fits = self._fits(self._used + self._held + most)
        self._held += most if fits else _FREE
        return fits

    async def wait_and_hold(self, most: Tokens) -> bool:
        """Holds so much, once requests under way have left room for it; False if they cannot."""
        while not self.hold(most):
            if not self._fits(self._used + most):
                return False
            await self._settled.wait()
        return True

    def settle(self, held: Tokens, used: Tokens) -> None:
        """Gives back what was held and counts what was used."""
        self._held, self._used = self._held - held, self._used + used
        settled, self._settled = self._settled, asyncio.Event()
        settled.set()


class Writer:
    """Asks ``model`` at ``url`` (…/v1) for texts. Waits are drawn from ``seed``; ``sleep`` and ``now`` (seconds since
    1970, for dates that endpoints name) are there for tests.
    """

    def __init__(
        self,
        url: str,
        model: str,
        key: str = "",
        *,
        seed: int = 0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url, self._model, self._key = url, model, checked_key(key)
        self._seed, self._sleep, self._now = seed, sleep, now

    def __repr__(self) -> str:
        return f"Writer(model={self._model!r}, at={urlsplit(self._url).hostname!r})"

    def write(
        self,
        prompts: Sequence[Prompt],
        knobs: Copywriting,
        spent: Spent,
        on_answer: Callable[[Answer], None] | None = None,
    ) -> list[Answer]:
        """One answer per prompt, in their order. Runs an event loop of its own, so not from within one.

        Args:
            prompts: what to ask.
            knobs: how many at once, how often, how long, and the budget.
            spent: what the day's budget has already lost.
            on_answer: told of every answer as it comes, so that what was paid for is kept if the run is ended. Then
                it is also told of requests under way, as failed ones that cost what they could.
        """
        return asyncio.run(self._write(prompts, knobs, spent, on_answer or (lambda _: None)))

    async def _write(
        self, prompts: Sequence[Prompt], knobs: Copywriting, spent: Spent, on_answer: Callable[[Answer], None]
    ) -> list[Answer]:
        answers: dict[int, Answer] = {}
        async with open_client(self._url, self._key) as client:
            asking = _Asking(client, urlsplit(self._url).hostname or "", self._model, knobs.timeout_seconds, self._now)
            run = _Run(asking, knobs, Budget(knobs, spent), self._sleep, self._seed, on_answer)
            todo = iter(enumerate(prompts))
            # No TaskGroup: whatever ends a worker (Dagster raises an error of its own on SIGINT) is to arrive as it is.
            workers = [
                asyncio.create_task(run.work(todo, answers)) for _ in range(min(knobs.concurrency, len(prompts)))
            ]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return [answers[place] for place in range(len(prompts))]


class _Asking:
    """One prompt at a time → `_Said`. Remembers what the endpoint lets itself be asked for."""

    def __init__(self, client: "AsyncOpenAI", host: str, model: str, timeout: float, now: Callable[[], float]) -> None:
        self._client, self._host, self._model, self._timeout, self._now = client, host, model, timeout, now
        self._form, self._limit = 0, "max_tokens"

    async def ask(self, prompt: Prompt) -> _Said:
        """Asks, and again in other words where the endpoint does not know a field; being refused costs nothing."""
        form, requests = self._form, 0
        while True:
            form, limit, requests = max(form, self._form), self._limit, requests + 1
            said = await self._once(prompt, form, limit)
            if said.then != "ask otherwise":
                return replace(said, requests=requests)
            form += limit == self._limit  # else only the limit goes by another name

    async def _once(self, prompt: Prompt, form: int, limit: str) -> _Said:  # noqa: PLR0911  one per case
        import openai

        body = request_body(prompt, self._model, FORMATS[form], limit)
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.chat.completions.with_streaming_response.create(**body) as response,
            ):
                self._form = max(form, self._form)
                try:
                    said = await read_at_most(response.iter_bytes(), ANSWER_BYTES)
                except Exception as error:  # however the transport calls it: nothing else runs here
                    return _failed(f"the answer broke off ({type(error).__name__})", None, "try again")
        except TimeoutError:
            return _Said(Reading("late", f"no answer within {self._timeout:g} s"))
        except openai.APIStatusError as error:
            return self._status(error, form, limit)
        except openai.APIConnectionError as error:
            return self._unreachable(error.__cause__)
        if said is None:
            return _Said(Reading("unreadable", f"the answer is longer than {ANSWER_BYTES:,} bytes"))
        try:
            return _Said(read_completion(json.loads(said.decode())))
        except (ValueError, RecursionError):
            return _Said(Reading("unreadable", "the answer is no JSON"))

    def _unreachable(self, cause: BaseException | None) -> _Said:
        if "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return _failed(f"{self._host}: its certificate is not trusted", then="stop")
        name = type(cause).__name__
        sent = not name.startswith("Connect")  # after that, nobody knows whether it is charged for
        return _failed(f"no connection to {self._host} ({name})", None if sent else _FREE, "try again")

    def _status(self, error: "APIStatusError", form: int, limit: str) -> _Said:  # noqa: PLR0911  one per case
        status, (code, text) = error.status_code, error_of(error.body)
        if status == 429 and code in _NO_QUOTA:
            return _failed(f"the account has no quota left ({code})", then="stop")
        if status in (429, 503, 529):
            return self._busy(status, retry_after(error.response.headers.get("retry-after"), self._now()))
        if status >= 500 or status in (408, 409, 425):
            return _failed(f"the endpoint fails ({status})", None, "try again")  # the work may have been done
        if status in (401, 403):
            return _failed(f"RECSYS_LLM_KEY is refused ({status})", then="stop")
        if code == "model_not_found" or (status == 404 and _NO_MODEL.search(text)):
            return _failed(f"the endpoint has no model {self._model!r}", then="stop")
        if code == "content_filter":
            return _Said(Reading("refused_by_model", "the endpoint's filter refused", tokens=_FREE))
        if status == 400 and limit == "max_tokens" and "max_completion_tokens" in text:
            self._limit = "max_completion_tokens"  # OpenAI's reasoning models take no other name
            return _failed("", then="ask otherwise")
        if status in (400, 404, 422) and form + 1 < len(FORMATS):
            return _failed("", then="ask otherwise")
        if status in (404, 405) or status < 400:
            says = f"RECSYS_LLM_URL leads to no chat completions ({status}); at most endpoints it ends in /v1"
            return _failed(says, then="stop")
        return _failed(f"the endpoint refuses the request ({status}{code and ' ' + code})")

    def _busy(self, status: int, seconds: float | None) -> _Said:
        if seconds is not None and seconds > WAIT_AT_MOST:
            says = f"the endpoint wants to rest for longer than {WAIT_AT_MOST:g} s"
            return _Said(Reading("busy", says, tokens=_FREE), "stop")
        reading = Reading("busy", f"the endpoint is busy ({status})", tokens=_FREE)
        return _Said(reading, "wait, all" if status == 429 or seconds else "try again", seconds)


def _failed(says: str, tokens: Tokens | None = _FREE, then: _Then = "that is it") -> _Said:
    """By default at no cost: nobody charges for a request that is turned away."""
    return _Said(Reading("failed", says, tokens=tokens), then)


class _Run:
    """One night's asking: tries, waits, the budget, and when to stop."""

    def __init__(
        self,
        asking: _Asking,
        knobs: Copywriting,
        budget: Budget,
        sleep: Callable[[float], Awaitable[None]],
        seed: int,
        on_answer: Callable[[Answer], None],
    ) -> None:
        self._asking, self._knobs, self._budget = asking, knobs, budget
        self._sleep, self._seed, self._on_answer = sleep, seed, on_answer
        self._open = asyncio.Event()  # shut while anybody waits because the endpoint told us all to
        self._open.set()
        self._waiting = self._failures = self._unreadable = 0
        self._stopped: tuple[Outcome, str] | None = None

    async def work(self, todo: Iterator[tuple[int, Prompt]], answers: dict[int, Answer]) -> None:
        """Answers what other workers have left in ``todo``."""
        for place, prompt in todo:
            answers[place] = answer = await self._answer(prompt)
            self._on_answer(answer)

    async def _answer(self, prompt: Prompt) -> Answer:
        answer = at_worst = Answer(prompt.id, None, "failed", "")
        most, tries = most_tokens(prompt), 0
        try:
            while True:
                if not await self._budget.wait_and_hold(most):
                    return replace(answer, outcome="over_budget", says="it could pass the day's budget")
                used = _FREE
                try:
                    await self._open.wait()
                    if self._stopped:  # an answer that was to be tried again keeps its own reason
                        outcome, says = (answer.outcome, answer.says) if tries else self._stopped
                        return replace(answer, outcome=outcome, says=says)
                    used, at_worst, started = most, _counted(answer, most, 1), time.perf_counter()
                    said = await self._asking.ask(prompt)
                    used = most if said.reading.tokens is None else said.reading.tokens
                finally:
                    self._budget.settle(most, used)
                answer = replace(
                    _counted(answer, used, said.requests), latency_ms=(time.perf_counter() - started) * 1000
                )
                answer = at_worst = replace(
                    answer, outcome=said.reading.outcome, says=said.reading.says, text=said.reading.text
                )
                tries += 1
                if said.then in ("that is it", "stop") or tries >= self._knobs.attempts:
                    self._note(said)
                    return answer
                await self._rest(said, prompt, tries)
        except BaseException:
            if at_worst.attempts:  # it is paid for, whoever ends the run
                self._on_answer(replace(at_worst, text=None, outcome="failed", says="interrupted"))
            raise

    def _note(self, said: _Said) -> None:
        """Stops the run where going on is of no use. As many failures in a row as there are workers may be one."""
        outcome, says = said.reading.outcome, said.reading.says
        self._failures = self._failures + 1 if outcome in ("failed", "late", "busy") else 0
        self._unreadable = self._unreadable + 1 if outcome in ("unreadable", "refused_by_model") else 0
        if self._stopped:
            return
        if said.then == "stop":
            self._stopped = outcome, says
        elif self._failures >= max(IN_A_ROW, self._knobs.concurrency):
            self._stopped = "busy" if outcome == "busy" else "failed", f"not asked: {self._failures} in a row, {says}"
        elif self._unreadable >= UNREADABLE_IN_A_ROW:
            self._stopped = "failed", f"not asked: {self._unreadable} in a row, {says}"

    async def _rest(self, said: _Said, prompt: Prompt, tries: int) -> None:
        drawn = random.Random(f"{self._seed} {prompt.id} {tries}").uniform(0.5, 1)  # noqa: S311  no secret
        seconds = min(WAIT_AT_MOST, _FIRST_WAIT * 2**tries) * drawn if said.seconds is None else said.seconds
        if said.then != "wait, all":
            await self._sleep(seconds)
            return
        self._waiting += 1
        self._open.clear()
        try:
            await self._sleep(seconds)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._open.set()


def _counted(answer: Answer, used: Tokens, requests: int) -> Answer:
    return replace(
        answer,
        tokens_in=answer.tokens_in + used.into,
        tokens_out=answer.tokens_out + used.out,
        attempts=answer.attempts + requests,
    )
