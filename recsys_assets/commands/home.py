"""`recsys init`, `up`, `down` and `status`: a home and what runs in it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from recsys_assets.commands.output import JSON, announcer, print_json, print_line, say
from recsys_assets.errors import StoreError
from recsys_assets.importers import FORMATS
from recsys_assets.local.liveness import conditions
from recsys_assets.local.state import Process
from recsys_assets.local.supervisor import down as stop_owner
from recsys_assets.local.supervisor import running, servers
from recsys_assets.logic.late_days import told
from recsys_assets.settings import Home, Settings, Source, init_home, load_settings, open_home
from recsys_assets.stores.alerts import undelivered
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.late_days import stale_days

# Options of `init` that a home which exists does not take, by the key that they fill.
_LATER = {"last_day": "--last-day", "shop_name": "--name", "sources": "--source"}
# What a line says of a process before its number.
_SAID = {"runs": "pid ", "silent": "DOES NOT ANSWER, pid ", "dead": "IS DEAD, was pid "}


def context() -> tuple[Settings, Home]:
    """Settings of the environment, and the home that they point at."""
    settings = load_settings()
    return settings, open_home(settings)


class _SourceType(click.ParamType[Source]):
    name = "FORMAT=PATH"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Source:
        """``contract=/data/*.csv`` → a source; a relative path is taken from here, once and for all."""
        format_, found, path = value.partition("=")
        if not (format_ and found and path):
            self.fail(f"{value!r} is not FORMAT=PATH", param, ctx)
        if format_ not in FORMATS:
            self.fail(f"{format_!r} is not a format; known are {', '.join(FORMATS)}", param, ctx)
        # A database's URL, and the word for the installed data set, are no paths.
        named = format_ == "sql" or (format_, path) == ("complete_journey", "package")
        return Source(format=format_, path=path if named else str(Path(path).expanduser().absolute()))


@click.command()
@click.option(
    "--first-day",
    required=True,
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day of the shop's events; no day before it can be computed.",
)
@click.option("--last-day", type=click.DateTime(["%Y-%m-%d"]), help="Last day of an archive; a running shop has none.")
@click.option("--time-zone", default="UTC", show_default=True, help="What a day is, for example Europe/Berlin.")
@click.option("--currency", default="EUR", show_default=True, help="The currency that everything is counted in.")
@click.option("--name", "shop_name", default="our shop", show_default=True, help="What e-mails call the shop.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=_SourceType(),
    help="Where the nightly run finds files: an importer's name and a path or glob. May be given several times.",
)
@click.option("--map", "map_file", type=click.Path(path_type=Path), help="Mapping file of the sources given here.")
@JSON
@click.pass_context
def init(
    ctx: click.Context,
    *,
    first_day: datetime,
    last_day: datetime | None,
    time_zone: str,
    currency: str,
    shop_name: str,
    sources: tuple[Source, ...],
    map_file: Path | None,
    as_json: bool,
) -> None:
    """Make a home: the folder (RECSYS_HOME) that holds all state of one shop."""
    settings = load_settings()
    if map_file is not None:
        if not sources:
            raise click.UsageError(
                "--map is the mapping file of a --source, and none is given. Name both, or use "
                "`recsys ingest mapped PATH --map FILE --keep` once the home is there."
            )
        mapping = str(map_file.expanduser().absolute())
        sources = tuple(source.model_copy(update={"map": mapping}) for source in sources)
    asked: dict[str, Any] = {
        "first_day": first_day.date(),
        "last_day": None if last_day is None else last_day.date(),
        "time_zone": time_zone,
        "currency": currency,
        "shop_name": shop_name,
        "sources": sources,
    }
    before = (settings.home / "home.toml").exists()
    ignored: list[str] = []
    if before:
        # What was not asked for is no other wish than what the home has.
        config = open_home(settings).config
        given = {n for n in asked if ctx.get_parameter_source(n) is click.core.ParameterSource.COMMANDLINE}
        asked = {name: value if name in given else getattr(config, name) for name, value in asked.items()}
        ignored = [name for name in asked if name in _LATER and asked[name] != getattr(config, name)]
    home = init_home(settings, **asked)
    if as_json:
        told = {"home": home.path, "made": not before, "secret_fingerprint": home.config.secret_fingerprint}
        print_json(told | {"ignored": [_LATER[name] for name in ignored]})
        return
    say(f"{home.path} {'is a home already; it stays as it is' if before else 'is a home now'}.")
    if ignored:
        options = " and ".join(_LATER[name] for name in ignored)
        say(f"Ignored: {options}. Its home.toml says otherwise: edit {home.path / 'home.toml'}.")
    if not settings.secret:
        say(f"Keep a copy of {home.path / 'secret'}: without it no id can be joined to its key.")
    if home.config.sources:
        say("Next: `recsys run history` lands what the sources hold; `recsys run daily` publishes the first lists.")
    else:
        say("Next: `recsys ingest auto PATH --check` says how a file of yours is read.")


@click.command()
@JSON
def up(as_json: bool) -> None:
    """Run everything (servers, Dagster, MLflow, API, docs) until Ctrl-C, and print the addresses."""
    from recsys_assets.local.up import up as run

    settings, home = context()
    run(settings, home, announcer(as_json), list_json if as_json else list_readable)


def list_readable(processes: Sequence[Process]) -> None:
    """Prints one line per program: its name, and its address where it has one."""
    for process in processes:
        click.echo(f"{process.name:<18} {process.address}".rstrip())


def list_json(processes: Sequence[Process]) -> None:
    """Prints one line for them all."""
    print_line({"processes": [vars(process) for process in processes]})


@click.command()
@JSON
def down(as_json: bool) -> None:
    """Stop what `recsys up` runs for this home."""
    _settings, home = context()
    stopped = stop_owner(home)
    if as_json:
        print_json({"stopped": stopped})
    else:
        say("stopped" if stopped else f"nothing runs for {home.path}")


@click.command()
@JSON
def status(as_json: bool) -> None:
    """Say what runs and answers, which generation is live, for which day, and how old it is."""
    settings, home = context()
    found = _status(settings, home)
    if as_json:
        print_json(found)
    else:
        say(_readable(found))
    if found["away"]:
        raise StoreError(str(found["away"]))


def _status(settings: Settings, home: Home) -> dict[str, object]:
    state = running(home)
    looks = [] if state is None else conditions(state)
    live, away = None, ""
    # A home whose Postgres was never made has published nothing: no need to make one.
    if settings.postgres_url or (home.path / "postgres").exists():
        from recsys_assets.stores.publishing import generations

        try:
            with servers(settings, home) as found:
                live = next((g for g in generations(found.postgres_url) if g.live), None)
        except StoreError as error:  # what runs is told all the same
            away = str(error)
    return {
        "home": str(home.path),
        "owner": None if state is None else state.owner,
        "processes": [{**vars(look.process), "state": look.state} for look in looks],
        "away": away,
        "alerts": undelivered(home.path),
        "live": None if live is None else _published(live.generation, live.day, live.created_at, live.model_version),
        "changed_days": stale_days(Lake(home.lake_url), home.config, yesterday(home, datetime.now(UTC))),
    }


def _published(generation: int, day: date, created_at: datetime, model_version: str) -> dict[str, object]:
    return {
        "generation": generation,
        "day": day.isoformat(),
        "model_version": model_version,
        "created_at": created_at.isoformat(),
        "age_seconds": int((datetime.now(UTC) - created_at).total_seconds()),
    }


def _readable(found: dict[str, object]) -> str:
    lines = [f"home   {found['home']}"]
    processes, live = found["processes"], found["live"]
    assert isinstance(processes, list)
    if processes:
        lines.append(f"runs   under process {found['owner']}")
        lines += [f"       {p['name']:<18} {p['address'] or '-':<22} {_SAID[p['state']]}{p['pid']}" for p in processes]
    else:
        lines.append("runs   nothing; `recsys up` starts everything")
    if isinstance(live, dict):
        lines.append(f"live   generation {live['generation']} for {live['day']}, model {live['model_version']}")
        lines.append(f"       published {age_of(live['age_seconds'])} ago")
    else:
        lines.append("live   " + ("not known" if found["away"] else "nothing has been published yet"))
    alerts = found["alerts"]
    assert isinstance(alerts, dict)
    if alerts["problem"]:
        lines.append(f"alerts NOT DELIVERED since {alerts['since']}: {alerts['problem']}")
    lines += [f"alerts LOST at {lost['at']}: {lost['what']}" for lost in alerts["lost"]]
    changed = found["changed_days"]
    assert isinstance(changed, list)
    lines.append(f"days   {told(changed)}")
    return "\n".join(lines)


def yesterday(home: Home, now: datetime) -> date:
    """The last whole day of the shop; of an archive, its last one."""
    newest = now.astimezone(ZoneInfo(home.config.time_zone)).date() - timedelta(1)
    return min(newest, home.config.last_day) if home.config.last_day else newest


def age_of(seconds: int) -> str:
    """One unit, rounded down.

    >>> age_of(59), age_of(7200), age_of(200_000)
    ('59 s', '2 h', '2 d')
    """
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


COMMANDS = (init, up, down, status)
