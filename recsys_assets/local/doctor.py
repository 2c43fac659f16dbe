"""Is everything as a night needs it? One line per thing that is looked at.

Nothing is changed, except that what killed processes have left goes, and files of the lake that are of before there
were manifests get one.
"""

import os
import re
import shlex
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from glob import glob
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import psycopg
import redis
from psycopg.rows import dict_row

from recsys_assets.errors import HomeError, RecsysError
from recsys_assets.importers import IMPORTERS
from recsys_assets.local.databases import first_line
from recsys_assets.local.liveness import conditions
from recsys_assets.local.supervisor import Servers, running, servers
from recsys_assets.scratch import TEMPORARY, clear, clear_below
from recsys_assets.setting_values import plain_connection
from recsys_assets.settings import (
    CHECKOUT,
    LAYOUT_VERSION,
    VARIABLES,
    Home,
    Settings,
    Source,
    home_layout,
    load_settings,
    open_home,
)
from recsys_assets.stores.alerts import ways
from recsys_assets.stores.exported import files
from recsys_assets.stores.files import S3, place
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.postgres import applied_schema, newest_schema
from recsys_assets.stores.publishing import generations
from recsys_assets.tables import TABLES

SECONDS = 5
CLOCK_SECONDS = 2.0
STALE = timedelta(hours=36)
# A night writes about what the one before it wrote; Postgres and Redis hold the lists beside it.
NIGHTS_AT_LEAST, NIGHTS_GOOD = 3, 10
LEAST_BYTES = 1_000_000_000
Level = Literal["ok", "warn", "fail"]
_TROUBLE = (RecsysError, OSError, psycopg.Error, redis.RedisError, ValueError)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``todo`` is what to do, where it is not ok."""

    level: Level
    what: str
    said: str
    todo: str = ""


def examine() -> Iterator[Finding]:
    """Every finding, each as soon as it is there."""
    yield from _versions()
    try:
        settings = load_settings()
    except RecsysError as error:
        yield Finding("fail", "settings", str(error), "correct these variables, then run it again")
        return
    given = [variable.name for variable in VARIABLES if getattr(settings, variable.attribute) not in ("", None)]
    yield Finding("ok", "settings", f"{len(given)} of {len(VARIABLES)} have a value; no unknown RECSYS_ variable")
    try:
        layout = home_layout(settings.home)
        home = open_home(settings)
    except RecsysError as error:
        yield Finding("fail", "home", str(error), "see the message")
        return
    yield Finding("ok", "home", f"{home.path}, layout {layout} of {LAYOUT_VERSION}")
    for what, probe in (
        ("secret", partial(_secret, settings, home)),
        ("rights", partial(_rights, home)),
        ("lake", partial(_lake, home)),
        ("files", partial(_whole, home)),
        ("disk", partial(_disk, home)),
        ("sources", partial(_sources, home)),
        ("alerts", partial(_alerts, settings)),
        ("processes", partial(_processes, home)),
        ("servers", partial(_servers, settings, home)),
    ):
        yield from _guarded(what, probe)


def _guarded(what: str, probe: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from probe()
    except _TROUBLE as error:
        yield Finding("fail", what, _words(error), "see the message")


def _words(error: Exception) -> str:
    if isinstance(error, RecsysError):
        return str(error)
    if isinstance(error, psycopg.ProgrammingError | ValueError):  # may quote the part that holds the password
        return "the URL cannot be understood"
    return first_line(error)


def _versions() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{sys.version.split()[0]}, recsys {version('recsys-assets')}")
    lock = CHECKOUT / "requirements.lock"
    if not lock.exists():
        yield Finding("warn", "packages", "there is no requirements.lock to compare with", "install from a checkout")
        return
    locked: dict[str, list[str]] = {}  # some have one version for each Python
    for name, each in re.findall(r"(?m)^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock.read_text()):
        locked.setdefault(name, []).append(each)
    others, missing, same = [], 0, 0
    for name, wanted in locked.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            missing += 1  # of another system, or an extra that is not installed
            continue
        if found in wanted:
            same += 1
        else:
            others.append(f"{name} {found} instead of {' or '.join(wanted)}")
    if others:
        some = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
        yield Finding("warn", "packages", f"{len(others)} are not as locked: {some}", "install requirements.lock again")
    else:
        yield Finding("ok", "packages", f"{same} as locked, {missing} not installed here")


def _secret(settings: Settings, home: Home) -> Iterator[Finding]:
    file = home.path / "secret"
    where = "RECSYS_SECRET" if settings.secret else str(file)
    said = f"fingerprint {home.keys.fingerprint()}, from {where}"
    yield Finding("ok", "secret", f"{said}. Is there a copy elsewhere? Without it no id can be joined to its key")
    yield from _open_to_others(
        "secret", [file, home.path / "postgres.password", home.path / "reader.password", home.path / "state.json"]
    )


def _open_to_others(what: str, private: Iterable[Path]) -> Iterator[Finding]:
    for path in private:
        with suppress(FileNotFoundError):
            found = path.stat().st_mode
            if found & 0o077:
                todo = f"chmod {700 if stat.S_ISDIR(found) else 600} {shlex.quote(str(path))}"
                said = f"{path} can be read by others (mode {stat.S_IMODE(found):o})"
                yield Finding("fail", what, said, todo)


def _rights(home: Home) -> Iterator[Finding]:
    """Folders and files with people in them. Below a folder that is closed, everything is."""
    folders = [home.path, *([] if home.lake_url.startswith(S3) else [home.lake])]
    wrong = list(_open_to_others("rights", [*folders, home.path / "home.toml", *files(home.exports)]))
    yield from wrong
    if not wrong:
        yield Finding("ok", "rights", "the home, the lake and exports are their owner's alone")


def _whole(home: Home) -> Iterator[Finding]:
    left = sum(map(clear, home.scratched)) + clear_below(home.exports)
    lake = Lake(home.lake_url)
    left += lake.clear()
    stuck = [path for root in home.scratched for path in root.glob(f"{TEMPORARY}*")]
    stuck = [path for path in (*stuck, *home.exports.rglob(f"{TEMPORARY}*")) if not _may_remove(path)]
    for path in stuck:
        said = f"{path} is another user's and stays: people who were erased may be in what was being written there"
        yield Finding("fail", "files", said, f"rm -r {shlex.quote(str(path))}, as its owner, if nothing of theirs runs")
    found = [lake.inspect(table) for table in TABLES.values()]
    for one in found:
        for said in one.damaged:
            what, _, todo = said.partition(": ")
            yield Finding("fail", "files", what, todo)
    new = sum(one.new for one in found)
    more = f", {new:,} of them are of before there were manifests" if new else ""
    removed = f"; {left:,} that killed processes had left are removed" if left else ""
    if not stuck and not any(one.damaged for one in found):
        yield Finding("ok", "files", f"{sum(one.files for one in found):,} of the lake are whole{more}{removed}")


def _may_remove(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK | os.X_OK) or not path.exists()


def _lake(home: Home) -> Iterator[Finding]:
    there, name = place(home.lake_url), f"doctor/{os.getpid()}"
    there.write({name: lambda file: file.write(b"recsys doctor")})
    try:
        whole = there.read(name) == b"recsys doctor"
    finally:
        there.delete(name)
    if not home.lake_url.startswith(S3):
        with suppress(OSError):
            (Path(home.lake_url) / "doctor").rmdir()
    if whole:
        yield Finding("ok", "lake", f"{home.lake_url} can be written and read")
    else:
        yield Finding("fail", "lake", f"{home.lake_url} gives back other bytes than were written", "mend the storage")


def _disk(home: Home) -> Iterator[Finding]:
    night = LEAST_BYTES
    if not home.lake_url.startswith(S3):
        night += sum(_newest_day(folder) for folder in Path(home.lake_url).glob("*/"))
    free = shutil.disk_usage(home.path).free
    said = f"{free / 1e9:,.1f} GB free; a night writes about {night / 1e9:,.1f} GB"
    if free < NIGHTS_AT_LEAST * night:
        yield Finding("fail", "disk", said, f"make room: at least {NIGHTS_AT_LEAST * night / 1e9:,.1f} GB")
    elif free < NIGHTS_GOOD * night:
        yield Finding("warn", "disk", said, f"it is enough for fewer than {NIGHTS_GOOD} nights: make room")
    else:
        yield Finding("ok", "disk", said)


def _newest_day(table: Path) -> int:
    days = sorted(day for day in table.glob("[0-9]*/"))
    return sum(file.stat().st_size for file in days[-1].rglob("*") if file.is_file()) if days else 0


def _sources(home: Home) -> Iterator[Finding]:
    if not home.config.sources:
        todo = "add [[sources]] to home.toml, or bring files in by `recsys ingest`"
        yield Finding("warn", "sources", "home.toml names none: the night finds only what was ingested by hand", todo)
    for source in home.config.sources:
        yield from _guarded("sources", partial(_source, source))


def _source(source: Source) -> Iterator[Finding]:
    name = f"{source.format} {source.path}"
    if source.format == "sql":
        yield Finding("ok", "sources", "a database: it is asked when it is read")
        return
    importer = IMPORTERS.get(source.format)
    found = (
        [file for piece in importer.pieces(source.path) for file in piece.files]
        if importer
        else [Path(name) for name in glob(source.path)]  # noqa: PTH207  it may be absolute
    )
    shut = [file for file in found if not os.access(file, os.R_OK)]
    if shut:
        yield Finding("fail", "sources", f"{name}: {shut[0]} cannot be read", "give this user the right to read it")
    elif not found:
        yield Finding("fail", "sources", f"{name}: there is no such file", "correct the path in home.toml")
    else:
        yield Finding("ok", "sources", f"{name}: {len(found):,} files can be read")


def _alerts(settings: Settings) -> Iterator[Finding]:
    if found := ways(settings):
        yield Finding("ok", "alerts", f"failed runs are told by {' and '.join(found)}; `recsys alert test` tries it")
    else:
        todo = "set RECSYS_ALERT_WEBHOOK, or RECSYS_ALERT_EMAIL and RECSYS_SMTP_URL"
        yield Finding("warn", "alerts", "nobody is told when a run fails", todo)


def _processes(home: Home) -> Iterator[Finding]:
    """What a `recsys up`, or a command, of this home has started: by its processes and its ports."""
    state = running(home)
    if state is None:
        yield Finding("ok", "processes", "nothing runs for this home")
        return
    looks = conditions(state)
    for process, how in ((look.process, look.state) for look in looks if look.state != "runs"):
        what = "is dead" if how == "dead" else f"lives and does not answer on {process.address}"
        todo = f"see {process.name}.log in {home.logs}, then `recsys down` and `recsys up`"
        yield Finding("fail", "processes", f"{process.name}, process {process.pid}, {what}", todo)
    answering = [look.process.name for look in looks if look.state == "runs"]
    if answering:
        yield Finding("ok", "processes", f"under process {state.owner}: {', '.join(answering)}")


def _servers(settings: Settings, home: Home) -> Iterator[Finding]:
    given = {
        "RECSYS_POSTGRES_URL": settings.postgres_url,
        "RECSYS_DAGSTER_POSTGRES_URL": settings.dagster_postgres_url,
        "RECSYS_MLFLOW_POSTGRES_URL": settings.mlflow_postgres_url,
    }
    away = []
    for name, url in given.items():  # each by itself, so that one that is away does not hide the others
        if url:
            yield from _network(name, url)
            found = list(_guarded(name, partial(_postgres, url, name)))
            away += [each for each in found if each.level == "fail"]
            yield from found
    if settings.redis_url:
        yield from _network("RECSYS_REDIS_URL", settings.redis_url)
        found = list(_guarded("RECSYS_REDIS_URL", partial(_redis, settings.redis_url, "RECSYS_REDIS_URL")))
        away += [each for each in found if each.level == "fail"]
        yield from found
    if away:
        return
    with servers(settings, home) as served:
        for name, url in zip(given, served.databases, strict=True):
            if not given[name]:
                database = name.replace("RECSYS_", "").replace("_URL", "").lower().replace("_", " ")
                yield from _guarded(database, partial(_postgres, url, database))
        if not settings.redis_url:
            yield from _guarded("redis", partial(_redis, served.redis_url, "redis"))
        yield from _guarded("schema", partial(_schema, served))
        yield from _guarded("published", partial(_published, served, home))


def _network(name: str, url: str) -> Iterator[Finding]:
    """A server elsewhere whose answers others could read, or give."""
    if why := plain_connection(url):
        said = "on another machine, reached without verified TLS: others on the way could read or answer"
        yield Finding("warn", name, said, f"it {why}")


def _postgres(url: str, what: str) -> Iterator[Finding]:
    with psycopg.connect(url, connect_timeout=SECONDS, autocommit=True) as connection:
        before = datetime.now(UTC)
        found = connection.execute(
            "SELECT clock_timestamp(), current_setting('server_version'), current_database(), "
            "has_database_privilege(current_database(), 'CREATE'), has_schema_privilege('public', 'CREATE')"
        ).fetchone()
        after = datetime.now(UTC)
    assert found is not None
    now, server, database, schemas, tables = found
    yield Finding("ok", what, f"Postgres {server} answers, database {database}")
    if not (schemas and tables):
        todo = f"GRANT CREATE ON DATABASE {database} and ON SCHEMA public to the role"
        yield Finding("fail", what, "the role may not create tables and schemas there", todo)
    yield from _clock(what, now, before, after)


def _clock(what: str, there: datetime, before: datetime, after: datetime) -> Iterator[Finding]:
    """``there`` was read between the two; only what lies outside of them is the clock's fault."""
    apart = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    if apart > CLOCK_SECONDS:
        todo = "let both machines follow a time server"
        yield Finding("warn", "clock", f"that of {what} is {apart:.1f} s away from this machine's", todo)
    else:
        yield Finding("ok", "clock", f"that of {what} is this machine's")


def _redis(url: str, what: str) -> Iterator[Finding]:
    with redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
        info: dict[str, Any] = client.info()
        before = datetime.now(UTC)
        seconds, micros = client.time()
        after = datetime.now(UTC)
    version_told = info.get("valkey_version") or info["redis_version"]
    yield Finding("ok", what, f"Redis {version_told} answers, {info['used_memory'] / 1e6:,.0f} MB used")
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        level: Level = "fail" if info.get("maxmemory") else "warn"
        said = f"maxmemory-policy is {policy}: a full Redis would lose lists and opt-outs without a word"
        yield Finding(level, what, said, "set maxmemory-policy noeviction")
    yield from _clock(what, datetime.fromtimestamp(seconds + micros / 1e6, UTC), before, after)


def _schema(found: Servers) -> Iterator[Finding]:
    with psycopg.connect(found.postgres_url, connect_timeout=SECONDS, row_factory=dict_row) as connection:
        now = applied_schema(connection)
    newest = newest_schema()
    if now > newest:
        raise HomeError(f"the database has schema {now}, this program knows {newest}: use the newer program.")
    if now < newest:
        yield Finding("warn", "schema", f"{now} of {newest}", "`recsys migrate`, or the next publish, brings it there")
    else:
        yield Finding("ok", "schema", f"{now} of {newest}")


def _published(found: Servers, home: Home) -> Iterator[Finding]:
    live = next((each for each in generations(found.postgres_url) if each.live), None)
    if live is None:
        yield Finding("warn", "published", "nothing is live yet", "`recsys run daily`")
        return
    age = datetime.now(UTC) - (live.flipped_at or live.created_at)
    said = f"generation {live.generation} for {live.day} is live, published {age.total_seconds() / 3600:,.0f} h ago"
    if age > STALE and home.config.last_day is None:
        yield Finding(
            "warn", "published", said, "see the runs in the Dagster UI: the last nights have failed or not run"
        )
    else:
        yield Finding("ok", "published", said)
