"""`recsys connect` as an analyst uses it: the printed URL on a real server, with its rights and without others."""

import json
import shlex
from collections.abc import Callable

import psycopg
import pytest
from click.testing import CliRunner

from recsys_assets.commands.connect import connect
from recsys_assets.errors import SettingsError
from recsys_assets.stores.readers import PEOPLE, PRODUCTS
from recsys_assets_tests.published import Stores

Run = Callable[..., str]


@pytest.fixture
def run(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command on the home; what it prints."""
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)

    def invoke(*words: str) -> str:
        return CliRunner().invoke(connect, words, catch_exceptions=False).output

    return invoke


def reads(url: str, *relations: str) -> list[str]:
    """Those of the relations that may be read."""
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        for name in relations:
            try:
                connection.execute(f"SELECT count(*) FROM {name}".encode())
            except psycopg.errors.InsufficientPrivilege:
                continue
            found.append(name)
    return found


def test_the_printed_url_reads_marts_and_products_and_no_people(stores: Stores, run: Run) -> None:
    stores.publish(["1", "2"])
    printed = run()
    url = next(line for line in printed.splitlines() if line.startswith("URL")).split()[1]
    assert "made now" in printed
    assert shlex.split(next(line for line in printed.splitlines() if line.startswith("psql")))[2] == url
    with psycopg.connect(stores.postgres_url, autocommit=True) as owner:  # as dbt does each night
        for _ in range(2):
            owner.execute("DROP VIEW IF EXISTS marts.sales_daily")
            owner.execute("CREATE VIEW marts.sales_daily AS SELECT 1 AS day")
    assert reads(url, "marts.sales_daily", *PRODUCTS, *PEOPLE, "lists", "suppressions") == [
        "marts.sales_daily", *PRODUCTS,
    ]  # fmt: skip
    with psycopg.connect(url, autocommit=True) as analyst:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            analyst.execute("CREATE TABLE mine (x int)")
        analyst.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute("CREATE TABLE marts.mine (x int)")


def test_people_are_read_where_they_are_asked_for_and_no_longer(stores: Stores, run: Run) -> None:
    stores.publish(["1", "2"])
    told = json.loads(run("--people", "--json"))
    assert told["made"]
    assert reads(told["url"], *PEOPLE) == list(PEOPLE)
    again = json.loads(run("--json"))
    assert (again["made"], again["url"]) == (False, told["url"])
    assert reads(again["url"], *PEOPLE) == []


def test_another_password_ends_the_old_one(run: Run) -> None:
    before, after = (json.loads(run(*words, "--json"))["url"] for words in ((), ("--new-password",)))
    with psycopg.connect(after):
        pass
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(before)


def test_a_role_that_may_make_none_is_told_what_it_lacks(
    stores: Stores, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.publish(["1"])
    where = stores.postgres_url.rpartition("@")[2]
    name = f"plain_{where.rpartition('_')[2]}"
    with psycopg.connect(stores.postgres_url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'plain'".encode())
        owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}".encode())
    monkeypatch.setenv("RECSYS_POSTGRES_URL", f"postgresql://{name}:plain@{where}")
    with pytest.raises(SettingsError, match=f"ALTER ROLE {name} CREATEROLE;"):
        run()
