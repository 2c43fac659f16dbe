"""Encryption on the way to Postgres and Redis, on real TLS: who trusts the CA gets in, and nobody goes on without."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from recsys_assets.errors import SettingsError
from recsys_assets.serving.app import create
from recsys_assets.setting_values import plain_connection
from recsys_assets.settings import load_settings
from recsys_assets_tests.published import Stores
from recsys_assets_tests.secure import Authority, SecureDoor, authority, secure_door, trusting
from recsys_assets_tests.serving.running import api, ask, await_health

SAFE = "postgresql://app:hush@db.example:5432/recsys?sslmode=verify-full&sslrootcert=/etc/ca.pem"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls") / "theirs")


@contextmanager
def guarded(
    stores: Stores, server: Authority, postgres_ca: Authority, redis_ca: Authority
) -> Iterator[tuple[Stores, SecureDoor, SecureDoor]]:
    """The home behind TLS of a server's certificate, as somebody sees it who trusts these CAs; and the doors."""
    with (
        secure_door(stores.postgres_url, server) as (first, pg_url),
        secure_door(stores.redis_url, server) as (second, redis_url),
    ):
        yield Stores(stores.home, trusting(pg_url, postgres_ca), trusting(redis_url, redis_ca)), first, second


async def begin(application: FastAPI) -> None:
    async with application.router.lifespan_context(application):
        return


def recsys(stores: Stores, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "recsys_assets.cli", *words],
        env={"PATH": os.environ["PATH"], **stores.environment},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_everything_goes_over_tls_where_it_is_asked_for(stores: Stores, ours: Authority) -> None:
    with guarded(stores, ours, ours, ours) as (seen, postgres, redis):
        seen.publish(["1"])
        assert recsys(seen, "generations").returncode == 0
        with api(seen.settings) as client:
            await_health(client, postgres="ok", redis="ok")
            assert ask(client, userId="1")["fallback"] is None
            stores.cache._client.flushall()
            assert ask(client, userId="1")["fallback"] is None  # from Postgres
            seen.suppressions.optout(seen.key("1"))
            assert ask(client, userId="1")["fallback"] == "popular"
        with psycopg.connect(seen.postgres_url) as connection:
            assert connection.pgconn.ssl_in_use
        assert postgres.secured > 1
        assert redis.secured > 1


@pytest.mark.parametrize("wrong", ["RECSYS_POSTGRES_URL", "RECSYS_REDIS_URL"])
def test_a_certificate_of_somebody_elses_ca_is_refused(
    stores: Stores, ours: Authority, theirs: Authority, wrong: str
) -> None:
    stores.publish(["1"])
    cas = (theirs, ours) if wrong == "RECSYS_POSTGRES_URL" else (ours, theirs)
    with guarded(stores, ours, *cas) as (seen, postgres, redis):
        done = recsys(seen, "generations" if wrong == "RECSYS_POSTGRES_URL" else "warm", "--json")
        assert (done.returncode, done.stdout) == (1, "")
        error = json.loads(done.stderr)["error"]
        assert error["kind"] == "SettingsError"
        assert error["message"].startswith(f"{wrong}: the server is not the one that this URL trusts: ")
        assert "certificate verify failed" in error["message"]
        assert "file of the CA" in error["message"]
        with capture_logs() as lines, pytest.raises(SettingsError):
            asyncio.run(begin(create(seen.settings)))
        said = [line["reason"] for line in lines if line["event"] == "server refused"]
        assert said == [error["message"]]
        assert not any(line["event"] == "started" for line in lines)
        assert (postgres if wrong == "RECSYS_POSTGRES_URL" else redis).secured == 0


def test_a_certificate_for_another_name_is_refused(stores: Stores, tmp_path: Path) -> None:
    elsewhere = authority(tmp_path / "elsewhere", "127.0.0.2")
    with guarded(stores, elsewhere, elsewhere, elsewhere) as (seen, _, __):
        done = recsys(seen, "generations")
        assert done.returncode == 1
        assert "does not match host name" in done.stderr
        with secure_door(stores.redis_url, elsewhere) as (_door, url):
            done = recsys(Stores(stores.home, stores.postgres_url, trusting(url, elsewhere)), "warm")
        assert "IP address mismatch" in done.stderr


def test_a_server_without_tls_and_a_ca_that_is_gone_are_refused(stores: Stores, ours: Authority) -> None:
    plain = Stores(stores.home, trusting(stores.postgres_url, ours), stores.redis_url)
    done = recsys(plain, "generations")
    assert (done.returncode, "does not support SSL" in done.stderr) == (1, True)
    with guarded(stores, ours, Authority(Path("/nowhere/ca.pem"), ours.chain), ours) as (seen, _, __):
        done = recsys(seen, "generations")
        assert (done.returncode, "does not exist" in done.stderr) == (1, True)


@pytest.mark.parametrize("url", [
    "", SAFE, "rediss://:hush@cache.example:6379/0", "rediss://cache.example/0?ssl_ca_certs=/etc/ca.pem",
    "postgresql://app@127.0.0.1:5432/recsys", "redis://localhost:6379/0", "redis://[::1]:6379/0",
])  # fmt: skip
def test_a_connection_that_is_verified_or_stays_here_is_taken(url: str) -> None:
    assert plain_connection(url) is None


@pytest.mark.parametrize(("url", "why"), [
    ("postgresql://app:hush@db.example/recsys", "needs sslmode=verify-full"),
    ("postgresql://app:hush@db.example/recsys?sslmode=require", "needs sslmode=verify-full"),
    ("postgresql://app:hush@db.example/recsys?sslmode=verify-ca", "needs sslmode=verify-full"),
    (SAFE + "&sslmode=disable", "needs sslmode=verify-full"),
    ("postgresql://app:hush@127.0.0.1/recsys?host=db.example", "needs sslmode=verify-full"),
    ("redis://:hush@cache.example:6379/0", "needs rediss://"),
    ("rediss://:hush@cache.example/0?ssl_cert_reqs=none", "has ssl_cert_reqs=none"),
    ("rediss://:hush@cache.example/0?ssl_check_hostname=False", "has ssl_check_hostname=False"),
])  # fmt: skip
def test_a_connection_that_others_could_read_or_answer_is_not(url: str, why: str) -> None:
    said = plain_connection(url)
    assert said is not None
    assert said.startswith(why)
    assert "hush" not in said


def test_every_process_refuses_plain_urls_where_tls_is_required() -> None:
    told = {"RECSYS_POSTGRES_URL": SAFE, "RECSYS_DAGSTER_POSTGRES_URL": SAFE, "RECSYS_MLFLOW_POSTGRES_URL": SAFE,
            "RECSYS_REDIS_URL": "rediss://:hush@cache.example/0", "RECSYS_REQUIRE_TLS": "on"}  # fmt: skip
    assert load_settings(told).require_tls
    for name, url in told.items():
        if name != "RECSYS_REQUIRE_TLS":
            plain = url.partition("?")[0].replace("rediss", "redis")
            with pytest.raises(SettingsError, match=f"{name} needs .*, and RECSYS_REQUIRE_TLS is on") as refused:
                load_settings(told | {name: plain})
            assert "hush" not in str(refused.value)
            assert load_settings(told | {name: plain, "RECSYS_REQUIRE_TLS": "off"})
    assert load_settings({"RECSYS_REQUIRE_TLS": "on"}).embedded_postgres  # the home's own servers are of this machine
