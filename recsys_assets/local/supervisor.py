"""The servers of a home: one owner starts and stops them, every other process uses them meanwhile.

The owner holds a lock on the home and publishes a state file. A command that finds no owner becomes it for its own
duration. Servers whose URL the settings give are the user's own: they are probed and never started or stopped.
"""

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from recsys_assets.errors import RefusedError, StoreError
from recsys_assets.local.databases import ensure_database, probe_redis
from recsys_assets.local.postgres import Postgres
from recsys_assets.local.processes import born, wait_until
from recsys_assets.local.server import Server
from recsys_assets.local.signals import asked, deferred, exposed, shielded, terminable
from recsys_assets.local.state import (
    Lock,
    Process,
    State,
    clear_state,
    held,
    owner_lock,
    process,
    read_state,
    state_of,
    users_lock,
    write_state,
)
from recsys_assets.local.valkey import Valkey
from recsys_assets.scratch import clear, write_private
from recsys_assets.settings import CHECKOUT, Home, Settings

_log = logging.getLogger(__name__)

OTHERS_SECONDS = 600.0  # how long an owner who is done waits for those who still use its servers
OTHERS_SECONDS_INTERRUPTED = 5.0
LOCK_SECONDS = 150.0  # how long we wait for an owner that is just starting or stopping
DOWN_SECONDS = 120.0

DATABASES = ("recsys", "recsys_dagster", "recsys_mlflow")
# What the libraries are told everywhere: no telemetry, and no threads of BLAS beside implicit's own.
QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "OPENBLAS_NUM_THREADS": "1",
}
_POSTGRES_SETTINGS = ("RECSYS_POSTGRES_URL", "RECSYS_DAGSTER_POSTGRES_URL", "RECSYS_MLFLOW_POSTGRES_URL")


@dataclass(frozen=True)
class Servers:
    """Where to connect. Every one answered when this was handed out, Redis if it was needed."""

    postgres_url: str = field(repr=False)
    dagster_postgres_url: str = field(repr=False)
    mlflow_postgres_url: str = field(repr=False)
    redis_url: str = field(repr=False)

    @property
    def databases(self) -> tuple[str, str, str]:
        """URLs of `DATABASES`."""
        return self.postgres_url, self.dagster_postgres_url, self.mlflow_postgres_url


@contextmanager
def servers(settings: Settings, home: Home, *, needs_redis: bool = True) -> Iterator[Servers]:
    """The home's servers: those that run, or ones that run for as long as the ``with`` block.

    Enter it in the main thread: servers started from another one end with that thread. ``needs_redis`` is false where
    the caller says itself what a Redis that is away means; then it is not probed.

    Raises:
        StoreError: a server does not come up or does not answer; the message names the setting that points at it.
        HomeError: the servers' data cannot be used.
    """
    if not settings.embedded_postgres and not settings.embedded_redis:
        yield resolve(settings, "", "", needs_redis=needs_redis)
        return
    deadline = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < deadline:
        lock, use = owner_lock(home.path), users_lock(home.path)
        if lock.take():
            with held(lock), owning(settings, home) as owner:
                yield owner.servers
            return
        if use.take(shared=True):
            with held(use):
                state = read_state(home.path)
                if state is not None:
                    yield resolve(settings, state.postgres_url, state.redis_url, needs_redis=needs_redis)
                    return
        time.sleep(0.05)  # the owner is starting or stopping
    raise StoreError(
        f"another process has held {home.path / 'supervisor.lock'} for {LOCK_SECONDS:.0f} s: `recsys down`"
    )


@dataclass
class Owner:
    """What the holder of the lock has started."""

    servers: Servers
    state: State
    running: tuple[Server, ...]

    def failure(self) -> str | None:
        """Why a server of ours no longer runs."""
        return next((failure for server in self.running if (failure := server.failure())), None)

    def process(self, server: Server) -> Process:
        """One of the servers, for the state."""
        return process(server.name, server.pid, server.address)

    def note(self, *processes: Process) -> None:
        """Puts processes into the state, each in the place of the one of its name."""
        found = {process.name: process for process in (*self.state.processes, *processes)}
        self.state = replace(self.state, processes=tuple(found.values()))

    def publish(self, home: Home, *processes: Process) -> None:
        """Notes them, and writes the state for others to read."""
        self.note(*processes)
        write_state(home.path, self.state)


@contextmanager
def owning(settings: Settings, home: Home) -> Iterator[Owner]:
    """Starts what the settings do not give, publishes the state, and stops it again. The lock must be held."""
    clear_state(home.path)  # of an owner that was killed
    for folder in home.scratched:
        clear(folder)
    with terminable(), deferred(), ExitStack() as stack:
        running: list[Server] = []
        urls = {"postgres": "", "valkey": ""}
        try:
            if settings.embedded_postgres:
                postgres = Postgres(home.path)
                stack.callback(postgres.stop)
                postgres.start()
                running.append(postgres)
                urls["postgres"] = postgres.url("")
            if settings.embedded_redis:
                valkey = Valkey(home.path)
                stack.callback(valkey.stop)
                valkey.start()
                running.append(valkey)
                urls["valkey"] = valkey.url
            found = resolve(settings, urls["postgres"], urls["valkey"])
            state = state_of(home.path, urls["postgres"], urls["valkey"])
            owner = Owner(found, state, tuple(running))
            owner.publish(home, *map(owner.process, running))
            with exposed():
                yield owner
        finally:
            with shielded():
                others = _unused(home)
                clear_state(home.path)
                stack.close()
                others.release()


def _unused(home: Home) -> Lock:
    """The lock of those who use the servers, once nobody does; an owner who is asked to end does not wait long."""
    others = users_lock(home.path)  # whoever has it cannot begin to use what is about to stop
    if wait_until(others.take, 1.0):
        return others
    _log.warning("other commands still use the servers of %s: waiting for them", home.path)
    free = False

    def settled() -> bool:
        nonlocal free
        free = others.take()
        return free or asked()

    wait_until(settled, OTHERS_SECONDS)
    if not free:
        wait_until(others.take, OTHERS_SECONDS_INTERRUPTED)
    return others


def resolve(settings: Settings, postgres_url: str, redis_url: str, *, needs_redis: bool = True) -> Servers:
    """The settings' URLs, and the embedded servers' where they give none; every one probed, Redis if it is needed."""
    given = (settings.postgres_url, settings.dagster_postgres_url, settings.mlflow_postgres_url)
    urls = []
    for url, database, setting in zip(given, DATABASES, _POSTGRES_SETTINGS, strict=True):
        if not url and not postgres_url:
            raise _not_started(setting)
        urls.append(url or postgres_url + database)
        ensure_database(urls[-1], setting)
    if not settings.redis_url and not redis_url:
        raise _not_started("RECSYS_REDIS_URL")
    if needs_redis:
        probe_redis(settings.redis_url or redis_url, "RECSYS_REDIS_URL")
    return Servers(urls[0], urls[1], urls[2], settings.redis_url or redis_url)


def _not_started(setting: str) -> StoreError:
    return StoreError(
        f"the process that runs this home's servers was started with {setting} set, and runs none of its own: "
        f"set it here too, or `recsys down` first."
    )


def running(home: Home) -> State | None:
    """What the home's owner runs, or None where there is no owner."""
    return read_state(home.path)


def down(home: Home) -> bool:
    """Asks the owner of the home's servers to end and waits until it has; whether there was one.

    Raises:
        RefusedError: it did not end in time.
    """
    state = read_state(home.path)
    if state is None:
        return False
    os.kill(state.owner, signal.SIGTERM)
    if not wait_until(lambda: born(state.owner) != state.owner_born, DOWN_SECONDS, every=0.1):
        raise RefusedError(f"process {state.owner} has not ended within {DOWN_SECONDS:.0f} s; see {home.logs}")
    return True


def platform_environment(settings: Settings, home: Home, servers: Servers) -> dict[str, str]:
    """The whole environment of Dagster, MLflow and the API, for children or for ourselves; prepares DAGSTER_HOME.

    It is ours with the home, its servers, and telemetry off. With every URL in it, a child starts no servers.
    """
    _install(CHECKOUT / "dagster.yaml", home.dagster / "dagster.yaml")
    for folder in (home.artifacts, home.logs):
        folder.mkdir(parents=True, exist_ok=True)
    own = {
        "RECSYS_HOME": str(home.path),
        "RECSYS_POSTGRES_URL": servers.postgres_url,
        "RECSYS_DAGSTER_POSTGRES_URL": servers.dagster_postgres_url,
        "RECSYS_MLFLOW_POSTGRES_URL": servers.mlflow_postgres_url,
        "RECSYS_REDIS_URL": servers.redis_url,
        "RECSYS_LAKE_URL": settings.lake_url,
        "RECSYS_THREADS": str(settings.threads),
        "DAGSTER_HOME": str(home.dagster),
        "DAGSTER_LOCAL_ARTIFACTS": str(home.dagster),
        "DAGSTER_COMPUTE_LOGS": str(home.logs / "dagster"),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",  # a year in one run records each asset 365 times
        "MLFLOW_TRACKING_URI": servers.mlflow_postgres_url,
        "MLFLOW_BACKEND_STORE_URI": servers.mlflow_postgres_url,  # not on the command line, which everybody can read
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # or its server leaves processes behind
        **QUIET,
    }
    # The rest (PATH, certificates, locale) is passed on unread: settings are read in settings.py alone.
    return {**os.environ, **own} | ({"RECSYS_SECRET": settings.secret} if settings.secret else {})


def _install(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_bytes() != source.read_bytes():
        write_private(target, source.read_bytes())
