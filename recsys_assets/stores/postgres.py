"""The published tables' database: its schema, its queries by name, and connections to it."""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from recsys_assets.errors import HomeError, RecsysError, StoreError, UnwritableError
from recsys_assets.settings import CHECKOUT

Connection = psycopg.Connection[DictRow]
CONNECT_SECONDS = 5
# Of a machine or a network that is gone libpq hears nothing, and would wait for a quarter of an hour.
_ALIVE: dict[str, Any] = {
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000,
}  # fmt: skip
# That Postgres itself may take for a statement with a deadline, and that one may wait for a lock: nobody reads its
# answer later. In a transaction, since behind PgBouncer the next user of a session would have what is set for it.
_LIMITS = b"SET LOCAL statement_timeout = '20s'; SET LOCAL lock_timeout = '15s'"
_READ_ONLY, _NO_RIGHTS, _MANY_CONNECTIONS = "25006", "42501", "53300"
_RESOURCES, _SYSTEM = "53", "58"  # classes: a full disk or memory, and an error of the disk itself
# Advisory locks; any numbers of ours would do.
MIGRATION_LOCK, PUBLISH_LOCK, SUPPRESSION_LOCK = 7_265_001, 7_265_002, 7_265_003
# Tables of a generation whose rows are somebody's: a suppression takes them away.
PERSON_TABLES = ("lists", "profiles", "plans")


@cache
def query(name: str) -> str:
    """Text of ``sql/<name>.sql``."""
    return (CHECKOUT / "sql" / f"{name}.sql").read_text()


class _Connection(psycopg.Connection[DictRow]):
    """One that may have a deadline: a server that hangs keeps its connection alive, and libpq would wait for ever."""

    until: float | None = None

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **more: Any) -> Any:
        """All talk with the server passes here."""
        return super().wait(gen if self.until is None else self._bounded(gen, self.until), *arguments, **more)

    @contextmanager
    def transaction(self, *arguments: Any, **more: Any) -> Iterator[psycopg.Transaction]:
        """As psycopg's."""
        with super().transaction(*arguments, **more) as made:
            if self.until is not None:
                self.execute(_LIMITS)
            yield made

    def _bounded(self, talk: Generator[Any, Any, Any], until: float) -> Generator[Any, Any, Any]:
        try:
            waits = next(talk)
            while True:
                ready = yield waits
                if time.monotonic() > until:
                    self.pgconn.finish()  # nothing more can be asked on it, not even to roll back
                    raise psycopg.OperationalError("the time for it is over")
                waits = talk.send(ready)
        except StopIteration as end:
            return end.value


class Postgres:
    """One database, by URL."""

    def __init__(self, url: str, seconds: float | None = None) -> None:
        """``seconds``: for all that is asked of it, from now on; None: as long as it takes."""
        self._url = url
        self._until = None if seconds is None else time.monotonic() + seconds

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection of its own, in autocommit: transactions are written out.

        Raises:
            StoreError: the server does not answer, or goes away meanwhile.
            UnwritableError: it is read-only, full, or the role has no right to what is asked.
        """
        try:
            with _Connection.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_SECONDS, row_factory=dict_row, **_ALIVE
            ) as connection:
                connection.until = self._until
                yield connection
        except psycopg.Error as error:
            if (ours := _meant(error)) is None:
                raise
            raise ours from error

    def migrate(self) -> int:
        """Brings the schema up to date, one process at a time; the version it has then.

        Raises:
            HomeError: a newer version of this program has brought it further than we know.
            StoreError: the server does not answer.
        """
        files, newest = _schema_files(), newest_schema()
        with self.connect() as connection:
            if schema_version(connection) >= newest:
                return newest
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
                connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY)")
                connection.execute("COMMENT ON TABLE schema_version IS 'One row per applied file of sql/schema.'")
                connection.execute("COMMENT ON COLUMN schema_version.version IS 'Number of the file.'")
                now = schema_version(connection)
                for file in files:
                    if (version := int(file.name[:3])) > now:
                        connection.execute(file.read_text().encode())
                        connection.execute("INSERT INTO schema_version VALUES (%s)", [version])
        return newest

    def refresh(self) -> bool:
        """Brings a schema that is there up to date, for readers; whether there is one. It makes none.

        Raises:
            HomeError: it is newer than this program.
            StoreError: the server does not answer.
        """
        with self.connect() as connection:
            there = schema_version(connection) > 0
        if there:
            self.migrate()
        return there


def _meant(error: psycopg.Error) -> RecsysError | None:
    """What an error of the server is to its user; None: a mistake of ours."""
    state, said = error.sqlstate or "", str(error).partition("\n")[0]
    exhausted = state[:2] in (_RESOURCES, _SYSTEM) and state != _MANY_CONNECTIONS
    if exhausted or state in (_READ_ONLY, _NO_RIGHTS):
        return UnwritableError(f"Postgres (RECSYS_POSTGRES_URL) does not let this be written: {said}")
    if isinstance(error, psycopg.OperationalError):
        return StoreError(f"Postgres (RECSYS_POSTGRES_URL) does not answer: {said}")
    return None


def _schema_files() -> list[Path]:
    return sorted((CHECKOUT / "sql" / "schema").glob("*.sql"))


def newest_schema() -> int:
    """Number of the last schema file that this program knows."""
    return int(_schema_files()[-1].name[:3])


def refuse_newer(version: int) -> int:
    """The version itself.

    Raises:
        HomeError: it is newer than this program: what it does not know of it would be left out, or lost.
    """
    if version > (newest := newest_schema()):
        raise HomeError(
            f"the database of the published tables (RECSYS_POSTGRES_URL) has schema {version}; this program knows "
            f"schemas up to {newest}. Use the program that made it, or a later one: there is no way back."
        )
    return version


def schema_version(connection: Connection) -> int:
    """Number of the last schema file applied; 0 where there is none.

    Raises:
        HomeError: it is newer than this program.
    """
    return refuse_newer(applied_schema(connection))


def applied_schema(connection: Connection) -> int:
    """As `schema_version`, and newer ones too."""
    found = connection.execute("SELECT to_regclass('schema_version') IS NOT NULL AS there").fetchone()
    if found is None or not found["there"]:
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) AS version FROM schema_version").fetchone()
    return int(row["version"]) if row else 0


def rows(connection: Connection, name: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """All rows of a named query, each a mapping by column."""
    return connection.execute(query(name).encode(), values).fetchall()


def run(connection: Connection, name: str, values: Mapping[str, Any] | None = None) -> int:
    """Runs a named statement; how many rows it touched."""
    return connection.execute(query(name).encode(), values).rowcount
