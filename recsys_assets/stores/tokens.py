"""Tokens of the API: who may see profiles and listings, and may write.

A token is shown once, when it is made; Postgres keeps SHA-256 of it, which is enough for 32 random bytes. Each change
raises ``live.token_version`` in its own transaction, and every API process follows within a second.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from recsys_assets.errors import NotFoundError, RefusedError
from recsys_assets.stores.postgres import Connection, Postgres, rows, run

SCOPES = ("profiles", "listings", "writes")
PREFIX = "recsys_"  # by which a scanner of sources and logs knows one


@dataclass(frozen=True)
class Kept:
    """What is known of a token: its number, whose it is, what it may do, from when until when (UTC)."""

    number: str
    name: str
    scopes: tuple[str, ...]
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Made(Kept):
    """A new token, and the token itself."""

    token: str


class Tokens:
    """The tokens in one Postgres. Every method raises StoreError where it does not answer."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def make(self, name: str, scopes: Sequence[str], lifetime: timedelta) -> Made:
        """A token for somebody who has none.

        Raises:
            RefusedError: there is one of this name that has not expired.
        """
        with self._changing() as connection:
            if self._current(connection, name):
                raise RefusedError(
                    f"there is a token {name}: `recsys token rotate` gives another one in its place, and "
                    "`recsys token revoke` ends it."
                )
            return _insert(connection, name, scopes, lifetime)

    def rotate(self, name: str, overlap: timedelta) -> Made:
        """Another token of the same scopes and lifetime; those before it are taken for ``overlap`` more.

        Raises:
            NotFoundError: there is none of this name that has not expired.
        """
        with self._changing() as connection:
            if not (now := self._current(connection, name)):
                raise NotFoundError(f"there is no token {name} to rotate: `recsys token list` shows those there are.")
            run(connection, "publish/end_tokens", {"name": name, "overlap": overlap})
            last = now[-1]
            return _insert(connection, name, last.scopes, last.expires_at - last.made_at)

    def revoke(self, word: str) -> list[Kept]:
        """Ends the tokens of a name, or the one of a number, at once.

        Raises:
            NotFoundError: there is none.
        """
        with self._changing() as connection:
            gone = [_kept(row) for row in rows(connection, "publish/revoke_tokens", {"word": word})]
            if not gone:
                raise NotFoundError(f"there is no token {word}: `recsys token list` shows those there are.")
            return gone

    def all(self) -> list[tuple[Kept, bool]]:
        """Every token, by name and age, and whether it has expired."""
        self._postgres.migrate()
        with self._postgres.connect() as connection:
            return [(_kept(row), row["expired"]) for row in rows(connection, "read/tokens")]

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """A transaction whose change every API process learns of; one at a time, by the lock on the pointer's row."""
        self._postgres.migrate()
        with self._postgres.connect() as connection, connection.transaction():
            run(connection, "publish/tokens_changed")
            yield connection

    def _current(self, connection: Connection, name: str) -> list[Kept]:
        """Those of a name that are taken, oldest first; its expired ones are dropped."""
        run(connection, "publish/drop_expired_tokens", {"name": name})
        return [_kept(row) for row in rows(connection, "read/tokens") if row["name"] == name]


def _insert(connection: Connection, name: str, scopes: Sequence[str], lifetime: timedelta) -> Made:
    token = PREFIX + secrets.token_urlsafe(32)
    values = {
        "name": name, "hash": sha256(token.encode()).digest(), "scopes": list(scopes), "lifetime": lifetime,
    }  # fmt: skip
    return Made(**vars(_kept(rows(connection, "publish/new_token", values)[0])), token=token)


def _kept(row: dict[str, Any]) -> Kept:
    return Kept(str(row["token"]), row["name"], tuple(row["scopes"]), row["made_at"], row["expires_at"])
