"""`recsys generations`, `recsys rollback` and `recsys warm`."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from recsys_assets.commands.home import context
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
@click.option("--json", "as_json", is_flag=True, help="The same for programs.")
def generations(as_json: bool) -> None:
    """List what was published, newest first."""
    settings, home = context()
    with servers(settings, home) as found:
        known = publishing.generations(found.postgres_url)
    if as_json:
        print(json.dumps([vars(g) for g in known], default=lambda value: value.isoformat(), indent=1))
        return
    for g in known:
        print(f"{g.generation:>6}  {g.day}  {g.state:<8} model {g.model_version:<8} {g.people:>9,} people")
    if not known:
        print("nothing has been published yet")


@click.command()
@click.option("--to", type=int, help="Generation; default: the one before the live one.")
def rollback(to: int | None) -> None:
    """Make an earlier generation live again."""
    with publisher() as found:
        began = time.perf_counter()
        done = found.rollback(to)
        seconds = time.perf_counter() - began
        live = done.generation
        print(f"live: generation {live.generation} for {live.day}, model {live.model_version} ({seconds:.2f} s)")
        for problem in done.problems:
            print(f"Redis could not follow: {problem}. Readers use Postgres; `recsys warm` brings Redis up to date.")
        if not done.whole and not done.problems:
            print("Redis no longer holds it; filling it, while readers use Postgres …")
            print(f"{found.warm():,} values written to Redis")


@click.command()
def warm() -> None:
    """Bring Redis up to date from Postgres, after it was emptied or away."""
    with publisher() as found:
        count = found.warm()
    print(
        f"{count:,} values written to Redis" if count else "Redis holds the live generation; suppressions are applied"
    )


COMMANDS = (generations, rollback, warm)
