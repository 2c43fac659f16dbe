"""What can happen to a shop's stores, its API and its network: each is a block in which it is so."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter

import psycopg
import redis
from psycopg import sql

from recsys_assets.local.processes import free_port
from recsys_assets.settings import CHECKOUT
from recsys_assets_tests.chaos.shop import Shop, frozen, kill
from recsys_assets_tests.door import Door, Manner
from recsys_assets_tests.importers.shop import Desk, event, jsonl

Fault = Callable[[Shop], AbstractContextManager[None]]
Which = Sequence[str]  # of "redis" and "postgres"
CHAOS = "CHAOS_ROUNDS" in os.environ
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "50"))

REDIS, POSTGRES, BOTH = ("redis",), ("postgres",), ("redis", "postgres")


def _doors(shop: Shop, which: Which) -> list[Door]:
    of = {"redis": shop.redis_door, "postgres": shop.postgres_door}
    return [of[name] for name in which]


def _pids(shop: Shop, which: Which) -> list[int]:
    of = {"redis": shop.valkey.pid, "postgres": shop.postgres.pid}
    return [of[name] for name in which]


def behaving(which: Which, manner: Manner, seconds: float = 0.0) -> Fault:
    """The way to the stores is so, and the stores themselves are well."""

    @contextmanager
    def fault(shop: Shop) -> Iterator[None]:
        for one in _doors(shop, which):
            one.behave(manner, seconds)
        try:
            yield
        finally:
            for one in _doors(shop, which):
                one.open()

    return fault


def stopped(which: Which) -> Fault:
    """SIGSTOP: the system accepts connections for them, and nobody answers."""
    return lambda shop: frozen(*_pids(shop, which))


def killed(which: Which) -> Fault:
    """SIGKILL, and started again at the end."""

    @contextmanager
    def fault(shop: Shop) -> Iterator[None]:
        for front, pid in zip(_doors(shop, which), _pids(shop, which), strict=True):
            front.behave("refused")
            kill(pid)
        try:
            yield
        finally:
            for name in which:
                restart(shop, name)

    return fault


def restart(shop: Shop, name: str) -> None:
    """A store that has been killed, on a port of its own; its door leads there."""
    server = shop.valkey if name == "redis" else shop.postgres
    server.stop()
    server.start()
    url = shop.stores.redis_url if name == "redis" else shop.stores.postgres_url
    (front,) = _doors(shop, (name,))
    front.open(int(url.rpartition(":")[2].partition("/")[0]))


@contextmanager
def full_redis(shop: Shop) -> Iterator[None]:
    """Of memory: nothing more is taken, and what is there is answered."""
    with redis.Redis.from_url(shop.stores.redis_url) as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


@contextmanager
def read_only_redis(shop: Shop) -> Iterator[None]:
    """A replica, whose primary is away."""
    with redis.Redis.from_url(shop.stores.redis_url) as client:
        client.replicaof("127.0.0.1", free_port())
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")


@contextmanager
def read_only_postgres(shop: Shop) -> Iterator[None]:
    with _of_postgres(shop) as (own, database):
        own.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(database))
        _hang_up(own)
        try:
            yield
        finally:
            own.execute("SET default_transaction_read_only = off")
            own.execute(sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(database))
            _hang_up(own)


@contextmanager
def wrong_redis_password(shop: Shop) -> Iterator[None]:
    with redis.Redis.from_url(shop.stores.redis_url, single_connection_client=True) as client:
        right = client.config_get("requirepass")["requirepass"]
        client.config_set("requirepass", "another")
        client.client_kill_filter(_type="normal", skipme=True)
        try:
            yield
        finally:
            client.config_set("requirepass", right)


@contextmanager
def wrong_postgres_password(shop: Shop) -> Iterator[None]:
    with _of_postgres(shop) as (own, _):
        row = own.execute("SELECT rolpassword FROM pg_authid WHERE rolname = current_user").fetchone()
        assert row is not None
        own.execute("ALTER ROLE CURRENT_USER PASSWORD 'another'")
        _hang_up(own)
        try:
            yield
        finally:
            own.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(row[0]))


@contextmanager
def _of_postgres(shop: Shop) -> Iterator[tuple[psycopg.Connection, sql.Identifier]]:
    with psycopg.connect(shop.stores.postgres_url, autocommit=True) as own:
        yield own, sql.Identifier(own.info.dbname)


def _hang_up(own: psycopg.Connection) -> None:
    """On everybody else."""
    own.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )


def clock(hours: int) -> Fault:
    """Postgres' clock is so much ahead of the API's: all that it has dated and the API reads is dated so."""

    @contextmanager
    def fault(shop: Shop) -> Iterator[None]:
        def move(by: int) -> None:
            for statement in (
                "UPDATE generations SET created_at = created_at + make_interval(hours => %s)",
                "UPDATE api_tokens SET expires_at = expires_at + make_interval(hours => %s)",
            ):
                own.execute(statement, [by])

        with _of_postgres(shop) as (own, _):
            move(hours)
            try:
                yield
            finally:
                move(-hours)

    return fault


@contextmanager
def older_redis(shop: Shop) -> Iterator[None]:
    """Wishes are made after its files were kept; then it is brought back from these."""
    shop.older.keep()
    try:
        yield
    finally:
        shop.older.restart(shop.redis_door)


@contextmanager
def killed_api(shop: Shop) -> Iterator[None]:
    shop.restart_api()
    yield


@contextmanager
def killed_publisher(shop: Shop) -> Iterator[None]:
    """Another process publishes and is killed at some moment of that; the next publish follows."""
    command = [sys.executable, "-m", "recsys_assets_tests.chaos.publishing", shop.new_label()]
    environment = {**os.environ, **shop.stores.environment}
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(b"go\n")
        process.stdin.flush()
        threading.Event().wait(shop.dice.random())
        process.kill()
    try:
        yield
    finally:
        shop.publish()


@contextmanager
def killed_ingest(shop: Shop) -> Iterator[None]:
    """Files are being taken in; the next run does the rest. Rows that are not there then are lost."""
    path = shop.folder / f"{shop.new_label()}.jsonl"
    rows = [event(user_id=f"{path.stem}-{n}", event_time=f"2024-05-0{1 + n % 9}") for n in range(9_000)]
    path.write_bytes(jsonl(rows))
    command = [sys.executable, "-m", "recsys_assets.cli", "ingest", "contract", str(path)]
    environment = {**os.environ, **shop.stores.environment}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE) as process:
        threading.Event().wait(5 * shop.dice.random())
        process.kill()
    try:
        yield
    finally:
        subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, check=True)
        found = Desk(shop.home, shop.folder).landed()["user_key"].n_unique()
        shop.rows_sent += len(rows)
        shop.rows_lost = shop.rows_sent - found


@contextmanager
def killed_daemon(shop: Shop) -> Iterator[None]:
    """Dagster's, which starts the nights: nobody who reads needs it."""
    daemon = shop.start("dagster-daemon")
    try:
        threading.Event().wait(5 * shop.dice.random())
        kill(daemon.pid)
        yield
    finally:
        daemon.stop()


@contextmanager
def full_disk(shop: Shop) -> Iterator[None]:
    """Nothing more can be written where both stores have their data; one that ends of it is started again after."""
    filler = shop.folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65_536))
    try:
        yield
    finally:
        filler.unlink()
        for name, server in (("redis", shop.valkey), ("postgres", shop.postgres)):
            if server.failure() is not None:
                restart(shop, name)


def soak(seconds: float) -> Fault:
    """Publishes, one after the other, and at random moments both ways are reset, beside the wishes of every trial."""

    @contextmanager
    def fault(shop: Shop) -> Iterator[None]:
        until = perf_counter() + seconds
        while perf_counter() < until:
            for front in shop.doors:
                front.behave("reset")
                threading.Event().wait(shop.dice.random())
                front.open()
            shop.publish()
            threading.Event().wait(2 * shop.dice.random())
        yield

    return fault


def crowd(number: int, *, slow: bool) -> Fault:
    """So many connections to the API that say nothing, or a byte of a request now and then."""

    @contextmanager
    def fault(shop: Shop) -> Iterator[None]:
        with ExitStack() as stack:
            for _ in range(number):
                one = stack.enter_context(socket.create_connection(("127.0.0.1", shop.port), timeout=30))
                if slow:
                    one.sendall(b"GET /api/recommendations?userId=")
            yield

    return fault


@dataclass(frozen=True)
class Case:
    """One row of the table. ``publishes``: a publish comes in the middle. ``ends_api``: reads find nobody meanwhile."""

    name: str
    fault: Fault
    usual: bool = False
    publishes: bool = False
    ends_api: bool = False


@contextmanager
def nothing(_shop: Shop) -> Iterator[None]:
    """What this machine does to readers by itself."""
    yield


def _network() -> Iterator[Case]:
    manners: list[tuple[str, Manner, float]] = [
        ("refused", "refused", 0), ("reset at accept", "reset", 0), ("reset in mid-answer", "cut", 0),
        ("+100 ms", "slow", 0.1), ("+240 ms", "slow", 0.24), ("+500 ms", "slow", 0.5), ("trickle", "trickle", 0.01),
        ("black hole", "swallow", 0),
    ]  # fmt: skip
    usual = {("reset at accept", REDIS), ("black hole", POSTGRES), ("black hole", BOTH), ("+240 ms", REDIS)}
    for name, manner, seconds in manners:
        for which in (REDIS, POSTGRES, BOTH):
            usually = (name, which) in usual
            yield Case(f"{' and '.join(which)}: {name}", behaving(which, manner, seconds), usually, publishes=True)


def _servers() -> Iterator[Case]:
    for which in (REDIS, POSTGRES, BOTH):
        of = " and ".join(which)
        yield Case(f"{of}: stopped", stopped(which), usual=which == BOTH)
        yield Case(f"{of}: killed", killed(which), usual=which == REDIS)


CASES = (
    Case("nothing", nothing, publishes=True),
    *_network(),
    *_servers(),
    Case("redis: full", full_redis),
    Case("redis: read-only", read_only_redis),
    Case("postgres: read-only", read_only_postgres),
    Case("redis: wrong password", wrong_redis_password),
    Case("postgres: wrong password", wrong_postgres_password),
    Case("redis: restarted from an older file", older_redis),
    Case("postgres: clock 1 h ahead", clock(1)),
    Case("postgres: clock 1 h behind", clock(-1)),
    Case("API: killed", killed_api, ends_api=True),
    Case("publisher: killed", killed_publisher),
    Case("daemon: killed", killed_daemon),
    Case("ingest: killed", killed_ingest),
    Case("2,000 idle connections", crowd(2_000, slow=False), publishes=True),
    Case("200 slow connections", crowd(200, slow=True), publishes=True),
    Case("soak: publishes, wishes, resets", soak(0.6 * ROUNDS)),
)
FULL_DISK = Case("redis and postgres: disk full", full_disk)
