"""How the text of an environment variable becomes a value. Each raises ValueError, which goes on "RECSYS_X …"."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


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


def switch(raw: str) -> bool:
    """Whether something is on."""
    return one_of("on", "off")(raw) == "on"


def origins(raw: str) -> str:
    """Origins as browsers send them, with commas between them; ``*`` alone: any.

    >>> origins("https://shop.example, http://localhost:3000")
    'https://shop.example,http://localhost:3000'
    """
    found = [part.strip() for part in raw.split(",")]
    if found != ["*"] and not all(re.fullmatch(r"https?://[a-z0-9.-]+(:\d+)?", part) for part in found):
        raise ValueError("is neither * nor https://shop.example, or several with commas between them, without a path")
    return ",".join(found)


def networks(raw: str) -> str:
    """Addresses and networks, with commas between them.

    >>> networks("10.0.0.7, 192.168.0.0/16,::1")
    '10.0.0.7,192.168.0.0/16,::1'
    """
    found = [part.strip() for part in raw.split(",")]
    for part in found:
        try:
            ip_network(part)
        except ValueError:
            raise ValueError("is not an address or network such as 10.0.0.7 or 10.0.0.0/8, or several") from None
    return ",".join(found)


_HERE = ("localhost", "127.0.0.1", "::1")
_WEAK = {"ssl_cert_reqs": ("none", "optional"), "ssl_check_hostname": ("0", "f", "false", "n", "no")}


def plain_connection(raw: str) -> str | None:
    """Why a connection to a Postgres or Redis could be read or answered by others on its way; None: it could not.

    Empty, or on this machine: it goes over no network.

    >>> plain_connection("postgresql://app@db/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem")
    >>> plain_connection("rediss://cache:6379/0?ssl_cert_reqs=none")
    'has ssl_cert_reqs=none: take it away, so that the server is verified'
    """
    parts = urlsplit(raw)
    told = parse_qs(parts.query, keep_blank_values=True)
    if not raw or (parts.hostname in _HERE and not told.keys() & {"host", "hostaddr", "service"}):
        return None
    if parts.scheme == "postgresql":
        if told.get("sslmode") == ["verify-full"]:
            return None
        return "needs sslmode=verify-full (and sslrootcert=, the file of the CA)"
    if parts.scheme != "rediss":
        return "needs rediss:// (and ssl_ca_certs=, the file of the CA)"
    for name, weak in _WEAK.items():
        for value in told.get(name, ()):
            if value.lower() in weak:
                return f"has {name}={value}: take it away, so that the server is verified"
    return None
