"""`recsys optout`, `optin` and `forget`: one person's wish, at once; `recsys receipt`: what has become of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, plain, print_json
from recsys_assets.errors import NotFoundError, SettingsError
from recsys_assets.identity import KEY_PREFIX, id_problem
from recsys_assets.local.supervisor import servers
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.receipts import find
from recsys_assets.stores.suppressions import SETTLE_SECONDS, WISH_SECONDS, Suppressed, Suppressions

REMAINS = (
    "What follows: the lake (landing, clean and rejected events, sessions, features, lists), exports and mails are "
    "swept within a minute where `recsys up` runs, else by `recsys run erase`. The next training after the sweep drops "
    "the weight of the person's events from the models. Backups, and what Postgres has not vacuumed yet, hold their "
    "copies for as long as they are kept. The shop's own files are the shop's to mend: nothing is taken in from them "
    "again that is this person's."
)
WHAT = {"optout": "opt-out", "optin": "opt-in", "erasure": "erasure"}
ANON = click.option("--anon", is_flag=True, help="USER is an anonymous id (a cookie, a device).")


@contextmanager
def suppressions() -> Iterator[Suppressions]:
    """The home's suppressions, its servers running."""
    settings, home = context()
    with servers(settings, home, needs_redis=False) as found:  # Postgres is told first, whatever Redis does
        cache = Cache(found.redis_url)
        try:
            yield Suppressions(Postgres(found.postgres_url, WISH_SECONDS), cache, home.keys)
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
    print(f"receipt: {done.receipt}")
    print(f"{'erased' if done.erased else 'opted out'}: not served by any store since {_second(done.since)}")
    gone = f"{done.lists} lists, {done.profiles} profiles and {done.plans} plans removed"
    print(f"Postgres: {gone}, of all kept generations")
    gone = f"{done.cached} lists and {done.cached_plans} plans removed"
    if done.cache_problem is None:
        print(f"Redis: {gone}, marker set")
    else:
        print(
            f"Redis: {gone}, but it could not be told all ({done.cache_problem}). Every API "
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
    print(f"receipt: {done.receipt}")
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
    print("`recsys receipt` with the number says what has been removed where.")


@click.command()
@click.argument("number", metavar="ID")
@JSON
def receipt(number: str, as_json: bool) -> None:
    """What an opt-out, opt-in or erasure has removed where and when, and what follows."""
    settings, home = context()
    with servers(settings, home, needs_redis=False) as servers_:
        found = find(Postgres(servers_.postgres_url), number)
    if found is None:
        raise NotFoundError("there is no receipt with this number")
    if as_json:
        print_json(plain(found) | {"status": found.status, "follows": found.follows})
        return
    done = "not done yet" if found.done_at is None else f"done {_second(found.done_at)}"
    print(f"{WHAT[found.kind]} asked {_second(found.asked_at)}, effective for readers since; {done}")
    width = max((len(one.store) for one in found.stores), default=0)
    for one in found.stores:
        print(f"  {one.store:<{width}}  {one.count:>9,} removed  {_second(one.at)}")
    if found.weight_gone_with is not None:
        print(f"models: generation {found.weight_gone_with} is the first made by one trained without the person")
    for sentence in found.follows:
        print(f"to come: {sentence}")


def _second(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(sep=" ", timespec="seconds")


COMMANDS = (optout, optin, forget, receipt)
