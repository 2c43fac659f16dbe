"""dbt on the published tables' database: a child process that ends with us and finds Postgres by its environment."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from recsys_assets.errors import NotFoundError, RefusedError
from recsys_assets.local.processes import Child, Program, wait_until
from recsys_assets.local.signals import deferred
from recsys_assets.local.supervisor import QUIET
from recsys_assets.scratch import write_private
from recsys_assets.settings import CHECKOUT, Home

PROJECT = CHECKOUT / "dbt_project"
MANIFEST = PROJECT / "target" / "manifest.json"
SECONDS = 900.0
_STAMP = "made_from.txt"


@dataclass(frozen=True)
class Outcome:
    """What dbt says of one model or test: ``status`` is success, pass, warn, fail, error or skipped."""

    unique_id: str
    status: str
    message: str
    failures: int
    seconds: float


def manifest() -> Path:
    """The project's manifest, which the Makefile makes.

    Raises:
        NotFoundError: it was not made yet.
    """
    if not MANIFEST.exists():
        raise NotFoundError("dbt_project/target/manifest.json is missing: run `make environment`, which makes it.")
    return MANIFEST


def connection_environment(postgres_url: str) -> dict[str, str]:
    """What profiles.yml reads, out of a URL of libpq; the rest of what a URL may say goes to libpq by its own names.

    >>> connection_environment("postgresql://app:p%40ss@db:6543/shop?sslmode=require&sslrootcert=/ca.pem")
    {'DBT_HOST': 'db', 'DBT_PORT': '6543', 'DBT_USER': 'app', 'DBT_ENV_SECRET_PASSWORD': 'p@ss', 'DBT_DBNAME': 'shop', \
'DBT_SSLMODE': 'require', 'PGSSLROOTCERT': '/ca.pem'}
    """
    said = {name: str(value) for name, value in conninfo_to_dict(postgres_url).items()}
    user = said.pop("user", "")
    return {
        "DBT_HOST": said.pop("host", "localhost"),
        "DBT_PORT": said.pop("port", "5432"),
        "DBT_USER": user,
        "DBT_ENV_SECRET_PASSWORD": said.pop("password", ""),
        "DBT_DBNAME": said.pop("dbname", user),
        "DBT_SSLMODE": said.pop("sslmode", "prefer"),
        **{f"PG{name.upper()}": value for name, value in said.items()},
    }


def dbt(home: Home, postgres_url: str, command: Sequence[str]) -> list[Outcome]:
    """Runs one command of dbt on the project to its end; what it says of each model and test.

    Its artifacts and log go to the home. A failed test is an outcome, not an error.

    Raises:
        RefusedError: dbt itself fails; the message holds the end of its log.
    """
    target = home.path / "dbt" / "target"
    target.mkdir(parents=True, exist_ok=True)
    results = target / "run_results.json"
    results.unlink(missing_ok=True)
    program = Program(
        "dbt",
        (
            # Not resolved: programs of a virtual environment stand beside the link that is its interpreter.
            str(Path(sys.executable).parent / "dbt"),
            *("--no-use-colors", "--log-level-file", "none", *command),
            *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
            *("--target-path", str(target), "--log-path", str(target)),
        ),
        home.logs / "dbt.log",
        {**os.environ, **QUIET, **connection_environment(postgres_url)},
        folder=home.path,
    )
    with deferred():
        child = Child(program)
        try:
            ended = wait_until(lambda: child.exit_code() is not None, SECONDS)
            tail = child.tail()
        finally:
            child.stop()
    if not ended or not results.exists():
        why = f"ended with code {child.exit_code()}" if ended else f"took longer than {SECONDS:.0f} s"
        raise RefusedError(f"`dbt {command[0]}` {why}. Its log, {program.log}, ends:\n{tail}")
    return [
        Outcome(
            result["unique_id"],
            result["status"],
            (result["message"] or "").strip(),
            result["failures"] or 0,
            result["execution_time"],
        )
        for result in json.loads(results.read_text())["results"]
    ]


def write_docs(home: Home, postgres_url: str) -> Path:
    """The project's documentation as one page, made anew only when the project has changed.

    Raises:
        RefusedError: dbt fails.
    """
    page, stamp = home.dbt_docs / "index.html", home.dbt_docs / _STAMP
    wanted = sha256(manifest().read_bytes()).hexdigest()
    if not page.exists() or not stamp.exists() or stamp.read_text() != wanted:
        stamp.unlink(missing_ok=True)
        dbt(home, postgres_url, ("docs", "generate", "--static"))
        home.dbt_docs.mkdir(parents=True, exist_ok=True)
        write_private(page, (home.path / "dbt" / "target" / "static_index.html").read_bytes(), home.path)
        stamp.write_text(wanted)
    return page
