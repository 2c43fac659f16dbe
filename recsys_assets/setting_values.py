"""How the text of an environment variable becomes a value. Each raises ValueError, which goes on "RECSYS_X …"."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit


def folder(raw: str) -> Path:
    """A path, absolute."""
    return Path(raw).expanduser().resolve()


def private(raw: str) -> str:
    """A secret that is long enough."""
    if len(raw.encode()) < 16:
        raise ValueError("has fewer than 16 bytes")
    return raw


def url(*schemes: str) -> Callable[[str], str]:
    """A URL of one of these schemes."""

    def parse(raw: str) -> str:
        parts = urlsplit(raw)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"is not a URL that starts with {' or '.join(s + '://' for s in schemes)}")
        return raw

    return parse


_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.\.?(/|$))[A-Za-z0-9._=-]+)*/?")


def lake(raw: str) -> str:
    """A path as text, or ``s3://…`` without a slash at its end."""
    if raw.startswith("s3://"):
        if not _BUCKET.fullmatch(raw):
            raise ValueError("is not s3://bucket/prefix (letters, digits, '.', '_', '=', '-' and '/')")
        return raw.rstrip("/")
    parts = urlsplit(raw)
    path = unquote(parts.path) if parts.scheme == "file" and not parts.netloc else raw
    if not Path(path).expanduser().is_absolute():
        raise ValueError("is neither an absolute path nor file:///folder nor s3://bucket/prefix")
    return str(folder(path))


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(raw: str) -> int:
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            raise ValueError(f"is not a whole number from {low} to {high}")
        return int(raw)

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """One of a few words."""

    def parse(raw: str) -> str:
        if raw not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return raw

    return parse


def addresses(raw: str) -> str:
    """E-mail addresses, separated by commas."""
    found = [part.strip() for part in raw.split(",")]
    if not all(re.fullmatch(r"[^@\s<>,]+@[^@\s<>,]+", part) for part in found):
        raise ValueError("is not an e-mail address, or several with commas between them")
    return ",".join(found)
