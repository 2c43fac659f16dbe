"""`recsys optout`, `optin` and `forget`: one person's wish, at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, plain, print_json
from recsys_assets.errors import SettingsError
from recsys_assets.identity import KEY_PREFIX, id_problem
from recsys_assets.local.supervisor import servers
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.suppressions import SETTLE_SECONDS, Suppressed, Suppressions

REMAINS = (
    "Not erased by this version: the person's rows in the lake (landing, clean events, features, lists), which still "
    "hold the key, the weight of models trained on them, backups, what Postgres has not vacuumed yet, and the shop's "
    "own files. Every later publish leaves the person out. The erasure of the lake comes with a later version."
)
ANON = click.option("--anon", is_flag=True, help="USER is an anonymous id (a cookie, a device).")


@contextmanager
def suppressions() -> Iterator[Suppressions]:
    """The home's suppressions, its servers running."""
    settings, home = context()
    with servers(settings, home) as found:
        cache = Cache(found.redis_url)
        try:
            yield Suppressions(Postgres(found.postgres_url), cache, home.keys)
        finally:
            cache.close()


def key_of(user: str, anon: bool) -> str:
    """The key that USER means in the home: an id, or ``key:<hex>``.

    Raises:
        SettingsError: it cannot be an id.
    """
    if not user.startswith(KEY_PREFIX) and (why := id_problem(user)):
        raise SettingsError(f"this id {why}")
    return context()[1].keys.resolve(user, anonymous=anon)


def _say(done: Suppressed, as_json: bool) -> None:
    if as_json:
        print_json(plain(done))
        return
    since = done.since.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
    print(f"{'erased' if done.erased else 'opted out'}: not served by any store since {since}")
    print(f"Postgres: {done.lists} lists and {done.profiles} profiles removed, of all kept generations")
    if done.cache_problem is None:
        print(f"Redis: {done.cached} lists removed, marker set")
    else:
        print(
            f"Redis: {done.cached} lists removed, but it could not be told all ({done.cache_problem}). Every API "
            f"process that reaches Postgres has stopped trusting this Redis by now, {SETTLE_SECONDS:.0f} s after the "
            "opt-out, and reads Postgres. `recsys warm` or the next publish brings Redis up to date once it answers; "
            "until then keep from it any API process that does not reach Postgres."
        )


@click.command()
@click.argument("user")
@ANON
@JSON
def optout(user: str, anon: bool, as_json: bool) -> None:
    """No more lists for this person, from now on."""
    key = key_of(user, anon)
    with suppressions() as found:
        _say(found.optout(key), as_json)


@click.command()
@click.argument("user")
@ANON
@JSON
def optin(user: str, anon: bool, as_json: bool) -> None:
    """Undo an opt-out."""
    key = key_of(user, anon)
    with suppressions() as found:
        done = found.optin(key)
    if as_json:
        print_json(plain(done))
        return
    if not done.was_out:
        print("this person had not opted out; nothing was changed")
    if done.by_file:
        print("not served still: the users file says no, and only a later `consent` = true in it lifts that")
    if done.by_file or not done.was_out:
        return
    print("opted in: Postgres has forgotten the opt-out, and the list comes back with the next publish")
    if done.cache_problem is not None:
        print(f"Redis: could not be told ({done.cache_problem}); the next publish brings it up to date.")


@click.command()
@click.argument("user")
@ANON
@JSON
def forget(user: str, anon: bool, as_json: bool) -> None:
    """Erase what is published about this person, for good."""
    key = key_of(user, anon)
    with suppressions() as found:
        _say(found.forget(key), as_json)
    if as_json:
        return
    print("What stays in the stores is a mark, which cannot be turned back into the key or the id.")
    print(REMAINS)


COMMANDS = (optout, optin, forget)
