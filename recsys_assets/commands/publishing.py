"""`recsys generations`, `recsys rollback` and `recsys warm`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, plain, print_json, say
from recsys_assets.local.supervisor import servers
from recsys_assets.stores import publishing
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.postgres import Postgres


@contextmanager
def publisher() -> Iterator[publishing.Publisher]:
    """The home's publisher, its servers running."""
    settings, home = context()
    with servers(settings, home) as found:
        cache = Cache(found.redis_url)
        try:
            yield publishing.Publisher(Postgres(found.postgres_url), cache, home.keys)
        finally:
            cache.close()


@click.command()
@JSON
def generations(as_json: bool) -> None:
    """List what was published, newest first."""
    settings, home = context()
    with servers(settings, home) as found:
        known = publishing.generations(found.postgres_url)
    if as_json:
        print_json([plain(g) for g in known])
        return
    for g in known:
        say(f"{g.generation:>6}  {g.day}  {g.state:<8} model {g.model_version:<8} {g.people:>9,} people")
    if not known:
        say("nothing has been published yet")


@click.command()
@click.option("--to", type=int, help="Generation; default: the one before the live one.")
@JSON
def rollback(to: int | None, as_json: bool) -> None:
    """Make an earlier generation live again."""
    with publisher() as found:
        began = time.perf_counter()
        done = found.rollback(to)
        seconds = time.perf_counter() - began
        if as_json:
            fill = not done.whole and not done.problems
            print_json({**plain(done), "seconds": round(seconds, 3), "written": found.warm() if fill else 0})
            return
        live = done.generation
        say(f"live: generation {live.generation} for {live.day}, model {live.model_version} ({seconds:.2f} s)")
        for problem in done.problems:
            say(f"Redis could not follow: {problem}. Readers use Postgres; `recsys warm` brings Redis up to date.")
        if not done.whole and not done.problems:
            say("Redis no longer holds it; filling it, while readers use Postgres …")
            say(f"{found.warm():,} values written to Redis")


@click.command()
@JSON
def warm(as_json: bool) -> None:
    """Bring Redis up to date from Postgres, after it was emptied or away."""
    with publisher() as found:
        count = found.warm()
    if as_json:
        print_json({"written": count})
        return
    say(f"{count:,} values written to Redis" if count else "Redis holds the live generation; suppressions are applied")


COMMANDS = (generations, rollback, warm)
