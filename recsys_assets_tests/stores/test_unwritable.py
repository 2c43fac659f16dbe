"""A Postgres that answers and does not let us write, or that answers no more: what each writer says of it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from recsys_assets import cli
from recsys_assets.errors import StoreError, UnwritableError
from recsys_assets.logic.product_changes import ProductChange
from recsys_assets.logic.wishes import Wishes
from recsys_assets.stores import receipts, wishes
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.product_changes import ProductChanges
from recsys_assets.stores.tokens import Tokens
from recsys_assets_tests.door import door
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import api, ask

ERASED = "00" * 16
WRITERS: dict[str, Callable[[Stores, Postgres], object]] = {
    "optout": lambda stores, _: stores.suppressions.optout(stores.key("1")),
    "optin": lambda stores, _: stores.suppressions.optin(stores.key("1")),
    "forget": lambda stores, _: stores.suppressions.forget(stores.key("1")),
    "follow": lambda stores, _: stores.suppressions.follow(Wishes(refused=[stores.key("1")])),
    "sweep": lambda stores, _: stores.suppressions.sweep([ERASED]),
    "record": lambda _, postgres: receipts.record(postgres, str(uuid4()), [("lake", 1)], done=True),
    "apply": lambda stores, postgres: wishes.apply(
        postgres, stores.cache, stores.home.keys, [wishes.Wish(ERASED, "erased", datetime.now(UTC), by_file=False)]
    ),
    "token": lambda _, postgres: Tokens(postgres).make("shop", ["writes"], timedelta(days=1)),
    "products": lambda stores, postgres: ProductChanges(postgres, stores.cache).tell(
        [ProductChange("a", in_stock=False)], date(2024, 3, 1)
    ),
    "publish": lambda stores, _: stores.publish(["1"]),
}
COMMANDS = ("optout 1", "optin 1", "forget 1", "token make shop --scope writes", "products sold-out a", "rollback")


@contextmanager
def read_only(stores: Stores) -> Iterator[Stores]:
    with psycopg.connect(stores.postgres_url, autocommit=True) as own:
        own.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(sql.Identifier(own.info.dbname))
        )
        yield stores


@contextmanager
def without_rights(stores: Stores) -> Iterator[Stores]:
    """As a role that may read everything."""
    name = f"reader_{uuid4().hex}"
    role = sql.Identifier(name)
    with psycopg.connect(stores.postgres_url, autocommit=True) as own:
        own.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'reads'").format(role))
        own.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(role))
        url = psycopg.conninfo.make_conninfo(stores.postgres_url, user=name, password="reads")
        info = psycopg.conninfo.conninfo_to_dict(url)
        yield replace(stores, postgres_url=f"postgresql://{name}:reads@127.0.0.1:{info['port']}/{info['dbname']}")
        own.execute(sql.SQL("DROP OWNED BY {}").format(role))
        own.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture(params=[read_only, without_rights])
def refusing(request: pytest.FixtureRequest, stores: Stores) -> Iterator[Stores]:
    stores.publish(["1"])
    stores.publish(["1"])
    with request.param(stores) as found:
        yield found


def test_every_writer_says_it(refusing: Stores) -> None:
    before = refusing.rows()
    for name, write in WRITERS.items():
        with pytest.raises(UnwritableError, match=r"RECSYS_POSTGRES_URL\) does not let this be written: .+") as said:
            write(refusing, Postgres(refusing.postgres_url))
        assert "\n" not in str(said.value), name
    assert refusing.rows() == before


def test_no_schema_is_made(database: Callable[[], str], stores: Stores) -> None:
    with read_only(replace(stores, postgres_url=database())) as empty, pytest.raises(UnwritableError):
        Postgres(empty.postgres_url).migrate()


def test_a_command_is_answered_with_a_sentence(
    refusing: Stores, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in refusing.environment.items():
        monkeypatch.setenv(name, value)
    for words in COMMANDS:
        monkeypatch.setattr(sys, "argv", ["recsys", *words.split()])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr().err
        assert (ended.value.code, said.count("\n")) == (1, 1), (words, said)
        assert "does not let this be written" in said, words


def test_the_api_promises_nothing_and_reads_on(stores: Stores) -> None:
    stores.publish(["1"])
    token = Tokens(Postgres(stores.postgres_url)).make("shop", ["writes"], timedelta(days=1)).token
    with ExitStack() as stack:
        client = stack.enter_context(api(stack.enter_context(read_only(stores)).settings))
        for wanted in (True, False):
            body, headers = {"recommendations": wanted}, {"Authorization": f"Bearer {token}"}
            answer = client.put("/api/users/1/preferences", json=body, headers=headers)
            assert (answer.status_code, answer.json()["title"]) == (503, "Not possible now")
        assert ask(client, userId="1")["fallback"] is None


@pytest.mark.parametrize(
    ("state", "error"),
    [("53100", UnwritableError), ("58030", UnwritableError), ("53300", StoreError), ("57014", StoreError)],
)
def test_what_an_error_of_the_server_is(stores: Stores, state: str, error: type[Exception]) -> None:
    raising = sql.SQL("DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = {}; END $$").format(state)
    with pytest.raises(error, match="no space left"), Postgres(stores.postgres_url).connect() as connection:
        connection.execute(raising)


def test_a_mistake_of_ours_stays_one(stores: Stores) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), Postgres(stores.postgres_url).connect() as connection:
        connection.execute("SELECT FROM nothing")


def test_a_deadline_ends_a_connection_that_says_nothing_more(stores: Stores) -> None:
    with door(stores.postgres_url) as (front, url):
        with Postgres(url, seconds=1.0).connect() as connection, connection.transaction():
            assert connection.execute("SHOW lock_timeout").fetchone() == {"lock_timeout": "15s"}
            assert connection.execute("SHOW statement_timeout").fetchone() == {"statement_timeout": "20s"}
        with Postgres(url, seconds=1.0).connect() as connection:
            assert connection.execute("SHOW lock_timeout").fetchone() == {"lock_timeout": "0"}
            front.behave("swallow")
            with pytest.raises(psycopg.OperationalError, match="the time for it is over"), connection.transaction():
                connection.execute("SELECT")
            assert connection.closed
