"""Probes of the servers before anything relies on them, and the databases that must be there."""

import re
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from recsys_assets.errors import StoreError
from recsys_assets.stores.trust import untrusted

_SECONDS = 5
_CREDENTIALS = re.compile(r"(?<=://)[^\s'\"]*@")


def ensure_database(url: str, setting: str) -> None:
    """Reaches the database of ``url``, and makes it where it is missing and the role may.

    Raises:
        StoreError: it cannot be reached or made; the message names ``setting`` and never the password.
        SettingsError: its certificate is not trusted.
    """
    try:
        # A password with a bare "/" makes what stands before it the port, and libpq would quote that.
        _port = urlsplit(url).port
        psycopg.connect(url, connect_timeout=_SECONDS).close()
    except psycopg.OperationalError as error:
        if refused := untrusted(setting, error):
            raise refused from None
        if not _is_missing(url):
            raise StoreError(f"{setting}: Postgres does not answer: {first_line(error)}") from None
    except (psycopg.ProgrammingError, ValueError):  # their messages may quote the part that holds the password
        raise StoreError(f"{setting} is not a URL that Postgres understands") from None
    else:
        return
    name = sql.Identifier(_database(url))
    try:
        with psycopg.connect(_maintenance(url), connect_timeout=_SECONDS, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        return  # another process was quicker
    except psycopg.Error as error:
        raise StoreError(
            f"{setting}: there is no database {_database(url)}, and this role could not make it "
            f"({first_line(error)}). Run as one who may: {sql.SQL('CREATE DATABASE {};').format(name).as_string()}"
        ) from None


def _database(url: str) -> str:
    return psycopg.conninfo.conninfo_to_dict(url).get("dbname") or urlsplit(url).username or "postgres"  # type: ignore[return-value]  # it is a string where it is there


def _maintenance(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path="/postgres"))


def _is_missing(url: str) -> bool:
    """Whether the server answers and has no such database. A failed connection carries no code that would say so."""
    try:
        with psycopg.connect(_maintenance(url), connect_timeout=_SECONDS) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_database(url)]).fetchone()
    except psycopg.Error:
        return False
    return found is None


def first_line(error: Exception) -> str:
    """What a driver says in short; its message may quote the URL, which loses its password."""
    said = str(error).strip() or type(error).__name__
    return _CREDENTIALS.sub("", said.splitlines()[0])


def probe_redis(url: str, setting: str) -> None:
    """Reaches Redis.

    Raises:
        StoreError: it does not answer; the message names ``setting`` and never the password.
        SettingsError: its certificate is not trusted.
    """
    try:
        with redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS) as client:
            client.ping()
    except redis.RedisError as error:
        if refused := untrusted(setting, error):
            raise refused from None
        raise StoreError(f"{setting}: Redis does not answer: {first_line(error)}") from None
    except ValueError:  # its message may quote the part of the URL that holds the password
        raise StoreError(f"{setting} is not a URL that Redis understands") from None
