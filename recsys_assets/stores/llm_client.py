"""A client of an endpoint that speaks OpenAI's protocol, of which it takes the protocol alone.

Neither the environment variables that the openai package reads, nor its retries, nor what it tells of this machine.
The package takes a second to import, so it is imported on first use.
"""

import json
import logging
import math
import re
import ssl
from collections.abc import AsyncIterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from recsys_assets.errors import SettingsError

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

_ERROR_BYTES = 10_000
# The client adds what the machine runs on, and whatever OPENAI_CUSTOM_HEADERS holds; an endpoint needs no more than:
_HEADERS = {"host", "accept", "connection", "content-type", "content-length", "transfer-encoding"}
_CODE = re.compile("[a-z_]{1,40}")  # no digits: keys have some
_STREAMED = "x-stainless-raw-response"  # the client itself looks for it in the request that it sent


def open_client(url: str, key: str) -> "AsyncOpenAI":
    """A client of the endpoint that sends our headers only, follows nobody elsewhere and does not retry.

    A status other than 200 raises `openai.APIStatusError`, whose ``body`` is the beginning of what was said.
    """
    import openai

    for name in ("openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)  # OPENAI_LOG=debug would log prompts

    async def leave(request: "httpx2.Request") -> None:
        for name in set(request.headers) - _HEADERS - {_STREAMED}:
            del request.headers[name]
        request.headers |= {"user-agent": "recsys", "accept-encoding": "identity"}
        if key:
            request.headers["authorization"] = f"Bearer {key}"

    async def arrive(response: "httpx2.Response") -> None:
        if response.status_code != 200:  # raised here, as the client itself would read an error of any length
            said = await read_at_most(response.aiter_bytes(), _ERROR_BYTES, cut=True)
            raise openai.APIStatusError("refused", response=response, body=(said or b"").decode(errors="replace"))

    # The environment's proxies stay out; certificates are checked as for our webhooks.
    http = openai.DefaultAsyncHttpxClient(
        trust_env=False,
        follow_redirects=False,  # `arrive` refuses them already
        verify=ssl.create_default_context(),
        event_hooks={"request": [leave], "response": [arrive]},
    )
    # `leave` sends the key: the client never learns it, and OPENAI_API_KEY is not looked for.
    return openai.AsyncOpenAI(base_url=url, api_key="none", timeout=None, max_retries=0, http_client=http)


async def read_at_most(chunks: AsyncIterator[bytes], most: int, *, cut: bool = False) -> bytes | None:
    """All of it; where it is longer, its beginning if it may be ``cut``, else None."""
    read = bytearray()
    async for chunk in chunks:
        read += chunk
        if len(read) > most:
            return bytes(read[:most]) if cut else None
    return bytes(read)


def error_of(body: object) -> tuple[str, str]:
    """Code and whole text, in small letters, of an endpoint's complaint. Only the code may go into messages."""
    text = str(body)
    try:
        code = str(json.loads(text)["error"]["code"])
    except (LookupError, TypeError, ValueError, RecursionError):
        code = ""
    return (code if _CODE.fullmatch(code) else ""), text.lower()


def checked_key(key: str) -> str:
    """The key.

    Raises:
        SettingsError: it cannot be sent. Sent anyway it would stand in the error.
    """
    if not (key.isascii() and key.isprintable()):
        raise SettingsError("RECSYS_LLM_KEY holds a line end or another character that no key has")
    return key


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds from now, of a Retry-After in seconds or as a date; None where it says nothing.

    >>> retry_after("2", 0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 50), retry_after("soon", 0)
    (2.0, 10.0, None)
    """
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)
