"""The endpoint's Batch API: many prompts as one file, answers within a day, at most endpoints for half the money.

The budget knows no discount: what is submitted is counted at the prices of the knobs.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from recsys_assets.errors import NotFoundError, RecsysError, RefusedError, SettingsError, StoreError
from recsys_assets.logic.copy_prompts import (
    Outcome,
    Prompt,
    Reading,
    Tokens,
    most_tokens,
    read_completion,
    request_body,
)
from recsys_assets.stores.llm import ANSWER_BYTES, Answer, Budget, Spent
from recsys_assets.stores.llm_client import checked_key, error_of, open_client, read_at_most
from recsys_assets.tuning import Copywriting

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

REQUESTS_AT_MOST = 50_000  # of one batch, as OpenAI takes them
BYTES_AT_MOST = 190_000_000  # of one file; OpenAI takes 200 MB
_LISTED = 100  # newest batches among which a submit looks for itself
_SECONDS, _TRANSFER_SECONDS = 60.0, 600.0  # of a question, and of a file
_UNDONE: Mapping[str, tuple[Outcome, str]] = {
    "failed": ("failed", "the endpoint refused the batch"),
    "expired": ("late", "the batch was not done within its 24 hours"),
    "cancelled": ("failed", "the batch was cancelled"),
}


@dataclass(frozen=True)
class Submitted:
    """The batch, None where nothing fits the budget, and per prompt an answer: pending, or why it is not in the batch.

    A pending answer's tokens are the most that it can cost. Count them on the day of the submit.
    """

    batch_id: str | None
    answers: list[Answer]


@dataclass(frozen=True)
class Collected:
    """What has become of a batch; answers only when it is no longer running, with the tokens that they did cost."""

    state: Literal["running", "done", "failed"]
    answers: list[Answer]


class Batches:
    """Batches for ``model`` at ``url`` (…/v1).

    Every method raises `StoreError` where the endpoint does not answer or is busy, `SettingsError` where it refuses the
    key, and `RefusedError` where it knows no batches.
    """

    def __init__(self, url: str, model: str, key: str = "") -> None:
        self._url, self._model, self._key = url, model, checked_key(key)
        self._host = urlsplit(url).hostname or ""

    def __repr__(self) -> str:
        return f"Batches(model={self._model!r}, at={self._host!r})"

    def submit(self, prompts: Sequence[Prompt], knobs: Copywriting, spent: Spent, name: str = "") -> Submitted:
        """Sends as many prompts, in their order, as the budget surely pays.

        Args:
            prompts: what to ask; ids differ.
            knobs: the budget.
            spent: what the day's budget has already lost.
            name: a batch of this name that the endpoint already has is taken for this one: where its answer to an
                earlier submit was lost, a second one would be paid for twice.
        """
        if len({prompt.id for prompt in prompts}) < len(prompts):
            raise RefusedError("two prompts of a batch have the same id: their answers could not be told apart")
        budget, lines, size, answers = Budget(knobs, spent), list[bytes](), 0, list[Answer]()
        for prompt in prompts:
            line, most = self._line(prompt), most_tokens(prompt)
            if len(lines) == REQUESTS_AT_MOST or size + len(line) > BYTES_AT_MOST:
                answers.append(Answer(prompt.id, None, "busy", "the batch is full"))
            elif not budget.hold(most):
                answers.append(Answer(prompt.id, None, "over_budget", "it could pass the day's budget"))
            else:
                lines.append(line)
                size += len(line)
                answers.append(Answer(prompt.id, None, "pending", "in a batch", most.into, most.out, 0.0, 1))
        return Submitted(asyncio.run(self._submit(b"".join(lines), name)) if lines else None, answers)

    def _line(self, prompt: Prompt) -> bytes:
        # The limit by its newest name, which OpenAI's reasoning models insist on: here nobody can be asked otherwise.
        body = request_body(prompt, self._model, "json_schema", "max_completion_tokens")
        line = {"custom_id": prompt.id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"

    async def _submit(self, file: bytes, name: str) -> str:
        none = RefusedError(f"{self._host} has no Batch API: set tuning.copywriting.mode to direct in home.toml")
        async with open_client(self._url, self._key) as client:
            if name and (there := await self._named(client, name)):
                return there
            async with (
                self._answering(none, _TRANSFER_SECONDS),
                client.files.with_streaming_response.create(
                    file=("copy.jsonl", file, "application/jsonl"), purpose="batch"
                ) as response,
            ):
                file_id = _id(await _json(_unbroken(response.iter_bytes())))
            async with (
                self._answering(none),
                client.batches.with_streaming_response.create(
                    input_file_id=file_id,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={"recsys": name} if name else {},
                ) as response,
            ):
                return _id(await _json(_unbroken(response.iter_bytes())))

    async def _named(self, client: "AsyncOpenAI", name: str) -> str | None:
        try:
            async with (
                self._answering(NotFoundError("no list")),
                client.batches.with_streaming_response.list(limit=_LISTED) as response,
            ):
                listed = (await _json(_unbroken(response.iter_bytes()))).get("data")
        except (NotFoundError, RefusedError):
            return None  # the endpoint cannot list them
        for batch in listed if isinstance(listed, list) else []:
            named = isinstance(batch, dict) and (batch.get("metadata") or {}).get("recsys") == name
            if named and batch.get("status") not in (*_UNDONE, "cancelling"):
                return _id(batch)
        return None

    def collect(self, batch_id: str, pending: Sequence[Answer] = ()) -> Collected:
        """What the batch has come to.

        Args:
            batch_id: as `submit` gave it.
            pending: the pending answers that `submit` gave, of which id and tokens are read; there is one answer to
                each, in their order, and other ids in the batch's files are left out. Without any: the answers to
                whatever ids the files hold, and no tokens where the endpoint gives no usage.

        Raises:
            NotFoundError: the endpoint does not know the batch.
        """
        return asyncio.run(self._collect(batch_id, {answer.id: answer for answer in pending}))

    async def _collect(self, batch_id: str, pending: Mapping[str, Answer]) -> Collected:
        none = NotFoundError(f"{self._host} has no batch {batch_id!r}")
        found: dict[str, Answer] = {}
        async with open_client(self._url, self._key) as client:
            async with self._answering(none), client.batches.with_streaming_response.retrieve(batch_id) as response:
                batch = await _json(_unbroken(response.iter_bytes()))
            if (status := batch.get("status")) not in ("completed", *_UNDONE):
                return Collected("running", [])
            for file_id in (batch.get("output_file_id"), batch.get("error_file_id")):
                if file_id and isinstance(file_id, str):
                    async with (
                        self._answering(none, _TRANSFER_SECONDS),
                        client.files.with_streaming_response.content(file_id) as response,
                    ):
                        await _take(_unbroken(response.iter_bytes()), pending, found)
        # A completed batch may have charged for what it does not hold; one that was ended has not done it.
        missing: tuple[Outcome, str] = _UNDONE.get(str(status), ("failed", "the batch holds no answer to it"))
        answers = []
        for asked in pending.values():
            gone = replace(asked, text=None, outcome=missing[0], says=missing[1])
            free = replace(gone, tokens_in=0, tokens_out=0)
            answers.append(found.get(asked.id) or (free if status in _UNDONE else gone))
        state: Literal["done", "failed"] = "failed" if status in _UNDONE and not found else "done"
        return Collected(state, answers if pending else list(found.values()))

    @asynccontextmanager
    async def _answering(self, none: RecsysError, seconds: float = _SECONDS) -> AsyncIterator[None]:
        """Turns what goes wrong into our errors; ``none`` where what is asked for is not there."""
        import openai

        try:
            async with asyncio.timeout(seconds):
                yield
        except RecsysError:
            raise
        except openai.APIStatusError as error:
            raise self._refused(error, none) from None
        except openai.APIConnectionError as error:
            raise StoreError(f"no connection to {self._host} ({type(error.__cause__).__name__})") from None
        except TimeoutError:
            raise StoreError(f"{self._host} does not answer within {seconds:g} s") from None

    def _refused(self, error: "APIStatusError", none: RecsysError) -> RecsysError:
        status, code = error.status_code, error_of(error.body)[0]
        if status in (401, 403):
            return SettingsError(f"RECSYS_LLM_KEY is refused ({status})")
        if status in (404, 405, 501) or status < 400:
            return none
        if status >= 500 or status in (408, 409, 425, 429):
            return StoreError(f"{self._host} fails or is busy ({status}{code and ' ' + code})")
        return RefusedError(f"{self._host} refuses the batch ({status}{code and ' ' + code})")


async def _unbroken(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    except Exception as error:  # however the transport calls it: nothing else runs here
        raise StoreError(f"the endpoint's answer broke off ({type(error).__name__})") from None


async def _json(chunks: AsyncIterator[bytes]) -> dict[str, Any]:
    """A JSON object of bounded length.

    Raises:
        StoreError: it is none.
    """
    body = await read_at_most(chunks, ANSWER_BYTES)
    try:
        found = json.loads((body or b"").decode())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise StoreError("the endpoint's answer about a batch is no JSON object")
    return found


def _id(found: Mapping[str, Any]) -> str:
    """The id of a file or batch.

    Raises:
        StoreError: it has none.
    """
    if not isinstance(given := found.get("id"), str) or not given:
        raise StoreError("the endpoint gave the batch no id")
    return given


async def _take(chunks: AsyncIterator[bytes], pending: Mapping[str, Answer], found: dict[str, Answer]) -> None:
    """Adds the answers of one file. Of several to one id the first with a text counts."""
    async for line in _lines(chunks):
        try:
            one = json.loads(line.decode())
            asked, error, response = one["custom_id"], one.get("error"), one.get("response")
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
            continue  # whose answer it is cannot be known
        if not isinstance(asked, str) or (pending and asked not in pending) or len(found) >= REQUESTS_AT_MOST:
            continue
        if asked in found and found[asked].outcome == "written":
            continue
        reading = _reading(error, response)
        most = pending.get(asked, Answer(asked, None, "pending", ""))
        tokens = Tokens(most.tokens_in, most.tokens_out) if reading.tokens is None else reading.tokens
        found[asked] = Answer(asked, reading.text, reading.outcome, reading.says, tokens.into, tokens.out, 0.0, 1)


def _reading(error: object, response: object) -> Reading:
    status = response.get("status_code") if isinstance(response, dict) else None
    body = response.get("body") if isinstance(response, dict) else None
    if status == 200 and not error:
        return read_completion(body)
    code = error_of(json.dumps({"error": error} if error else body))[0]
    outcome: Outcome = "refused_by_model" if code == "content_filter" else "failed"
    if code == "batch_expired":
        outcome = "late"
    shown = " ".join(filter(None, [str(status) if isinstance(status, int) else "", code]))
    return Reading(outcome, f"the endpoint refuses the request ({shown})", tokens=Tokens())


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines, but for those that are longer than an answer may be."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line and len(line) <= ANSWER_BYTES:
                yield line
        rest = rest[: ANSWER_BYTES + 1]  # enough to know that it is too long
    if rest and len(rest) <= ANSWER_BYTES:
        yield rest
