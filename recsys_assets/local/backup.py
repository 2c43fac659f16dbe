"""A home in one file, and a home from it.

In it: ``home.toml``, the three databases, MLflow's artifacts, the lake where it is a folder, and the secret where asked
for. Not in it: Redis (made again from Postgres), logs, data docs, exports, the shop's own files, a lake in a bucket.

Databases come first and files after: what a database names has then been written. A publish or a landing that runs
meanwhile is in the backup whole or not at all.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from recsys_assets.errors import HomeError, RefusedError, SourceError
from recsys_assets.identity import KeyRing
from recsys_assets.local.archive import MANIFEST, Reader, Writer, reading
from recsys_assets.local.dump import dump, load
from recsys_assets.local.state import Lock, held
from recsys_assets.local.supervisor import DATABASES, Servers, servers
from recsys_assets.scratch import is_scratch, scratch, settle, write_private
from recsys_assets.settings import LAYOUT_VERSION, Home, HomeConfig, Settings, make_private, newer_layout, read_config
from recsys_assets.stores import wishes
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.files import S3
from recsys_assets.stores.manifests import MANIFESTS
from recsys_assets.stores.postgres import Postgres, applied_schema, refuse_newer
from recsys_assets.stores.publishing import Publisher, generations

FORMAT = 1
RESTORING = "restoring"  # a folder whose restore has not finished
_LOCK, _APPEARING = "restore.lock", "appearing"  # in it; the second one names the lake that is put in its place
# Numbers between a backup and its restore may have been used since: recommendation ids are made from them.
SKIPPED_GENERATIONS = 1_000
# Columns of MLflow that hold where the artifacts stand.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
Say = Callable[[str], object]


@dataclass(frozen=True)
class BackedUp:
    """What a backup holds. ``made_at``: wishes (opt-outs, erasures) made later are not in it."""

    path: Path
    made_at: datetime
    bytes: int
    files: int
    lake: bool
    secret: bool


@dataclass(frozen=True)
class Restored:
    """A home that was restored. ``wishes`` were not in the backup; ``live`` is the live generation, 0: none."""

    home: Path
    made_at: datetime
    files: int
    wishes: int
    live: int
    lake: bool


def back_up(home: Home, found: Servers, to: Path, say: Say, *, secret: bool = False) -> BackedUp:
    """Writes one file, which appears whole or not at all; a folder gets one named by the time.

    Raises:
        RefusedError: there is a file of that name.
        HomeError: there is no pg_dump as new as a server.
        StoreError: a server does not answer, or a file went away meanwhile.
    """
    now = datetime.now(UTC)
    path = to / f"recsys-{now:%Y%m%dT%H%M%SZ}.tar" if to.is_dir() else to
    lake = not home.lake_url.startswith(S3)
    if not path.parent.is_dir():
        raise RefusedError(f"{path.parent} is not a folder.")
    with Writer(path) as archive:
        with Postgres(found.postgres_url).connect() as connection:
            schema = refuse_newer(applied_schema(connection))
        for name, url in zip(DATABASES, found.databases, strict=True):
            say(f"database {name}")
            file = archive.scratch / name
            dump(url, file)
            archive.add(f"databases/{name}", file)
            file.unlink()
        archive.add("home.toml", home.path / "home.toml")
        if secret:
            archive.add_text("secret", home.keys.secret.decode())
        say("files")
        count = 0
        for name, file in _files(home, lake=lake):
            archive.add(name, file)
            count += 1
        told = {
            "format": FORMAT, "made_at": now.isoformat(), "program": version("recsys-assets"),
            "layout": home.config.layout, "schema": schema, "artifacts": home.artifacts.as_uri(),
            "lake": "in it" if lake else home.lake_url, "secret_fingerprint": home.config.secret_fingerprint,
        }  # fmt: skip
        archive.finish(told)
    return BackedUp(path, now, path.stat().st_size, count, lake, secret)


def _files(home: Home, *, lake: bool) -> Iterator[tuple[str, Path]]:
    """Name and place of each file. Deliveries first: what they count has landed before them.

    Manifests last: they know what a file was before, too.
    """
    yield from _below(home.artifacts, "mlflow")
    if lake:
        yield from _below(home.lake / "deliveries", "lake/deliveries")
        for folder in sorted(home.lake.iterdir()) if home.lake.exists() else ():
            if folder.name not in ("deliveries", MANIFESTS) and folder.is_dir() and not is_scratch(folder.name):
                yield from _below(folder, f"lake/{folder.name}")
        yield from _below(home.lake / MANIFESTS, f"lake/{MANIFESTS}")


def _below(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield f"{name}/{path.relative_to(folder).as_posix()}", path


def restore(settings: Settings, path: Path, later: Path | None, secret: str, say: Say) -> Restored:
    """Makes ``settings.home`` from a backup. ``later`` is a list of wishes, which may be newer than the backup.

    ``secret``: the text of the secret, where neither the backup nor the settings hold it. The home is made in a
    folder beside and appears whole; a restore that was cut off is started again.

    Raises:
        SourceError: the backup or the list cannot be read, or is damaged.
        HomeError: there is a home already, the secret is missing or another one, or the backup is newer than we are.
        RefusedError: a database of the settings is not empty, or the list is older than the backup.
        StoreError: a server does not come up or does not answer.
    """
    target = settings.home
    _refuse_full(target, "RECSYS_HOME", cut_off=bool(_appearing(target)))
    say(f"verifying {path}")
    with reading(path) as archive:
        about = _about(archive.manifest, path)
        if about.format != FORMAT:
            raise HomeError(f"{path} has format {about.format}; this program reads format {FORMAT}.")
        if about.layout > LAYOUT_VERSION:
            raise newer_layout(path, about.layout)
        refuse_newer(about.db_schema)
        _refuse_unknown(archive, path)
        config = read_config(archive.text("home.toml"), f"home.toml of {path}")
        keys = _keys(settings, archive, secret, config)
        home = Home(target, config, keys, settings.lake_url or str(target / "lake"))
        lake = about.lake == "in it"
        _check_lake(home, about.lake, lake=lake)
        wanted = _later(later, about.made_at, keys)
        with _made(target, home) as made:
            # A lake that stands elsewhere is made beside its place, too.
            elsewhere = lake and not home.lake.is_relative_to(target)
            lake_made = _beside(home.lake) if elsewhere else made / "lake"
            (made / "secret").unlink(missing_ok=True)
            if not settings.secret:
                write_private(made / "secret", keys.secret.decode() + "\n")
            say("files")
            cut_off = False
            for folder in (made / "mlflow", lake_made):
                if folder.exists():
                    cut_off = True
                    shutil.rmtree(folder)
                folder.mkdir(parents=True, mode=0o700)
            names = [name for name in archive.names if name.startswith(("lake/", "mlflow/"))]
            for name in names:
                top, _, _ = name.partition("/")
                archive.extract(name, {"lake": lake_made, "mlflow": made / "mlflow"}[top], f"{top}/")
            made_settings, made_home = replace(settings, home=made), replace(home, path=made, lake_url=str(lake_made))
            with servers(made_settings, made_home) as found, scratch(made) as folder:
                for name, url, own in zip(DATABASES, found.databases, _embedded(settings), strict=True):
                    say(f"database {name}")
                    if cut_off and own:
                        _empty(url)
                    file = archive.extract(f"databases/{name}", folder, "databases/")
                    load(url, file)
                    file.unlink()
                _move_artifacts(found.mlflow_postgres_url, about.artifacts, home.artifacts.as_uri())
                say("opt-outs and erasures")
                added, live = _put_in_order(found, keys, wanted)
            write_private(made / "home.toml", archive.text("home.toml"))
            write_private(made / _APPEARING, home.lake_url)
            os.sync()
            if elsewhere:
                appear(lake_made, home.lake)
    return Restored(target, about.made_at, len(names), added, live, lake)


class _About(BaseModel):
    """What a manifest says of its backup."""

    format: int
    made_at: AwareDatetime
    layout: int
    db_schema: int = Field(alias="schema")
    artifacts: str
    lake: str


def _about(manifest: Mapping[str, object], path: Path) -> _About:
    try:
        return _About.model_validate(manifest)
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
        raise SourceError(f"{path}: its {MANIFEST} is damaged ({wrong}). Use another backup.") from None


def _refuse_unknown(archive: Reader, path: Path) -> None:
    """Members that are no part of any backup, and parts that every backup has."""
    parts = {"home.toml", *(f"databases/{name}" for name in DATABASES)}
    if missing := sorted(parts - set(archive.names)):
        raise SourceError(f"{path} lacks {missing[0]}. Use another backup.")
    for name in archive.names:
        if name not in parts | {"secret"} and not name.startswith(("lake/", "mlflow/")):
            raise SourceError(f"{path}: {name!r} is not a member of a backup.")


def _beside(target: Path) -> Path:
    """Where a folder is made before it is whole: beside its place, or inside of one where another disk begins."""
    return target / RESTORING if target.is_mount() else target.with_name(f".{target.name}.{RESTORING}")


def appear(made: Path, target: Path) -> None:
    """Gives a finished folder its place: entry by entry where another disk begins there, ``home.toml`` last."""
    if made.parent != target:
        settle(made, target)
        left = target
    else:
        for entry in sorted(made.iterdir(), key=lambda entry: entry.name == "home.toml"):  # it makes the home
            if entry.name not in (_LOCK, _APPEARING):
                settle(entry, target / entry.name)
        left = made
    for name in (_LOCK, _APPEARING):
        (left / name).unlink(missing_ok=True)
    if left == made:
        made.rmdir()


def _appearing(target: Path) -> str:
    """The lake of a restore that was cut off while it put that and the home in their places; "" where there is none."""
    mark = _beside(target) / _APPEARING
    return mark.read_text() if mark.exists() else ""


def _take_back(made: Path, target: Path) -> None:
    """What an `appear` that was cut off has put in its place is unfinished again."""
    make_private(made)
    for entry in sorted(target.iterdir()) if target.exists() else ():
        if entry != made:
            entry.replace(made / entry.name)


@contextmanager
def _made(target: Path, home: Home) -> Iterator[Path]:
    """A folder that becomes ``target`` when the block ends without an error; the next restore goes on with its rest.

    Raises:
        RefusedError: another restore is making it.
    """
    made = _beside(target)
    make_private(made)
    lock = Lock(made / _LOCK)
    if not lock.take():
        raise RefusedError(f"another restore of {target} is running.")
    with held(lock):
        if lake := _appearing(target):
            _take_back(made, target)
            if lake == home.lake_url and not Path(lake).is_relative_to(target):
                _take_back(_beside(Path(lake)), Path(lake))
            (made / _APPEARING).unlink()
        yield made
        appear(made, target)


def _refuse_full(target: Path, setting: str, *, cut_off: bool) -> None:
    """``cut_off``: what stands there is of a restore that was."""
    if (target / "home.toml").exists():
        raise HomeError(f"{target} is a home already: restore into another folder ({setting}), then swap them.")
    if not cut_off and target.exists() and any(entry.name != RESTORING for entry in target.iterdir()):
        raise HomeError(f"{target} is not empty: restore into an empty folder ({setting}).")


def _check_lake(home: Home, place: str, *, lake: bool) -> None:
    if lake and home.lake_url.startswith(S3):
        raise HomeError(
            f"the backup holds the lake's files, and RECSYS_LAKE_URL is {home.lake_url}: restore into a folder, and "
            f"copy it to the bucket then."
        )
    if lake:
        _refuse_full(home.lake, "RECSYS_LAKE_URL", cut_off=_appearing(home.path) == home.lake_url)
    if not lake and home.lake_url != place:
        raise HomeError(f"the lake of this backup is {place}, which is not in it: set RECSYS_LAKE_URL to it.")


def _keys(settings: Settings, archive: Reader, secret: str, config: HomeConfig) -> KeyRing:
    given = settings.secret or secret or (archive.text("secret") if "secret" in archive.names else "")
    if not given:
        raise HomeError(
            "the backup was made without the secret: give it by RECSYS_SECRET or --secret-file. Without it no id has a "
            "key, and the backup is of no use."
        )
    keys = KeyRing(given.strip().encode())
    if keys.fingerprint() != config.secret_fingerprint:
        raise HomeError(
            f"the secret is not that of the backup (fingerprint {keys.fingerprint()}, expected "
            f"{config.secret_fingerprint})."
        )
    return keys


def _later(later: Path | None, made_at: datetime, keys: KeyRing) -> tuple[wishes.Wish, ...]:
    if later is None:
        return ()
    try:
        found = wishes.read_list(later.read_text(), str(later), keys)
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{later} cannot be read: {error}.") from None
    if found.made_at < made_at:
        raise RefusedError(
            f"{later} was made at {found.made_at:%Y-%m-%d %H:%M} UTC, before the backup ({made_at:%Y-%m-%d %H:%M} "
            "UTC): it cannot hold the wishes that the backup lacks."
        )
    return found.wishes


def _embedded(settings: Settings) -> tuple[bool, bool, bool]:
    return not settings.postgres_url, not settings.dagster_postgres_url, not settings.mlflow_postgres_url


def _empty(url: str) -> None:
    """Drops all that a restore which was cut off has put into a database of the home's own server."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'"
        ).fetchall()
        for (schema,) in found:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        connection.execute("CREATE SCHEMA public")


def _move_artifacts(url: str, before: str, after: str) -> None:
    """MLflow writes down where each artifact stands; in a home elsewhere that is another place."""
    if before == after:
        return
    with psycopg.connect(url) as connection:
        for table, column in _PLACES:
            there = connection.execute(
                "SELECT 1 FROM information_schema.columns WHERE table_name = %s AND column_name = %s "
                "AND table_schema = 'public'",
                [table, column],
            ).fetchone()
            if there:
                statement = sql.SQL(
                    "UPDATE {t} SET {c} = %(to)s || substr({c}, %(cut)s) WHERE starts_with({c}, %(of)s)"
                )
                values = {"to": after, "cut": len(before) + 1, "of": before}
                connection.execute(statement.format(t=sql.Identifier(table), c=sql.Identifier(column)), values)


def _put_in_order(found: Servers, keys: KeyRing, wanted: tuple[wishes.Wish, ...]) -> tuple[int, int]:
    """Suppressions first, then Redis from Postgres; how many wishes were new, and the live generation (0: none)."""
    postgres, cache = Postgres(found.postgres_url), Cache(found.redis_url)
    try:
        added = wishes.apply(postgres, cache, keys, wanted)
        with postgres.connect() as connection:
            connection.execute(
                "SELECT setval(pg_get_serial_sequence('generations', 'generation'), max(generation) + %s) "
                "FROM generations HAVING max(generation) IS NOT NULL",
                [SKIPPED_GENERATIONS],
            )
        live = next((g.generation for g in generations(found.postgres_url) if g.live), 0)
        if live:
            Publisher(postgres, cache, keys).warm()
    finally:
        cache.close()
    return added, live
