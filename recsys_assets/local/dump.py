"""Whole databases → files and back, by Postgres' own pg_dump and pg_restore: one consistent snapshot each."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import pq

from recsys_assets.errors import HomeError, RefusedError, StoreError
from recsys_assets.local.postgres import installed

Tool = Literal["pg_dump", "pg_restore"]


def dump(url: str, to: Path) -> None:
    """Writes one database into a file, as of one moment.

    Raises:
        HomeError: there is no pg_dump as new as the server.
        StoreError: the server does not answer.
    """
    with _connected(url) as connection:
        major = connection.info.server_version // 10_000
    _run([_tool("pg_dump", major), "--format=custom", f"--file={to}"], url)


def load(url: str, file: Path) -> None:
    """Fills an empty database from a file, whole or not at all.

    Raises:
        HomeError: there is no pg_restore as new as the server.
        RefusedError: the database is not empty.
        StoreError: the server does not answer, or refuses what is in the file.
    """
    with _connected(url) as connection:
        major = connection.info.server_version // 10_000
        found = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace "
            "WHERE nspname IN ('pg_catalog', 'information_schema') OR nspname LIKE 'pg_toast%')"
        ).fetchone()
        if found and found[0]:
            raise RefusedError(
                f"the database {connection.info.dbname} on {connection.info.host} is not empty: restore into one "
                "that is."
            )
    # Roles differ between machines: everything becomes the property of the role of the URL.
    options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    name = psycopg.conninfo.conninfo_to_dict(url).get("dbname")
    _run([_tool("pg_restore", major), *options, f"--dbname={name}", str(file)], url)


def _connected(url: str) -> psycopg.Connection:
    try:
        return psycopg.connect(url, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise StoreError(f"Postgres does not answer: {str(error).splitlines()[0]}") from None


def _tool(name: Tool, major: int) -> str:
    """The machine's own program, else the wheel's: the first that is as new as the server."""
    candidates = [found] if (found := shutil.which(name)) else []
    with suppress(HomeError):  # without the extra `local` there is the machine's own, or none
        candidates.append(str(installed() / "bin" / name))
    seen = []
    for candidate in candidates:
        said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"(\d+)", said)
        if version and int(version[1]) >= major:
            return candidate
        seen.append(said.strip() or candidate)
    raise HomeError(
        f"the Postgres server is version {major}, and there is no {name} as new here ({', '.join(seen) or 'none'}): "
        f"install the package postgresql-client-{major}."
    )


def _run(command: list[str], url: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **_libpq(url)})
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise StoreError(f"{Path(command[0]).name}: {lines[0]}")


def _libpq(url: str) -> Mapping[str, str]:
    """The URL as libpq's variables: a password on a command line can be read by everybody on the machine."""
    found = {}
    for option in pq.Conninfo.parse(url.encode()):
        if option.val is not None and option.envvar is not None:
            found[os.fsdecode(option.envvar)] = os.fsdecode(option.val)
    return found
