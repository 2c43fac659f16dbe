"""A role that reads for analysts: the marts and what is known of products, and no table that holds people."""

from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from recsys_assets.errors import SettingsError
from recsys_assets.stores.postgres import Connection, Postgres

MARTS = ("marts",)  # schemas of which everything may be read, now and in later nights
PRODUCTS = (
    "live_products", "current_products", "current_changes",
    "live_popular_items", "live_similar_items", "live_next_items",
)  # fmt: skip
PEOPLE = ("live_lists", "live_profiles", "live_plans", "live_offers")  # a row is somebody's, by key


@dataclass(frozen=True)
class Reader:
    """How an analyst reads. ``made``: the role is new; ``url`` holds its password."""

    role: str
    made: bool
    url: str = field(repr=False)


def make_reader(postgres_url: str, password: str, *, people: bool) -> Reader:
    """Makes the role, or gives the one that is there this password and these rights.

    Args:
        postgres_url: the published tables' database, as a role that may make others.
        password: the reader's.
        people: whether it may read lists, profiles and plans, which are by key.

    Raises:
        SettingsError: our role may make no other.
        StoreError: Postgres does not answer.
    """
    postgres = Postgres(postgres_url)
    postgres.migrate()
    with postgres.connect() as connection, connection.transaction():
        database, user = connection.info.dbname, connection.info.user
        role = f"{database}_reader"[:63]
        found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        try:
            if found is None:
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
            # Hashed here: a statement with the password itself would stand in a log of statements.
            hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            connection.execute(
                sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(hashed))
            )
            connection.execute(
                sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(sql.Identifier(role))
            )
            _grant(connection, database, role, people=people)
        except psycopg.errors.InsufficientPrivilege as error:
            raise SettingsError(
                f"the role {user} of RECSYS_POSTGRES_URL may not make the role {role}: {error.diag.message_primary}. "
                f"Have somebody who may run: ALTER ROLE {user} CREATEROLE;"
            ) from None
    return Reader(role, found is None, _url(postgres_url, role, password))


def _grant(connection: Connection, database: str, role: str, *, people: bool) -> None:
    reader = sql.Identifier(role)

    def run(statement: str, *names: sql.Composable) -> None:
        connection.execute(sql.SQL(statement).format(*names, reader))  # texts of this file

    run("GRANT CONNECT ON DATABASE {} TO {}", sql.Identifier(database))
    run("GRANT USAGE ON SCHEMA public TO {}")
    for schema in map(sql.Identifier, MARTS):
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))  # before the first night
        run("GRANT USAGE ON SCHEMA {} TO {}", schema)
        run("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}", schema)
        # dbt makes its views anew every night, and a right goes with the view that it was given on.
        run("ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT SELECT ON TABLES TO {}", schema)
    for view in PRODUCTS:
        run("GRANT SELECT ON {} TO {}", sql.Identifier("public", view))
    for view in PEOPLE:
        run("GRANT SELECT ON {} TO {}" if people else "REVOKE ALL ON {} FROM {}", sql.Identifier("public", view))


def _url(postgres_url: str, role: str, password: str) -> str:
    """The same server and database for somebody else."""
    parts = urlsplit(postgres_url)
    where = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{where}"))
