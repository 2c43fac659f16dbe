"""A person's id → the key that stands for them everywhere inside.

Ids are opaque: at most 128 bytes of UTF-8, neither empty nor holding NUL. Keys are HMAC-SHA-256 under the home's
secret, cut to 128 bits and written as 32 hex digits (Postgres: ``uuid``). Each kind of id has a label of its own,
so that user "7", anonymous "7" and session "7" never meet.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field

MAX_ID_BYTES = 128
KEY_PREFIX = "key:"
_KEY = re.compile(r"[0-9a-f]{32}")


def id_problem(raw: str) -> str | None:
    """Why ``raw`` cannot be an id of a person or product, or None where it can.

    >>> id_problem("007"), id_problem(""), id_problem("x" * 129)
    (None, 'is empty', 'is longer than 128 bytes')
    """
    if not raw:
        return "is empty"
    if "\x00" in raw:
        return "holds a NUL character"
    try:
        size = len(raw.encode())
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    return "is longer than 128 bytes" if size > MAX_ID_BYTES else None


@dataclass(frozen=True)
class KeyRing:
    """Makes keys under one secret (at least 16 bytes)."""

    secret: bytes = field(repr=False)

    def _digest(self, label: str, raw: str) -> str:
        return hmac.digest(self.secret, f"{label}\x00{raw}".encode(), "sha256")[:16].hex()

    def user_key(self, user_id: str) -> str:
        """Key of a known user's id."""
        return self._digest("user", user_id)

    def anon_key(self, anon_id: str) -> str:
        """Key of an anonymous id (a cookie, a device)."""
        return self._digest("anon", anon_id)

    def session_key(self, session_id: str) -> str:
        """Key of a shop's own session id: it may well be a cookie, so it is not kept either."""
        return self._digest("session", session_id)

    def mark(self, key: str) -> str:
        """What an opt-out or an erasure leaves behind: it cannot be turned back into the key."""
        return self._digest("mark", key)

    def receipt(self, mark: str) -> str:
        """Number of the receipt of an erasure: whoever lacks the secret can neither guess it nor turn it back."""
        return self._digest("receipt", mark)

    def fingerprint(self) -> str:
        """What a home stores to recognise its secret (never the secret)."""
        return hashlib.sha256(b"recsys fingerprint\x00" + self.secret).hexdigest()[:16]

    def resolve(self, asked: str, *, anonymous: bool = False) -> str:
        """The key meant by ``asked``: an id, or ``key:<32 hex digits>`` as listings print it."""
        if asked.startswith(KEY_PREFIX) and _KEY.fullmatch(asked[len(KEY_PREFIX) :]):
            return asked[len(KEY_PREFIX) :]
        return self.anon_key(asked) if anonymous else self.user_key(asked)
