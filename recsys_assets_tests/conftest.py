"""What all tests share: real servers for the session, fresh databases and homes, no network but loopback."""

import itertools
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
import redis

from recsys_assets.local.postgres import Postgres
from recsys_assets.local.supervisor import QUIET
from recsys_assets.local.valkey import Valkey
from recsys_assets.settings import Home, Settings, init_home, load_settings

# Seconds are for benchmarks: on a busy machine any example may take long.
hypothesis.settings.register_profile("ours", deadline=None)
hypothesis.settings.load_profile("ours")


def pytest_configure() -> None:
    """Settings of whoever runs the tests stay out; a SIGTERM ends the session as Ctrl-C does, and servers stop."""

    def end(_number: int, _frame: object) -> None:
        pytest.exit("terminated", returncode=143)

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)
    # Behind a script's `&` it is ignored, and after a run Dagster gives SIGTERM what SIGINT has.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("RECSYS_")]:
        del os.environ[name]
    os.environ.update(QUIET)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """Python sockets reach this machine alone, so that no test depends on the network."""
    local = ("127.0.0.1", "::1", "localhost", "0.0.0.0")

    def checked(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in local:
                raise RuntimeError(f"a test tried to reach {address[0]}: only this machine is allowed")
            return original(self, address)

        return connect

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", checked(socket.socket.connect_ex))
        yield


def remove_postgres(home: Path) -> None:
    """Deletes a home's database files, which may stand outside of it (see local/postgres.py)."""
    data = home / "postgres"
    if data.is_symlink():
        shutil.rmtree(data.readlink().parent)
        data.unlink()
    elif data.exists():
        shutil.rmtree(data)


@pytest.fixture(scope="session")
def pg_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the session's Postgres (its database ``postgres``); take a fresh one from ``database``."""
    folder = tmp_path_factory.mktemp("session postgres")
    server = Postgres(folder)
    try:
        server.start()
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            # Nobody keeps what is in it: a checkpoint of a hundred databases takes a minute of writing otherwise.
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.url("postgres")
    finally:
        server.stop()
        remove_postgres(folder)


@pytest.fixture(scope="session")
def database(pg_url: str) -> Callable[[], str]:
    """Makes an empty database and gives its URL, at every call."""
    numbers = itertools.count(1)

    def make() -> str:
        name = f"test_{next(numbers)}"
        with psycopg.connect(pg_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return pg_url.removesuffix("/postgres") + f"/{name}"

    return make


@pytest.fixture(scope="session")
def _session_redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Valkey(tmp_path_factory.mktemp("session valkey"))
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


@pytest.fixture
def redis_url(_session_redis_url: str) -> str:
    """URL of the session's Valkey, emptied."""
    with redis.Redis.from_url(_session_redis_url) as client:
        client.flushall()
    return _session_redis_url


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings from the variables given (``RECSYS_…="…"``) and nothing else, by default with a home below a space."""

    def make(**variables: str) -> Settings:
        return load_settings({"RECSYS_HOME": str(tmp_path / "a shop"), **variables})

    return make


@pytest.fixture
def make_home(make_settings: Callable[..., Settings]) -> Callable[..., Home]:
    """Makes a home; takes what `init_home` takes, with defaults, and ``RECSYS_…`` variables."""

    def make(first_day: date = date(2024, 1, 1), time_zone: str = "UTC", currency: str = "EUR", **more: Any) -> Home:
        told = {name: more.pop(name) for name in ("sources", "last_day") if name in more}
        return init_home(make_settings(**more), first_day=first_day, time_zone=time_zone, currency=currency, **told)

    return make


@pytest.fixture
def home(make_home: Callable[..., Home]) -> Home:
    """A home with all defaults, its servers not started."""
    return make_home()
