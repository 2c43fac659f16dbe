from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from recsys_assets.errors import StoreError
from recsys_assets.local.databases import ensure_database, probe_redis
from recsys_assets.local.processes import free_port


def test_an_unreachable_server_is_named_by_its_setting_without_the_password() -> None:
    port = free_port()
    with pytest.raises(StoreError, match="RECSYS_POSTGRES_URL: Postgres does not answer") as caught:
        ensure_database(f"postgresql://me:hush@127.0.0.1:{port}/x", "RECSYS_POSTGRES_URL")
    assert "hush" not in str(caught.value)
    with pytest.raises(StoreError, match="RECSYS_REDIS_URL: Redis does not answer") as caught:
        probe_redis(f"redis://:hush@127.0.0.1:{port}/0", "RECSYS_REDIS_URL")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://me:hu%sh@127.0.0.1/x", "postgresql://me:hush@127.0.0.1:hush/x"])
def test_a_url_that_is_none_does_not_show_its_password(url: str) -> None:
    with pytest.raises(StoreError, match="RECSYS_POSTGRES_URL is not a URL") as caught:
        ensure_database(url, "RECSYS_POSTGRES_URL")
    assert caught.value.__suppress_context__
    assert "hu" not in str(caught.value)


def test_a_wrong_password_is_not_taken_for_a_missing_database(pg_url: str) -> None:
    with pytest.raises(StoreError, match="password authentication failed"):
        ensure_database(pg_url.replace("app:", "app:not"), "RECSYS_POSTGRES_URL")


def test_a_role_that_may_not_is_told_the_sql(pg_url: str, database: Callable[[], str]) -> None:
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'hush'")
    parts = urlsplit(database())
    missing = urlunsplit(parts._replace(netloc=f"guest:hush@127.0.0.1:{parts.port}", path="/not there"))
    missing = missing.replace(" ", "%20")
    with pytest.raises(StoreError, match='Run as one who may: CREATE DATABASE "not there";'):
        ensure_database(missing, "RECSYS_MLFLOW_POSTGRES_URL")


def test_a_missing_database_is_made_once(pg_url: str) -> None:
    url = pg_url.removesuffix("/postgres") + "/made_here"
    ensure_database(url, "RECSYS_POSTGRES_URL")
    ensure_database(url, "RECSYS_POSTGRES_URL")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("made_here",)
