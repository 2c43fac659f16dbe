"""Opt-outs and erasures as a file: what outlives a database, and comes back into one that is older than they are.

A list holds marks only, which cannot be turned back into keys or ids, and which mean nothing under another secret.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from recsys_assets.errors import SourceError
from recsys_assets.identity import KeyRing
from recsys_assets.stores import receipts
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.postgres import PERSON_TABLES, Postgres, rows, run
from recsys_assets.stores.suppressions import catch_up, kept, suppressing

_MARK = re.compile(r"[0-9a-f]{32}")
Kind = Literal["optout", "erased", "consent"]


@dataclass(frozen=True)
class Wish:
    """One person's wish: the mark as 32 hex digits, what it is, and when it was first made, UTC.

    ``by_file``: a users file says it, and a later one may lift it.
    """

    mark: str
    kind: Kind
    at: datetime
    by_file: bool


@dataclass(frozen=True)
class WishList:
    """Everybody who was suppressed at ``made_at``, UTC, under the secret with this fingerprint."""

    made_at: datetime
    secret_fingerprint: str
    wishes: tuple[Wish, ...]

    def text(self) -> str:
        """The file."""
        return json.dumps(asdict(self), indent=1, default=lambda at: at.isoformat()) + "\n"


def exported(postgres: Postgres, keys: KeyRing, now: datetime) -> WishList:
    """Everybody who is suppressed; ``now`` is a time before which every wish is in it."""
    postgres.migrate()
    with postgres.connect() as connection:
        found = rows(connection, "read/wishes")
    wishes = (Wish(row["mark"].hex, row["kind"], row["at"].astimezone(UTC), row["by_file"]) for row in found)
    return WishList(now, keys.fingerprint(), tuple(wishes))


def read_list(text: str, name: str, keys: KeyRing) -> WishList:
    """A file of `WishList.text`; ``name`` is what messages call it.

    Raises:
        SourceError: it is something else, is damaged, or was made under another secret.
    """
    try:
        raw = json.loads(text)
        wishes = tuple(
            Wish(wish["mark"], wish["kind"], _time(wish["at"]), bool(wish["by_file"])) for wish in raw["wishes"]
        )
        found = WishList(_time(raw["made_at"]), raw["secret_fingerprint"], wishes)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(
            f"{name} is not a list of `recsys suppressions export` ({type(error).__name__}: {error})."
        ) from None
    if found.secret_fingerprint != keys.fingerprint():
        raise SourceError(
            f"{name} was made under another secret (fingerprint {found.secret_fingerprint}, this home's is "
            f"{keys.fingerprint()}): its marks mean nobody here."
        )
    for wish in wishes:
        if not _MARK.fullmatch(wish.mark) or wish.kind not in get_args(Kind):
            raise SourceError(
                f"{name}: {wish.mark!r}, {wish.kind!r} is not a mark with one of {', '.join(get_args(Kind))}."
            )
    return found


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return found


def apply(postgres: Postgres, cache: Cache, keys: KeyRing, wishes: Sequence[Wish]) -> int:
    """Suppresses everybody in ``wishes``, and whoever Redis still knows; how many were not suppressed before.

    An erasure that is new here gets its receipt again, open: what the database and the lake hold of the person is as
    old as they are.

    It only adds. The version goes beyond what Redis has seen, so that a Redis which has outlived an older Postgres is
    brought in line instead of being trusted.

    Raises:
        StoreError: a store does not answer.
    """
    postgres.migrate()
    with postgres.connect() as connection, suppressing(connection):
        seen = cache.version() or 0
        told = {wish.mark: asdict(wish) for wish in wishes}
        now = datetime.now(UTC)
        for mark in cache.markers():
            told.setdefault(mark, asdict(Wish(mark, "optout", now, by_file=False)))
        before = {row["mark"].hex: row["kind"] for row in rows(connection, "read/wishes")}
        with connection.transaction():
            version = int(rows(connection, "publish/version_beyond", {"seen": seen})[0]["suppression_version"])
            for values in told.values():
                run(connection, "publish/suppress_again", {**values, "version": version})
                if values["kind"] == "erased" and before.get(values["mark"]) != "erased":
                    mark = values["mark"]
                    receipts.opened(connection, keys, mark, "erasure", again=False, at=values["at"])
            for generation in kept(connection):
                for table in PERSON_TABLES:
                    run(connection, f"publish/suppress_{table}", {"generation": generation})
        catch_up(connection, cache)
        return len(told.keys() - before.keys())
