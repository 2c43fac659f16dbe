"""A table or query of a database by SQLAlchemy URL: `recsys ingest sql URL --map FILE`, FILE with a section `[sql]`.

Without `since`, every read is the whole truth: a day of events whose rows are those that had landed stays as it is,
any other is replaced, so rows that were corrected or deleted in the shop's database are so here. A catalogue's reads
add up like its files, because prices have a history that such a table seldom keeps. With `since` naming a column of
dates or times that only grows, a read takes the rows from the midnight before the newest day on (a transaction may
commit after a later one); what had landed is told by its content. Rows that are changed in place need a full read.

The whole read happens before anything is written. A password is better left out of the URL: Postgres' client library
takes it from its password file (`~/.pgpass`). No message and no record holds one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url

from recsys_assets.contract import FIELDS
from recsys_assets.errors import SourceError, StoreError
from recsys_assets.importers.base import RAW_COLUMNS, Raw
from recsys_assets.importers.headers import list_names
from recsys_assets.importers.mapped import demand_columns, map_rows
from recsys_assets.importers.mapping import MappingFile, load_mapping
from recsys_assets.logic.landing import as_time

CHUNK = 20_000  # rows of one round trip
# What people write, and the driver that is meant; with another driver in the URL, that one is used.
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


@dataclass(frozen=True)
class Rows:
    """All rows of one read; ``read_to`` is the day on which the next one starts, or None where it starts anew."""

    raw: Raw
    read_to: str | None


@dataclass
class _Column:
    """One column as it grows: its values as text, and what they were."""

    parts: list[pl.Series] = field(default_factory=list)
    kinds: set[type] = field(default_factory=set)

    def add(self, values: Sequence[Any]) -> None:
        self.kinds |= {type(value) for value in values if value is not None}
        self.parts.append(pl.Series([None if value is None else _text(value) for value in values], dtype=pl.String))

    def are(self, *kinds: type) -> bool:
        return bool(self.kinds) and self.kinds <= set(kinds)

    def series(self, name: str) -> pl.Series:
        return pl.concat(self.parts).alias(name) if self.parts else pl.Series(name, [], dtype=pl.String)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):  # ids that became floats because some were missing are whole numbers
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)


def rules_of(mapping: Path | None) -> tuple[Path, MappingFile]:
    """The mapping file of a database, and what it says.

    Raises:
        SourceError: there is none, or it does not say which rows.
    """
    if mapping is None:
        raise SourceError("the format sql needs a mapping file: add --map FILE (`recsys contract page` shows one).")
    rules = load_mapping(mapping)
    if not (rules.sql.table or rules.sql.query):
        raise SourceError(f"{mapping}: the mapping file does not say which rows. Add `[sql]` with a table or a query.")
    return mapping, rules


def _url(path: str) -> URL:
    try:
        url = make_url(path)
    except (sa.exc.ArgumentError, ValueError):  # their messages hold the URL, and that may hold a password
        raise SourceError("PATH of the format sql is a database's URL, such as postgresql://user@host/name.") from None
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def name_of(path: str, rules: MappingFile) -> str:
    """What messages and records call these rows: the URL without password and options, and the table.

    Raises:
        SourceError: ``path`` is no URL.
    """
    url = _url(path)
    plain = URL.create(url.drivername, url.username, None, url.host, url.port, url.database)
    return f"{plain.render_as_string()} {rules.sql.table or 'query'}"


def read_rows(path: str, mapping: Path, rules: MappingFile, since: str | None, now: datetime) -> Rows:
    """All rows of the table or query, or those from the day ``since`` on.

    Raises:
        SourceError: the driver is not installed, or the database refuses the question.
        StoreError: it does not answer, or breaks off.
    """
    name, growing = name_of(path, rules), rules.sql.since
    there, columns = _fetch(path, name, mapping, rules, since)
    height = sum(map(len, next(iter(columns.values())).parts))
    if height == 0 and since is None:
        raise SourceError(f"{name}: there are no rows. Check the table or query, or leave this source out.")
    zone = ZoneInfo(rules.time.zone)
    times = {rules.columns[f.name] for f in FIELDS[rules.kind] if f.type == "time" and f.name in rules.columns}
    made = []
    for column in rules.asked:
        text = columns[column].series(column)
        made.append(as_time(text, zone) if column in times and columns[column].are(datetime, date) else text)
    frame = pl.DataFrame(made).with_columns(
        pl.int_range(1, height + 1, dtype=pl.Int64).alias("source_line"),
        *(pl.lit(None, dtype=dtype).alias(each) for each, dtype in RAW_COLUMNS.items() if each != "source_line"),
    )
    plain = [column for column in rules.asked if columns[column].are(int, float, Decimal)]
    ignored = tuple(column for column in there if column not in columns)
    raw = replace(map_rows(Path(name), frame, rules, plain), ignored=ignored)
    return Rows(raw, growing and (_mark(columns[growing], mapping, growing, now) or since))


def _fetch(
    path: str, name: str, mapping: Path, rules: MappingFile, since: str | None
) -> tuple[list[str], dict[str, _Column]]:
    """Names of all columns, and the values of those that are asked for."""
    url, growing = _url(path), rules.sql.since
    lite = url.get_backend_name() == "sqlite"
    if lite and not Path(url.database or "").is_file():
        raise SourceError(f"{name}: there is no such file. Check the path (sqlite:////absolute/path.db).")
    try:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    except sa.exc.NoSuchModuleError:
        raise SourceError(f"{name}: no driver is known for {url.drivername!r}. Check how the URL starts.") from None
    except ModuleNotFoundError as error:
        raise SourceError(f"{name}: the driver is not installed. Install the package {error.name}.") from None
    columns: dict[str, _Column] = {}
    try:
        with engine.connect() as connection:
            if url.get_backend_name() == "postgresql":  # the server itself then refuses a query that writes
                connection.execution_options(postgresql_readonly=True)
            rows, there = _rows(connection, name, rules)
            demand_columns(name, mapping, rules, there)
            if growing and growing not in there:
                raise SourceError(f"{mapping}: [sql] since names {growing}; the columns are {list_names(there)}.")
            columns = {column: _Column() for column in [*rules.asked, *([growing] if growing else [])]}
            question = sa.select(*(rows.c[column] for column in columns))
            if since and growing:
                start = since if lite else date.fromisoformat(since)
                question = question.where((rows.c[growing] >= start) | rows.c[growing].is_(None))
            connection.execution_options(stream_results=True, yield_per=CHUNK)
            with connection.execute(question) as found:
                for chunk in found.partitions():
                    for (column, values), sent in zip(columns.items(), zip(*chunk, strict=True), strict=True):
                        try:
                            values.add(sent)
                        except UnicodeDecodeError:
                            raise SourceError(f"{name}: {column} holds bytes that are no text. Use a query.") from None
    except sa.exc.SQLAlchemyError as error:
        raise _told(name, url, error) from None
    return there, columns


def _rows(connection: Connection, name: str, rules: MappingFile) -> tuple[sa.FromClause, list[str]]:
    """The table, or the query in brackets, and the names of its columns."""
    if rules.sql.table:
        schema, _, table = rules.sql.table.rpartition(".")
        look = sa.inspect(connection)
        try:
            there = [column["name"] for column in look.get_columns(table, schema or None)]
        except sa.exc.NoSuchTableError:
            known = sorted([*look.get_table_names(schema or None), *look.get_view_names(schema or None)])
            known_words = f"there are {list_names(known)}" if known else "there is none"
            raise SourceError(f"{name}: there is no such table; {known_words}. Check [sql] table.") from None
        return sa.table(table, *map(sa.column, there), schema=schema or None), there
    words = sa.text((rules.sql.query or "").strip().rstrip(";").replace(":", r"\:"))
    nothing = sa.select(sa.text("*")).select_from(words.columns().subquery("asked")).where(sa.false())
    there = list(connection.execute(nothing).keys())
    return words.columns(*map(sa.column, there)).subquery("asked"), there


def _mark(column: _Column, mapping: Path, name: str, now: datetime) -> str | None:
    """The day before the newest one that is not in the future, in UTC."""
    text = column.series(name).drop_nulls()
    times = as_time(text)
    if not column.kinds <= {datetime, date, str} or times.null_count():
        raise SourceError(f"{mapping}: [sql] since needs a column of dates or times, and {name} holds something else.")
    newest = times.filter(times <= now + timedelta(days=1)).max()
    if not isinstance(newest, datetime):
        return None
    return (newest.astimezone(UTC).date() - timedelta(days=1)).isoformat()


def _told(name: str, url: URL, error: sa.exc.SQLAlchemyError) -> SourceError | StoreError:
    """One sentence without values or password; a retry may help where the connection is what failed."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    words = "" if isinstance(error, sa.exc.DataError) else str(cause).strip().splitlines()[0]
    if url.password:
        words = words.replace(str(url.password), "***")
    kind = type(cause).__name__ + (f": {words}" if words else "")
    away = isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)) and url.get_backend_name() != "sqlite"
    if away or (isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated):
        return StoreError(f"{name}: the database does not answer or broke off ({kind}). Nothing landed; run it again.")
    return SourceError(f"{name}: the database refuses ({kind}). Check [sql] in the mapping file, and the rights.")
