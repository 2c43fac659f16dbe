"""Everything that is held about one person, for an access request: part by part, so that a big lake is possible.

A person is a key, and the anonymous keys that belong to nobody else. Where somebody else stands in the same row (a
device that several people use), that one's key is left out.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from psycopg import sql

from recsys_assets.errors import SourceError
from recsys_assets.identity import KEY_PREFIX, KeyRing
from recsys_assets.logic.erasure import PERSON_COLUMNS, PERSONAL, person_columns
from recsys_assets.logic.identities import owned
from recsys_assets.stores.cache import Cache, batches, list_key, marker_key, plan_key
from recsys_assets.stores.exported import PEOPLE, files, mail_of
from recsys_assets.stores.files import FILE, trouble
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.postgres import PERSON_TABLES, Connection, Postgres
from recsys_assets.tables import IDENTITIES, MICROS, Table

FILES_AT_ONCE = 64  # of a table: what one query reads, and what of the person is in memory
_USER, _ANON, _PERSON = PERSON_COLUMNS
_MICROS = "_micros"
# Tables of Postgres by the column that says whose a row is; a test holds the schema against them.
BY_KEY = PERSON_TABLES
BY_MARK = ("suppressions", "transactional_only", "receipts")
ELSEWHERE = (
    "Models hold no person: what they learned from this one's events is weights of products, until the next training.",
    "Backups hold what stood in the stores when they were made, for as long as they are kept.",
    "The shop's own files, from which all of this came, are the shop's.",
    "An id is stored nowhere: everything above was found by its key or by its mark, which are made from it.",
)


@dataclass(frozen=True)
class Part:
    """What one table or store holds. ``rows`` are read as they are asked for."""

    store: str
    name: str
    what: str
    rows: Iterable[dict[str, Any]]


@dataclass(frozen=True)
class Asked:
    """Whose data. ``linked`` are anonymous keys that belong to nobody else.

    ``with_user``: the key is an anonymous one, of a device on which a known user was seen too.
    """

    key: str
    linked: tuple[str, ...]
    with_user: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """All of them."""
        return (self.key, *self.linked)


def asked_for(lake: Lake, key: str) -> Asked:
    """A person's keys, as the newest day of IDENTITIES knows them."""
    days = lake.days(IDENTITIES)
    known = lake.read(IDENTITIES, days[-1]) if days else IDENTITIES.empty()
    linked = owned(known).filter(pl.col(_USER) == key)["anon_key"].sort()
    beside = known.filter(pl.col(_ANON) == key, pl.col(_USER).is_not_null())
    return Asked(key, tuple(linked), not beside.is_empty())


def parts(lake: Lake, postgres: Postgres, cache: Cache, keys: KeyRing, exports: Path, asked: Asked) -> Iterator[Part]:
    """Every place that may hold something of the person, in the order of the data's path, the empty ones too.

    Raises:
        StoreError: a store does not answer: what was given until then is not everything.
        SourceError: an export cannot be read.
    """
    for table in PERSONAL:
        yield Part("lake", table.name, table.what, _lake_rows(lake, table, asked.keys))
    marks = [keys.mark(key) for key in asked.keys]
    if postgres.refresh():
        with postgres.connect() as connection:
            connection.execute("SET TIME ZONE 'UTC'")
            for names, column, values in ((BY_KEY, "person_key", list(asked.keys)), (BY_MARK, "mark", marks)):
                for name in names:
                    what = connection.execute("SELECT obj_description(%s::regclass) AS it", [name]).fetchone()
                    rows = _postgres_rows(connection, name, column, values)
                    yield Part("Postgres", name, (what or {}).get("it") or "", rows)
    yield Part("Redis", "values", "Served lists and plans by generation, and whether the person is not to be served.",
               _redis_rows(cache, marks))  # fmt: skip
    yield Part("exports", "files", "Files made for the shop that name the person, and e-mails rendered for them.",
               _exported(exports, asked.keys, marks))  # fmt: skip


def is_known(lake: Lake, postgres: Postgres, cache: Cache, keys: KeyRing, exports: Path, asked: Asked) -> bool:
    """Whether any place holds anything of the person. The lake comes last: only for a stranger all of it is read.

    Raises:
        StoreError: a store does not answer.
        SourceError: an export cannot be read.
    """
    for in_lake in (False, True):
        for part in parts(lake, postgres, cache, keys, exports, asked):
            if (part.store == "lake") == in_lake and any(True for _ in part.rows):
                return True
    return False


def document(asked: Asked, currency: str, made_at: datetime, found: Iterable[Part]) -> Iterator[str]:
    """The JSON of an access export, in pieces."""
    head = {
        "made_at": made_at,
        "key": KEY_PREFIX + asked.key,
        "linked_anonymous_keys": [KEY_PREFIX + key for key in asked.linked],
        "belongs_to_a_known_user": asked.with_user,
        "times": "UTC; a day is the shop's own",
        "money": f"{currency}, unless a row names another currency",
        "elsewhere": list(ELSEWHERE),
    }
    yield _json(head, 1).removesuffix("\n}") + ',\n "parts": ['
    for number, part in enumerate(found):
        about = {"store": part.store, "name": part.name, "what": part.what}
        yield ("," if number else "") + "\n  " + _json(about).removesuffix("}") + ', "rows": ['
        first = True
        for row in part.rows:
            yield ("" if first else ",") + "\n   " + _json(row)
            first = False
        yield "]}" if first else "\n  ]}"
    yield "\n ]\n}\n"


def _json(value: object, indent: int | None = None) -> str:
    def other(one: object) -> str | float:
        if isinstance(one, Decimal):
            return float(one)
        return one.isoformat() if isinstance(one, date) else str(one)

    return json.dumps(value, ensure_ascii=False, indent=indent, default=other)


def _lake_rows(lake: Lake, table: Table, keys: Collection[str]) -> Iterator[dict[str, Any]]:
    """Rows of every part of every day, of deliveries that did not land whole too; by day."""
    names = person_columns(table)
    mine = [pl.when(pl.col(name).is_in(list(keys))).then(pl.col(name)) for name in names]
    for some in batches(sorted(lake.files(table.name)), FILES_AT_ONCE):
        try:
            found = lake.columns(some, table.columns).filter(_about(table, keys)).with_columns(mine).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise trouble(error) or error from None
        for row in found.iter_rows(named=True):
            yield {"day": row.pop(FILE).split("/")[-2], **_told(row)}


def _about(table: Table, keys: Collection[str]) -> pl.Expr:
    """Rows of the person: not those that somebody else left on the same device."""
    own = {name: pl.col(name).is_in(list(keys)).fill_null(False) for name in person_columns(table)}
    if _PERSON in own:
        return own[_PERSON]
    return own[_USER] | (own[_ANON] & pl.col(_USER).is_null()) if _ANON in own else own[_USER]


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what is empty, its amounts as numbers instead of millionths."""
    told: dict[str, Any] = {}
    for name, value in row.items():
        if value is None or value == []:
            continue
        if name.endswith(_MICROS):
            many = value if isinstance(value, list) else [value]
            amounts = [None if one is None else Decimal(one) / MICROS for one in many]
            told[name.removesuffix(_MICROS)] = amounts if isinstance(value, list) else amounts[0]
        else:
            told[name] = _told(value) if isinstance(value, dict) else value
    return told


def _postgres_rows(connection: Connection, table: str, column: str, values: list[str]) -> Iterator[dict[str, Any]]:
    text = sql.SQL("SELECT to_jsonb(t) AS it FROM {} t WHERE {} = ANY(%s::uuid[]) ORDER BY t::text")
    found = connection.execute(text.format(sql.Identifier(table), sql.Identifier(column)), [values])
    for row in found:
        yield _told(_by_product(row["it"]))


def _by_product(row: dict[str, Any]) -> dict[str, Any]:
    """A list's parallel arrays as one object for each product."""
    if "product_ids" not in row:
        return row
    arrays = {name: value for name, value in row.items() if isinstance(value, list)}
    size = len(arrays["product_ids"])
    columns = {name: value for name, value in arrays.items() if len(value) == size}
    products = [_told(dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]
    return {name: value for name, value in row.items() if name not in arrays} | {"products": products}


def _redis_rows(cache: Cache, marks: Collection[str]) -> Iterator[dict[str, Any]]:
    names = [marker_key(mark) for mark in marks]
    generations = sorted(cache.generations())
    names += [key(generation, mark) for key in (list_key, plan_key) for generation in generations for mark in marks]
    for name, value in zip(names, cache.values(names), strict=True):
        if value is not None:
            yield {"key": name, "value": json.loads(value)}


def _exported(folder: Path, keys: Collection[str], marks: Collection[str]) -> Iterator[dict[str, Any]]:
    """Which files hold the person: rows of lists, rendered e-mails."""
    for path in files(folder):
        try:
            if path.parent.name == PEOPLE:
                mail, mark = mail_of(path)
                if mark in marks and mail.exists():
                    yield {"file": str(mail), "what": "e-mail"}
            elif path.suffix in (".parquet", ".csv"):
                yield from _rows(path, keys)
        except (OSError, ValueError, TypeError, KeyError, pl.exceptions.PolarsError) as error:
            why = type(error).__name__  # its words may quote a row
            raise SourceError(f"{path} cannot be read ({why}): nobody knows who is in it. Remove it.") from None


def _rows(path: Path, keys: Collection[str]) -> Iterator[dict[str, Any]]:
    rows = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema=False)
    if _PERSON in rows.collect_schema():
        count = rows.filter(pl.col(_PERSON).is_in(list(keys))).select(pl.len()).collect().item()
        if count:
            yield {"file": str(path), "what": "lists", "rows": count}
