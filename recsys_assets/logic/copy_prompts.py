"""Facts and key → what a language model is asked, and its answer → a `Text`, or why there is none.

Every word of a prompt stands in its two templates, so that their hash says which prompt a text came from.
"""

import hashlib
import json
import math
import string
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import jinja2

from recsys_assets.logic.copy_facts import Facts, Text, TextKey
from recsys_assets.tuning import Copywriting

FILES = ("copy.system.txt.j2", "copy.user.txt.j2")
PARTS = ("headline", "sentence", "call_to_action")
# Three strings and nothing else; `strict` endpoints want every field required and no other one allowed.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {part: {"type": "string"} for part in PARTS},
    "required": list(PARTS),
    "additionalProperties": False,
}
Format = Literal["json_schema", "json_object", "text"]  # from what is wanted to what any endpoint takes
FORMATS: tuple[Format, ...] = ("json_schema", "json_object", "text")
Outcome = Literal["written", "refused_by_model", "unreadable", "late", "busy", "failed", "over_budget", "pending"]
CONTENT_AT_MOST = 20_000  # characters of an answer that are looked at: some models think aloud first

_NAME, _LABEL, _DESCRIPTION, _TAG, _VALUE = 200, 100, 600, 40, 100  # characters that the prompt holds of each
_TAGS = _ATTRIBUTES = 20
_BRACES = 50  # of an answer that may begin an object: thousands of nested ones took a second
_ROOM = 80  # tokens for the JSON around the words
# English has about four letters per token, a Llama 2 tokenizer on German 2.5; no tokenizer that we know makes more than
# one token of a byte, as it does of rare characters. So this bounds a prompt from above, whatever a catalogue holds.
_LETTERS = (string.ascii_letters + " ").encode()
_LETTERS_PER_TOKEN = 2
_TEMPLATE_TOKENS = 64  # what an endpoint's chat template adds
_TOKENS_AT_MOST = 10_000_000  # of one answer's usage; larger numbers are no usage


@dataclass(frozen=True)
class Prompt:
    """What is asked for one text. ``id`` comes back with the answer; 64 characters at most."""

    id: str
    system: str
    user: str
    max_tokens: int


@dataclass(frozen=True)
class Tokens:
    """In and out."""

    into: int = 0
    out: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.into + other.into, self.out + other.out)

    def __sub__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.into - other.into, self.out - other.out)


@dataclass(frozen=True)
class Reading:
    """What an answer comes to. ``says`` why there is no text, in words of ours; ``tokens`` None: it does not tell."""

    outcome: Outcome
    says: str = ""
    text: Text | None = None
    tokens: Tokens | None = None


@dataclass(frozen=True)
class Templates:
    """Both templates, compiled once for many prompts, and the version that they are."""

    system: jinja2.Template
    user: jinja2.Template
    version: str

    @classmethod
    def of(cls, folder: Path) -> Self:
        """From the folder that holds `FILES`."""
        plain = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder),
            autoescape=False,  # noqa: S701  plain text, where nothing is markup
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        system, user = map(plain.get_template, FILES)
        return cls(system, user, prompt_version(folder))


def prompt_version(folder: Path) -> str:
    """12 hex digits that change with any character of a template."""
    hashed = hashlib.sha256()
    for name in FILES:
        hashed.update((folder / name).read_text(encoding="utf-8").encode() + b"\0")
    return hashed.hexdigest()[:12]


def text_id(facts: Facts, key: TextKey) -> str:
    """32 hex digits of what a text is kept under: the facts' hash and the key."""
    parts = (facts.hash(), key.intent, key.reason_kind, key.tone, key.language, key.prompt_version)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def prompt(facts: Facts, key: TextKey, knobs: Copywriting, templates: Templates) -> Prompt:
    """What a model is asked for the text of these facts under this key; its id is `text_id`.

    A token is at least a character of what we keep, so that lengths in characters bound the answer's tokens.
    """
    lengths = (knobs.headline_at_most, knobs.sentence_at_most, knobs.call_to_action_at_most)
    asked = {
        "language": key.language,
        "tone": key.tone,
        "intent": key.intent,
        "reason_kind": key.reason_kind,
        "slots": facts.slots(),
        "headline_at_most": lengths[0],
        "sentence_at_most": lengths[1],
        "call_to_action_at_most": lengths[2],
        "more_claims": knobs.more_claims,
        "catalogue": _catalogue(facts),
        "name_characters": len(facts.name),
        "discounted": facts.discounted,
    }
    system, user = (template.render(asked) for template in (templates.system, templates.user))
    return Prompt(text_id(facts, key), system, user, sum(lengths) + _ROOM)


def _catalogue(facts: Facts) -> str:
    """The facts as JSON that cannot end its own delimiter: ``<`` and ``>`` stand in it as escapes."""
    told = {
        "name": _clean(facts.name, _NAME),
        "category": _clean(facts.category or "", _NAME),
        "brand": _clean(facts.brand or "", _LABEL),
        "description": _clean(facts.description or "", _DESCRIPTION),
        "tags": [tag for tag in (_clean(raw, _TAG) for raw in facts.tags[:_TAGS]) if tag],
        "attributes": _attributes(facts.attributes),
    }
    text = json.dumps({name: value for name, value in told.items() if value}, ensure_ascii=False, indent=1)
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def _attributes(raw: str | None) -> dict[str, str]:
    """The first plain values of the catalogue's JSON object; what is nested or no JSON tells a copywriter nothing."""
    try:
        found = json.loads(raw or "{}")
    except (ValueError, RecursionError):
        return {}
    plain = {name: value for name, value in found.items() if value} if isinstance(found, dict) else {}
    kept = [(name, value) for name, value in plain.items() if isinstance(value, str | int | float)][:_ATTRIBUTES]
    return {_clean(name, _TAG): _clean(str(value), _VALUE) for name, value in kept}


def _clean(raw: str, at_most: int) -> str:
    r"""One line of what a reader sees. Invisible characters can hold a second text that only the model reads.

    >>> _clean("Tea\x00\n\u202egreen\u200b", 20), _clean("Oolong", 4)
    ('Tea green', 'Oolo…')
    """
    # C: control, format (bidi marks, zero widths, tags), surrogates, private use, not assigned.
    seen = (c if not (kind := unicodedata.category(c)).startswith("C") else " " if kind == "Cc" else "" for c in raw)
    line = " ".join("".join(seen).split())
    return line if len(line) <= at_most else line[:at_most].rstrip() + "…"


def most_tokens(prompt: Prompt) -> Tokens:
    """What a request for it costs at most, where the endpoint minds ``max_tokens``."""
    said = (prompt.system + prompt.user + json.dumps(SCHEMA)).encode(errors="replace")
    others = len(said.translate(None, delete=_LETTERS))
    letters = math.ceil((len(said) - others) / _LETTERS_PER_TOKEN)
    return Tokens(letters + others + _TEMPLATE_TOKENS, prompt.max_tokens)


def request_body(prompt: Prompt, model: str, form: Format, limit: str = "max_tokens") -> dict[str, Any]:
    """The chat completion to ask for. Temperature and seed are left to the endpoint: some models refuse both.

    Args:
        prompt: what is asked.
        model: by the endpoint's name.
        form: what the answer is bound to.
        limit: the field that bounds the answer; some models know it by another name.
    """
    said = (("system", prompt.system), ("user", prompt.user))
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": role, "content": text.encode(errors="replace").decode()} for role, text in said],
        limit: prompt.max_tokens,
    }
    if form == "json_schema":
        schema = {"name": "copy", "strict": True, "schema": SCHEMA}
        body["response_format"] = {"type": form, "json_schema": schema}
    elif form == "json_object":
        body["response_format"] = {"type": form}
    return body


def read_completion(answer: object) -> Reading:
    """What a chat completion, as parsed JSON, holds."""
    whole: dict[str, Any] = answer if isinstance(answer, dict) else {}
    tokens = _tokens(whole.get("usage"))
    try:
        choice = whole["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        content, refusal = message.get("content"), message.get("refusal")
    except (AttributeError, LookupError, TypeError):
        return Reading("unreadable", "the answer is no chat completion", tokens=tokens)
    if refusal or reason == "content_filter":
        return Reading("refused_by_model", "the model or its filter refused", tokens=tokens)
    if reason == "length":
        return Reading("unreadable", "the answer was cut off at its most tokens", tokens=tokens)
    if not isinstance(content, str) or not content.strip():
        return Reading("unreadable", "the answer is empty", tokens=tokens)
    try:
        return Reading("written", "", read_text(content), tokens)
    except ValueError as error:
        return Reading("unreadable", str(error), tokens=tokens)


def _tokens(usage: object) -> Tokens | None:
    """A completion's figures, where they can be true of a prompt and an answer."""
    found = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else []
    good = [n for n in found if isinstance(n, int) and not isinstance(n, bool) and 0 < n <= _TOKENS_AT_MOST]
    return Tokens(*good) if len(good) == 2 else None


def read_text(content: str) -> Text:
    """The text that a model's answer holds: one JSON object of `SCHEMA`, bare, in a fence or amid prose.

    Raises:
        ValueError: there is none, or more than one; the message says why in words of ours.

    >>> read_text('Sure! {"headline": "Hi", "sentence": "Try {name}.", "call_to_action": "Look"}').headline
    'Hi'
    """
    if len(content) > CONTENT_AT_MOST:
        raise ValueError(f"the answer is longer than {CONTENT_AT_MOST} characters")
    found = list(_objects(content))
    fitting = [one for one in found if set(one) == set(PARTS) and all(isinstance(v, str) for v in one.values())]
    if not fitting:
        raise ValueError("the answer's JSON has other fields than asked for" if found else "the answer holds no JSON")
    if any(one != fitting[0] for one in fitting):
        raise ValueError("the answer holds more than one text")
    text = Text.of({name: value.strip() for name, value in fitting[0].items()})
    words = text.parts().values()
    if not all(words):
        raise ValueError("a part of the text is empty")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for part in words for character in part):
        raise ValueError("the text holds characters that cannot be stored")
    return text


def _objects(content: str) -> list[dict[str, Any]]:
    """Every outermost JSON object; none where one holds a field twice, as readers differ in which of them counts."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(made := dict(pairs)) < len(pairs):
            raise ValueError("a field twice")
        return made

    decoder, found, start = json.JSONDecoder(object_pairs_hook=once), [], content.find("{")
    for _ in range(_BRACES):
        if start < 0:
            break
        try:
            one, end = decoder.raw_decode(content, start)
            found.append(one)
        except (ValueError, RecursionError):
            end = start + 1
        start = content.find("{", end)
    return found
