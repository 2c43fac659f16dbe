"""`recsys backup`, `recsys restore` and `recsys suppressions`: a home in one file, and wishes that outlive it."""

from datetime import UTC, datetime
from pathlib import Path

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, WholeHelps, plain, print_json
from recsys_assets.errors import SourceError
from recsys_assets.local.backup import back_up
from recsys_assets.local.backup import restore as restore_home
from recsys_assets.local.supervisor import servers
from recsys_assets.scratch import write_out
from recsys_assets.settings import load_settings
from recsys_assets.stores import wishes
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.postgres import Postgres

FILE = click.Path(path_type=Path)


def _say(text: str) -> None:
    click.echo(text, err=True)


@click.command()
@click.argument("path", type=FILE)
@click.option(
    "--with-secret", is_flag=True, help="Put the secret into it: whoever reads the file can make keys of ids."
)
@JSON
def backup(path: Path, with_secret: bool, as_json: bool) -> None:
    """Write the home into one new file: databases, lake, models, home.toml. PATH is the file, or a folder for it."""
    settings, home = context()
    with servers(settings, home) as found:
        done = back_up(home, found, path.expanduser().absolute(), _say, secret=with_secret)
    if as_json:
        print_json(plain(done))
        return
    print(f"{done.path}: {done.bytes / 1e6:,.1f} MB, {done.files:,} files and three databases")
    if not done.lake:
        print(f"The lake, {home.lake_url}, is not in it: keep versions of the bucket.")
    if not done.secret:
        print(f"The secret is not in it (fingerprint {home.keys.fingerprint()}): keep it elsewhere, or all is lost.")
    print(
        f"Opt-outs and erasures after {_minute(done.made_at)} are not in it: `recsys suppressions export FILE`, run "
        "often and kept elsewhere, brings them back at a restore."
    )


@click.command()
@click.argument("path", type=FILE)
@click.option("--suppressions", "later", type=FILE, help="List of `recsys suppressions export`, newer than the backup.")
@click.option("--nobody-since", is_flag=True, help="You know that nobody opted out or was erased after the backup.")
@click.option("--secret-file", type=FILE, help="File with the secret, where the backup and RECSYS_SECRET lack it.")
@JSON
def restore(*, path: Path, later: Path | None, nobody_since: bool, secret_file: Path | None, as_json: bool) -> None:
    """Make the home of RECSYS_HOME, a new folder, from a backup. Opt-outs since then have to be accounted for."""
    if (later is None) != nobody_since:
        raise click.UsageError(
            "an older database has forgotten who opted out or was erased since: give --suppressions FILE (made by "
            "`recsys suppressions export` after the backup), or --nobody-since where you know that there was nobody."
        )
    secret = ""
    if secret_file is not None:
        try:
            secret = secret_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"{secret_file} cannot be read: {error}.") from None
    done = restore_home(load_settings(), path.expanduser().absolute(), later, secret, _say)
    if as_json:
        print_json(plain(done))
        return
    print(f"{done.home} is as it was at {_minute(done.made_at)}: {done.files:,} files, three databases")
    print(f"live: generation {done.live}" if done.live else "nothing was live")
    print(f"opt-outs and erasures that the backup did not know: {done.wishes:,} applied")
    if nobody_since:
        print("Who has opted out or was erased since is served again unless you were right that there is nobody.")
    print("Paths of the shop's files stand in home.toml as they were. Next: `recsys doctor`, then `recsys up`.")


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


@click.group(cls=WholeHelps)
def suppressions() -> None:
    """Opt-outs and erasures as a file, which outlives the database. It holds no id and no key."""


@suppressions.command()
@click.argument("path", type=FILE)
@JSON
def export(path: Path, as_json: bool) -> None:
    """Write everybody who is suppressed into a file, which replaces the one of before."""
    settings, home = context()
    with servers(settings, home, needs_redis=False) as found:
        made = wishes.exported(Postgres(found.postgres_url), home.keys, datetime.now(UTC))
    path = path.expanduser().absolute()
    write_out(path, made.text())
    if as_json:
        print_json({"path": path, "made_at": made.made_at, "people": len(made.wishes)})
    else:
        print(f"{path}: {len(made.wishes):,} opt-outs and erasures, as of {_minute(made.made_at)}")


@suppressions.command("apply")
@click.argument("path", type=FILE)
@JSON
def apply_command(path: Path, as_json: bool) -> None:
    """Suppress everybody in a file that `export` has made. It only adds: nobody is opted in."""
    settings, home = context()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {error}.") from None
    wanted = wishes.read_list(text, str(path), home.keys)
    with servers(settings, home) as found:
        cache = Cache(found.redis_url)
        try:
            added = wishes.apply(Postgres(found.postgres_url), cache, home.keys, wanted.wishes)
        finally:
            cache.close()
    if as_json:
        print_json({"people": len(wanted.wishes), "added": added})
    else:
        print(f"{len(wanted.wishes):,} opt-outs and erasures applied, {added:,} of them new")


COMMANDS = (backup, restore, suppressions)
