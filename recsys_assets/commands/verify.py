"""`recsys verify`: whether Postgres, Redis and the lake agree, row by row."""

import sys

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, plain, print_json
from recsys_assets.local.supervisor import running, servers
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.verify import Verified, Verifier


@click.command()
@click.option("--generation", type=int, help="A kept generation; default: the live one.")
@JSON
def verify(generation: int | None, as_json: bool) -> None:
    """Compare what Postgres, Redis and the lake hold, row by row; exit code 1 where they differ. Changes nothing."""
    settings, home = context()
    redis_is_new = settings.embedded_redis and running(home) is None
    with servers(settings, home) as found:
        cache = Cache(found.redis_url)
        try:
            postgres = Postgres(found.postgres_url)
            lake = Lake(home.lake_url)
            verifier = Verifier(postgres, found.postgres_url, cache, lake, home.keys, redis_is_new=redis_is_new)
            done = verifier.verify(generation)
        finally:
            cache.close()
    if as_json:
        print_json({**plain(done), "agree": done.agree})
    else:
        _say(done)
    if not done.agree:
        sys.exit(1)


def _say(done: Verified) -> None:
    state = "live" if done.live else "kept"
    print(f"generation {done.generation} for {done.day}, {state}")
    for what, count in done.compared.items():
        print(f"  {what:<36} {count:>12,} compared")
    for note in done.notes:
        print(f"note: {note}")
    for one in done.differences:
        examples = "; ".join(one.first) + (" …" if one.count > len(one.first) else "")
        print(f"DIFFERS: {one.what} ({one.count:,}): {examples}")
    print("all agree" if done.agree else f"{len(done.differences)} kinds of differences")


COMMANDS = (verify,)
