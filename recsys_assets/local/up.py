"""`recsys up`: the servers, Dagster's UI and daemon, MLflow's UI and the API, in the foreground of one terminal."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recsys_assets.errors import RefusedError, StoreError
from recsys_assets.local.answers import HOST, answers
from recsys_assets.local.guarded import own_origins
from recsys_assets.local.ports import Ports, is_free
from recsys_assets.local.processes import Child, Program, pause, wait_until
from recsys_assets.local.restarts import RESTARTS, WITHIN_SECONDS, Restarts
from recsys_assets.local.server import Server
from recsys_assets.local.signals import check, deferred, exposed, shielded, taken, terminable
from recsys_assets.local.state import Process, State, held, owner_lock, process, read_state, users_lock
from recsys_assets.local.supervisor import LOCK_SECONDS, Owner, Servers, owning, platform_environment, resolve
from recsys_assets.settings import CHECKOUT, Home, Settings

ANSWER_SECONDS = 240.0  # MLflow and Dagster make their tables at their first start
GRACE_SECONDS = 10  # a bulk of a thousand lists takes less; a client that does not read is cut off then
TOO_OFTEN = f"has died more than {RESTARTS} times within {WITHIN_SECONDS:.0f} s"
PROGRAMS = ("dagster-webserver", "dagster-daemon", "mlflow", "api", "pages")


@dataclass(frozen=True)
class _Service:
    """A program of the platform. ``port`` 0: it has none to answer on; ``path`` is asked to know that it is up."""

    title: str
    program: Program
    port: int = 0
    path: str = "/"

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}" if self.port else ""


class _Running:
    """A program that we run. ``left`` is true of one that has died too often to be started again."""

    def __init__(self, service: _Service) -> None:
        self.service = service
        self.child = Child(service.program)
        self.left = False
        self._restarts = Restarts()
        self._due: float | None = None

    def process(self) -> Process:
        """It, for the state."""
        return process(self.service.program.name, self.child.pid, self.service.address)

    def death(self) -> str | None:
        """What to say of it where it has died."""
        code = self.child.exit_code()
        if code is None:
            return None
        name, log = self.service.program.name, self.service.program.log
        return f"{name} ended with code {code}. Its log, {log}, ends:\n{self.child.tail()}"

    def keep(self, now: float, announce: Callable[[str], None]) -> bool:
        """Starts it again, in time, where it has died; whether it did. ``now`` is in seconds."""
        self.child.trim_log()
        if self.left or (self._due is None and self.child.exit_code() is None):
            return False
        if self._due is None:
            self._due = self._plan(self.death() or "", now, announce)
        if self.left or now < self._due:
            return False
        name = self.service.program.name
        try:
            self.child = Child(self.service.program)
        except OSError as error:  # a full disk takes no log, say: that start has failed, too
            self._due = self._plan(f"{name} cannot be started: {error}", now, announce)
            return False
        self._due = None
        announce(f"{name} is started again")
        return True

    def _plan(self, why: str, now: float, announce: Callable[[str], None]) -> float:
        """Tells why it has to be started, and when it will be."""
        announce(why)
        pause = self._restarts.pause(now)
        self.left = pause is None
        if self.left:
            announce(f"{self.service.program.name} {TOO_OFTEN}: it stays down until `recsys down` and `recsys up`")
        return now + (pause or 0.0)

    def stop(self) -> None:
        """Stops it."""
        self.child.stop()


class Platform:
    """Programs that run, ours or those of a `recsys up`. ``processes`` are the servers and the programs."""

    def __init__(
        self,
        servers: Servers,
        processes: tuple[Process, ...],
        failure: Callable[[], str | None],
        ours: Sequence[_Running] = (),
    ) -> None:
        self.servers = servers
        self.processes = processes
        self._failure = failure
        self._ours = ours

    def address(self, name: str) -> str:
        """``http://127.0.0.1:PORT`` of one program."""
        return next(process.address for process in self.processes if process.name == name)

    def check(self) -> None:
        """Raises StoreError when a server or a program has died, or the owner of all this has ended."""
        if failure := self._failure():
            raise StoreError(failure)
        for each in self._ours:
            each.child.trim_log()
        if died := [death for each in self._ours if (death := each.death())]:
            raise StoreError("\n".join(died))


def up(
    settings: Settings,
    home: Home,
    announce: Callable[[str], None],
    started: Callable[[Sequence[Process]], None],
) -> None:
    """Starts everything, tells what runs where, and stays until SIGINT or SIGTERM; then stops everything.

    What dies is told, and started again where it was, as often as `Restarts` allows: a program that dies more often is
    left, and when it is a database or the cache, all ends.

    Raises:
        RefusedError: the home is up already, or a port of the settings is taken.
        StoreError: something does not come up, or one of the servers dies again and again.
    """
    lock = owner_lock(home.path)

    def say(line: str) -> None:
        with suppress(OSError):  # the terminal may be gone, or the `tee` behind us
            announce(line)

    def take() -> bool:
        state = read_state(home.path)
        if state is not None and _names(state) >= set(PROGRAMS):
            where = ", ".join(f"{process.name} {process.address}".rstrip() for process in state.processes)
            raise RefusedError(f"{home.path} is up already, under process {state.owner}: {where}")
        return lock.take()

    with terminable(), deferred():
        try:
            if not wait_until(take, LOCK_SECONDS):
                raise _busy(home)
            with held(lock), _started(settings, home, PROGRAMS, say) as (owner, ours), deferred():
                with suppress(OSError):
                    started(owner.state.processes)
                say("Everything runs. Ctrl-C, or `recsys down` elsewhere, stops it.")
                told = owner.state
                restarts = {server.name: Restarts() for server in owner.running}
                while True:
                    for server in owner.running:
                        _keep_server(server, restarts[server.name], owner, say)
                    owner.note(*(each.process() for each in ours if each.keep(time.monotonic(), say)))
                    if owner.state != told:
                        with suppress(OSError):  # on a full disk, it is tried again
                            owner.publish(home)
                            told = owner.state
                    pause(0.2)
        except (KeyboardInterrupt, SystemExit):  # SIGINT and SIGTERM: the way it is meant to end
            taken()
            say("stopped")


def _keep_server(server: Server, restarts: Restarts, owner: Owner, announce: Callable[[str], None]) -> None:
    server.trim_log()
    failure = server.failure()
    while failure is not None:
        announce(failure)
        seconds = restarts.pause(time.monotonic())
        if seconds is None:
            raise StoreError(f"{failure}\n{server.name} {TOO_OFTEN}: all ends")
        pause(seconds)
        try:
            server.revive()
        except (StoreError, OSError) as error:
            failure = f"{server.name} cannot be started: {error}"
        else:
            failure = None
            owner.note(owner.process(server))
            announce(f"{server.name} is started again")


@contextmanager
def platform(
    settings: Settings, home: Home, names: Sequence[str], announce: Callable[[str], None]
) -> Iterator[Platform]:
    """Programs of `PROGRAMS`: those of a `recsys up` of this home, or ones that run for as long as the block.

    Within the block our own environment is theirs, so that Dagster's and MLflow's libraries find the home here too.

    Raises:
        RefusedError: a port of the settings is taken.
        StoreError: something does not come up, or another command keeps the home busy.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < deadline:
        lock, use = owner_lock(home.path), users_lock(home.path)
        if lock.take():
            with held(lock), _started(settings, home, names, announce) as (owner, ours):
                own = Platform(owner.servers, owner.state.processes, owner.failure, ours)
                with _environment(settings, home, own):
                    yield own
            return
        if use.take(shared=True):
            with held(use):
                state = read_state(home.path)
                if state is not None and _names(state) >= set(names):
                    found = resolve(settings, state.postgres_url, state.redis_url)
                    theirs = Platform(found, state.processes, partial(_ended, home, state))
                    with _environment(settings, home, theirs):
                        yield theirs
                    return
        time.sleep(0.1)
    raise _busy(home)


@contextmanager
def _started(
    settings: Settings, home: Home, names: Sequence[str], announce: Callable[[str], None]
) -> Iterator[tuple[Owner, Sequence[_Running]]]:
    """Servers and programs for as long as the block. The lock must be held."""
    for name, setting, port in (
        ("dagster-webserver", "RECSYS_DAGSTER_PORT", settings.dagster_port),
        ("mlflow", "RECSYS_MLFLOW_PORT", settings.mlflow_port),
        ("api", "RECSYS_API_PORT", settings.api_port),
        ("pages", "RECSYS_PAGES_PORT", settings.pages_port),
    ):
        if name in names and port and not is_free(port):
            raise RefusedError(f"{setting}: port {port} is taken; choose another one, or 0 for a free one.")
    with owning(settings, home) as owner, deferred(), ExitStack() as stack:
        try:
            environment = platform_environment(settings, home, owner.servers)
            wanted = [s for s in _services(settings, home, environment) if s.program.name in names]
            announce("starting " + ", ".join(service.title for service in wanted))
            for elsewhere in _moved(settings, home, owner, wanted):
                announce(elsewhere)
            ours: list[_Running] = []
            # Those without a port come last, when the others have answered: the daemon and the UI would otherwise
            # both make Dagster's tables.
            for group in ([s for s in wanted if s.port], [s for s in wanted if not s.port]):
                begun = []
                for service in group:
                    begun.append(_Running(service))
                    stack.callback(begun[-1].stop)
                for each in begun:
                    _wait(each, owner)
                ours += begun
                if any(service.program.name == "dagster-webserver" for service in group):
                    _end_dead_runs(settings, environment, announce)
            owner.publish(home, *(each.process() for each in ours))
            with exposed():
                yield owner, ours
        finally:
            with shielded():
                stack.close()


def _moved(settings: Settings, home: Home, owner: Owner, wanted: Sequence[_Service]) -> list[str]:
    """What listens elsewhere than at the last start, though nobody has set a port for it."""
    given = {
        "dagster-webserver": settings.dagster_port,
        "mlflow": settings.mlflow_port,
        "api": settings.api_port,
        "pages": settings.pages_port,
    }
    ports = {server.name: server.port for server in owner.running}
    ports |= {s.program.name: s.port for s in wanted if s.port and not given.get(s.program.name)}
    own = Ports(home.path)
    return [said for name, port in ports.items() if (said := own.moved(name, port))]


def _end_dead_runs(settings: Settings, environment: dict[str, str], announce: Callable[[str], None]) -> None:
    """Marks runs as failed whose process was killed too hard to say so: one of them would hold up the queue for ever.

    With the home's own database and its lock, nobody else can be running them. On a database of the user's own it
    cannot be known.
    """
    if settings.dagster_postgres_url:
        return
    import dagster as dg

    in_progress = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    with _variables(environment), dg.DagsterInstance.get() as instance:
        for run in instance.get_runs(filters=dg.RunsFilter(statuses=in_progress)):
            instance.report_run_failed(run, "Its process was killed. Run it again: every asset replaces its day whole.")
            announce(f"run {run.run_id} of {run.job_name} had been killed; it is marked as failed")


@contextmanager
def _environment(settings: Settings, home: Home, running: Platform) -> Iterator[None]:
    with _variables(platform_environment(settings, home, running.servers)):
        yield


@contextmanager
def _variables(environment: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _names(state: State) -> set[str]:
    return {process.name for process in state.processes}


def _ended(home: Home, state: State) -> str | None:
    now = read_state(home.path)
    same = now is not None and now.owner == state.owner
    return None if same else f"process {state.owner}, which ran the servers of {home.path}, has ended."


def _busy(home: Home) -> StoreError:
    return StoreError(f"another command has used the servers of {home.path} for {LOCK_SECONDS:.0f} s; try later.")


def _services(settings: Settings, home: Home, environment: dict[str, str]) -> list[_Service]:
    # Not resolved: the interpreter of a virtual environment is a link, and its programs stand beside the link.
    programs = Path(sys.executable).parent
    workspace = str(CHECKOUT / "workspace.yaml")
    artifacts = home.artifacts.as_uri()

    def program(name: str, *command: str, patience: float = 20.0) -> Program:
        log, limit = home.logs / f"{name}.log", settings.log_megabytes * 1_000_000
        return Program(name, command, log, environment, folder=home.path, patience=patience, log_limit=limit)

    own = Ports(home.path)
    dagster = settings.dagster_port or own.port("dagster-webserver")
    mlflow = settings.mlflow_port or own.port("mlflow")
    api = settings.api_port or own.port("api")
    pages = settings.pages_port or own.port("pages")
    webserver = [sys.executable, "-m", "recsys_assets.local.guarded", "-w", workspace, "-h", HOST, "-p", str(dagster)]
    daemon = [str(programs / "dagster-daemon"), "run", "-w", workspace]
    tracking = [str(programs / "mlflow"), "server", "--host", HOST, "--port", str(mlflow), "--workers", "1"]
    tracking += ["--default-artifact-root", artifacts, "--artifacts-destination", artifacts]
    # By default it takes names such as 10.example.com for private addresses.
    origins = own_origins(mlflow, settings.mlflow_url)
    tracking += ["--allowed-hosts", ",".join(origin.partition("://")[2] for origin in origins)]
    tracking += ["--cors-allowed-origins", ",".join(origins)]
    serving = [sys.executable, "-m", "recsys_assets.serving", "--host", HOST, "--port", str(api)]
    serving += ["--grace", str(GRACE_SECONDS)]
    ending = settings.api_drain + GRACE_SECONDS + 10.0
    reading = [sys.executable, "-m", "uvicorn", "recsys_assets.serving.pages:create", "--factory"]
    reading += ["--host", HOST, "--port", str(pages)]
    return [
        _Service("Dagster UI", program("dagster-webserver", *webserver), dagster, "/server_info"),
        _Service("Dagster daemon", program("dagster-daemon", *daemon)),
        _Service("MLflow UI", program("mlflow", *tracking), mlflow, "/health"),
        _Service("API", program("api", *serving, patience=ending), api, "/livez"),
        _Service("data docs and dbt docs", program("pages", *reading), pages),
    ]


def _wait(running: _Running, owner: Owner) -> None:
    service = running.service
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        check()
        if death := running.death():
            raise StoreError(death)
        if failure := owner.failure():
            raise StoreError(failure)
        if not service.port or answers(service.port, service.path):
            return
        if time.monotonic() > deadline:
            raise StoreError(
                f"{service.title} has not answered on port {service.port} within {ANSWER_SECONDS:.0f} s. Its log, "
                f"{service.program.log}, ends:\n{running.child.tail()}"
            )
        time.sleep(0.1)
