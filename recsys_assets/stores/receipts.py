"""What a person who opted out, opted in or asked to be erased is given: a number, and what was removed where.

A receipt becomes durable in the transaction that suppresses the person (`stores.suppressions`); from then on no reader
sees them. The sweep of the lake (`pending`, `record`) then closes an erasure. Receipts know a person by mark only.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from recsys_assets.identity import KeyRing
from recsys_assets.stores.cache import Deleted
from recsys_assets.stores.postgres import PERSON_TABLES, Connection, Postgres, rows, run

Kind = Literal["optout", "optin", "erasure"]
LISTS, PROFILES, PLANS = "Postgres lists", "Postgres profiles", "Postgres plans"
CACHED, CACHED_PLANS = "Redis lists", "Redis plans"  # of which the first says that Redis has followed
CACHED_TOO = "Redis lists, before it followed or again"
CACHED_PLANS_TOO = "Redis plans, before it followed or again"
DUE = timedelta(days=1)  # whatever sweeps looks every half minute: a day means that none does
_NUMBER = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Removed:
    """What was removed from one store: rows, values or files, and when, UTC."""

    store: str
    count: int
    at: datetime


@dataclass(frozen=True)
class Receipt:
    """One wish. ``done_at``: when every store had followed, UTC; None: not yet.

    ``weight_gone_with``: the first generation whose models began to learn after ``done_at``, without an erased person;
    None: there is none yet, and item-side arrays of models may still carry the weight of their events.
    """

    receipt: str
    kind: Kind
    asked_at: datetime
    done_at: datetime | None
    stores: tuple[Removed, ...]
    weight_gone_with: int | None

    @property
    def follows(self) -> tuple[str, ...]:
        """What is still to come, in sentences."""
        if self.kind != "erasure":
            return () if self.done_at else ("Redis has not followed yet: a publish or a warm sees to it.",)
        told = []
        if not any(one.store == CACHED for one in self.stores):
            told.append(
                "Redis has not followed yet, and no process that reaches Postgres trusts it: a warm sees to it."
            )
        if self.done_at is None:
            told.append(
                "The lake and the exports are swept within minutes where Dagster runs, else by `recsys run erase`."
            )
        if self.weight_gone_with is None:
            told.append(
                "Models trained before may carry the weight of the person's events, without the person: the first "
                "training after the sweep drops it, and the generation that it makes is named here once it is live."
            )
        return tuple(told)

    @property
    def status(self) -> Literal["pending", "done"]:
        """Whether any store still has to follow."""
        return "pending" if self.done_at is None else "done"


@dataclass(frozen=True)
class Pending:
    """An erasure that the lake has not followed yet; ``mark`` as 32 hex digits, ``asked_at`` UTC."""

    receipt: str
    mark: str
    asked_at: datetime


@dataclass(frozen=True)
class Request:
    """A wish in a list: what is asked for, when (UTC), and when every store had followed, None: not yet."""

    receipt: str
    kind: Kind
    asked_at: datetime
    done_at: datetime | None

    def state(self, now: datetime) -> Literal["overdue", "open", "done"]:
        """A wish that waits is swept within minutes; one that has waited for `DUE` is overdue."""
        if self.done_at is not None:
            return "done"
        return "overdue" if now - self.asked_at >= DUE else "open"


def requests(postgres: Postgres, limit: int) -> list[Request]:
    """At most ``limit`` wishes: those that wait, the oldest first, then those that are done, the newest first.

    Raises:
        StoreError: Postgres does not answer.
    """
    postgres.migrate()
    with postgres.connect() as connection:
        found = rows(connection, "read/requests", {"limit": limit})
    return [
        Request(
            str(row["receipt"]),
            row["kind"],
            row["asked_at"].astimezone(UTC),
            row["done_at"] and row["done_at"].astimezone(UTC),
        )
        for row in found
    ]


def find(postgres: Postgres, receipt: str) -> Receipt | None:
    """The receipt with this number; None where there is none, or where this cannot be one.

    Raises:
        StoreError: Postgres does not answer.
    """
    number = number_of(receipt)
    if number is None:
        return None
    postgres.migrate()
    with postgres.connect() as connection:
        found = rows(connection, "read/receipt", {"receipt": number})
    return shaped(found[0]) if found else None


def number_of(receipt: str) -> UUID | None:
    """A receipt's number as it is written, with dashes or without; None where it cannot be one.

    >>> str(number_of("0F8D3C5E9A7B4D6C8E1F2A3B4C5D6E7F")), number_of("42")
    ('0f8d3c5e-9a7b-4d6c-8e1f-2a3b4c5d6e7f', None)
    """
    return UUID(receipt) if _NUMBER.fullmatch(receipt) else None


def pending(postgres: Postgres) -> list[Pending]:
    """Erasures that are not done, in the order they were asked.

    Raises:
        StoreError: Postgres does not answer.
    """
    postgres.migrate()
    with postgres.connect() as connection:
        found = rows(connection, "read/erasures_to_do")
    return [Pending(str(row["receipt"]), row["mark"].hex, row["asked_at"].astimezone(UTC)) for row in found]


def erased_marks(postgres: Postgres) -> set[str]:
    """Marks (32 hex digits) of everybody who was ever erased, done or not: nobody of them may come back.

    Raises:
        StoreError: Postgres does not answer.
    """
    postgres.migrate()
    with postgres.connect() as connection:
        return {row["mark"].hex for row in rows(connection, "read/erased")}


def record(postgres: Postgres, receipt: str, stores: Sequence[tuple[str, int]], *, done: bool) -> bool:
    """Adds what was removed now, store by store; ``done``: every store that the caller sweeps has followed.

    Whether the wish is done with this: an erasure is not before Redis has followed too.

    Raises:
        StoreError: Postgres does not answer.
    """
    with postgres.connect() as connection:
        return note(connection, UUID(receipt), stores, done=done)


def note(connection: Connection, receipt: UUID, stores: Sequence[tuple[str, int]], *, done: bool) -> bool:
    """As `record`, on the caller's connection."""
    now = datetime.now(UTC).isoformat()
    told = [{"store": store, "count": count, "at": now} for store, count in stores]
    values = {"receipt": receipt, "stores": json.dumps(told), "done": done}
    return bool(rows(connection, "publish/record_stores", values)[0]["done"])


def opened(
    connection: Connection, keys: KeyRing, mark: str, kind: Kind, *, again: bool, at: datetime | None = None
) -> tuple[UUID, bool]:
    """The number of a wish and whether it is new, within the transaction in which the wish becomes durable.

    An erasure's number is computed from the mark, under the secret: a database that is older than the erasure, into
    which it was brought by `recsys suppressions apply`, gives the same. ``again``: the wish already holds, and keeps
    the number it has. ``at``: when it was asked, where that is not now.
    """
    of = {"mark": mark, "kind": kind}
    if again and (found := rows(connection, "read/receipt_of", of)):
        return found[0]["receipt"], False
    number = UUID(keys.receipt(mark)) if kind == "erasure" else uuid4()
    return number, run(connection, "publish/new_receipt", {**of, "receipt": number, "at": at}) == 1


def of_postgres(deleted: Mapping[str, int]) -> list[tuple[str, int]]:
    """Lines of rows that were deleted, by table of `stores.postgres.PERSON_TABLES`."""
    return [(store, deleted[table]) for store, table in zip((LISTS, PROFILES, PLANS), PERSON_TABLES, strict=True)]


def of_redis(deleted: Deleted) -> list[tuple[str, int]]:
    """Lines of what was deleted."""
    return [(CACHED, deleted.lists), (CACHED_PLANS, deleted.plans)]


def of_redis_too(deleted: Deleted) -> list[tuple[str, int]]:
    """Lines of what was deleted where the lines of `of_redis` are still to come, or have come; none where nothing."""
    told = [(CACHED_TOO, deleted.lists), (CACHED_PLANS_TOO, deleted.plans)]
    return [(store, count) for store, count in told if count]


def redis_followed(connection: Connection, removed: Mapping[str, Deleted]) -> None:
    """Says so on every receipt that waits for it; ``removed`` is by mark. The suppression lock must be held."""
    for row in rows(connection, "read/receipts_for_redis"):
        lines = [] if row["kind"] == "optin" else of_redis(removed.get(row["mark"].hex, Deleted()))
        note(connection, row["receipt"], lines, done=row["kind"] != "erasure")


def shaped(row: Mapping[str, Any]) -> Receipt:
    """A row of ``read/receipt``."""
    return Receipt(
        str(row["receipt"]),
        row["kind"],
        row["asked_at"].astimezone(UTC),
        row["done_at"] and row["done_at"].astimezone(UTC),
        tuple(Removed(each["store"], each["count"], datetime.fromisoformat(each["at"])) for each in row["stores"]),
        row["weight_gone_with"],
    )
