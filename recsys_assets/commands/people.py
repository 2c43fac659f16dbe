"""`recsys optout`, `optin`, `forget`: one person's wish, at once; `receipt`, `requests`: what has become of wishes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from recsys_assets.commands.home import age_of, context
from recsys_assets.commands.output import JSON, plain, print_json, say
from recsys_assets.errors import NotFoundError, RecsysError, SettingsError
from recsys_assets.identity import KEY_PREFIX, id_problem
from recsys_assets.local.supervisor import servers
from recsys_assets.settings import Home
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.person import asked_for, is_known
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.receipts import find
from recsys_assets.stores.receipts import requests as listed
from recsys_assets.stores.suppressions import SETTLE_SECONDS, WISH_SECONDS, Suppressed, Suppressions

REMAINS = (
    "What follows: the lake (landing, clean and rejected events, sessions, features, lists), exports and mails are "
    "swept within a minute where `recsys up` runs, else by `recsys run erase`. The next training after the sweep drops "
    "the weight of the person's events from the models. Backups, and what Postgres has not vacuumed yet, hold their "
    "copies for as long as they are kept. The shop's own files are the shop's to mend: nothing is taken in from them "
    "again that is this person's."
)
WHAT = {"optout": "opt-out", "optin": "opt-in", "erasure": "erasure"}
YES = click.option("--yes", is_flag=True, help="Record the wish of an id that nothing is known of, without asking.")
ANON = click.option("--anon", is_flag=True, help="USER is an anonymous id (a cookie, a device).")


@dataclass(frozen=True)
class _Stores:
    """What a wish is made in, and where its person is looked for."""

    home: Home
    postgres: Postgres
    cache: Cache

    @property
    def suppressions(self) -> Suppressions:
        return Suppressions(self.postgres, self.cache, self.home.keys)

    def knows(self, key: str) -> bool:
        """Whether anything is held about the key; yes where that cannot be told: a wish must not wait for it."""
        lake = Lake(self.home.lake_url)
        try:
            asked = asked_for(lake, key)
            return is_known(lake, self.postgres, self.cache, self.home.keys, self.home.exports, asked)
        except RecsysError:
            return True


@contextmanager
def _stores() -> Iterator[_Stores]:
    settings, home = context()
    with servers(settings, home, needs_redis=False) as found:  # Postgres is told first, whatever Redis does
        cache = Cache(found.redis_url)
        try:
            yield _Stores(home, Postgres(found.postgres_url, WISH_SECONDS), cache)
        finally:
            cache.close()


@contextmanager
def suppressions() -> Iterator[Suppressions]:
    """The home's suppressions, its servers running."""
    with _stores() as found:
        yield found.suppressions


def _demand_known(found: _Stores, user: str, key: str, *, anon: bool, ask: bool) -> None:
    """Stops at an id that nothing is known of: it is misspelt more often than not, and its person would stay.

    Raises:
        SettingsError: nothing is known of it, and nobody is there to say that it is right.
    """
    if found.knows(key):
        return
    said = f"no store and no file knows this {'anonymous id' if anon else 'user'}: is it spelt as in your files?"
    if not user.startswith(KEY_PREFIX) and found.knows(key_of(user, not anon)):
        said += f" It is known as {'a user: leave --anon out' if anon else 'an anonymous id: --anon'}."
    if not ask:
        raise SettingsError(f"{said} With --yes the wish is recorded, and holds for what comes later.")
    click.confirm(f"{said}\nRecord the wish all the same, for what comes later?", abort=True)


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
    say(f"receipt: {done.receipt}")
    say(f"{'erased' if done.erased else 'opted out'}: not served by any store since {_second(done.since)}")
    gone = f"{done.lists} lists, {done.profiles} profiles and {done.plans} plans removed"
    say(f"Postgres: {gone}, of all kept generations")
    gone = f"{done.cached} lists and {done.cached_plans} plans removed"
    if done.cache_problem is None:
        say(f"Redis: {gone}, marker set")
    else:
        say(
            f"Redis: {gone}, but it could not be told all ({done.cache_problem}). Every API "
            f"process that reaches Postgres has stopped trusting this Redis by now, {SETTLE_SECONDS:.0f} s after the "
            "opt-out, and reads Postgres. `recsys warm` or the next publish brings Redis up to date once it answers; "
            "until then keep from it any API process that does not reach Postgres."
        )


@click.command()
@click.argument("user")
@ANON
@YES
@JSON
def optout(user: str, anon: bool, yes: bool, as_json: bool) -> None:
    """No more lists for this person, from now on."""
    key = key_of(user, anon)
    with _stores() as found:
        if not yes:
            _demand_known(found, user, key, anon=anon, ask=not as_json and sys.stdin.isatty())
        _say(found.suppressions.optout(key), as_json)


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
    say(f"receipt: {done.receipt}")
    if not done.was_out:
        say("this person had not opted out; nothing was changed")
    if done.by_file:
        say("not served still: the users file says no, and only a later `consent` = true in it lifts that")
    if done.by_file or not done.was_out:
        return
    say("opted in: Postgres has forgotten the opt-out, and the list comes back with the next publish")
    if done.cache_problem is not None:
        say(f"Redis: could not be told ({done.cache_problem}); the next publish brings it up to date.")


@click.command()
@click.argument("user")
@ANON
@YES
@JSON
def forget(user: str, anon: bool, yes: bool, as_json: bool) -> None:
    """Erase what is published about this person, for good."""
    key = key_of(user, anon)
    with _stores() as found:
        if not yes:
            _demand_known(found, user, key, anon=anon, ask=not as_json and sys.stdin.isatty())
        _say(found.suppressions.forget(key), as_json)
    if as_json:
        return
    say("What stays in the stores is a mark, which cannot be turned back into the key or the id.")
    say(REMAINS)
    say("`recsys receipt` with the number says what has been removed where.")


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
    say(f"{WHAT[found.kind]} asked {_second(found.asked_at)}, effective for readers since; {done}")
    width = max((len(one.store) for one in found.stores), default=0)
    for one in found.stores:
        say(f"  {one.store:<{width}}  {one.count:>9,} removed  {_second(one.at)}")
    if found.weight_gone_with is not None:
        say(f"models: generation {found.weight_gone_with} is the first made by one trained without the person")
    for sentence in found.follows:
        say(f"to come: {sentence}")


@click.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Wishes at most.")
@JSON
def requests(limit: int, as_json: bool) -> None:
    """List people's wishes with state and age: overdue ones first, then open ones, then those that are done."""
    settings, home = context()
    with servers(settings, home, needs_redis=False) as found:
        wishes = listed(Postgres(found.postgres_url), limit)
    now = datetime.now(UTC)
    if as_json:
        ages = [{"state": one.state(now), "age_seconds": int((now - one.asked_at).total_seconds())} for one in wishes]
        print_json([plain(one) | more for one, more in zip(wishes, ages, strict=True)])
        return
    for one in wishes:
        state = one.state(now)
        shown = state.upper() if state == "overdue" else state
        age = age_of(int((now - one.asked_at).total_seconds()))
        say(f"{shown:<8} {WHAT[one.kind]:<8} {age:>7}  {one.receipt}")
    if any(one.done_at is None for one in wishes):
        say("`recsys up` follows open wishes by itself; else `recsys run erase` and `recsys warm` do.")
    if not wishes:
        say("nobody has asked for anything yet")


def _second(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(sep=" ", timespec="seconds")


COMMANDS = (optout, optin, forget, receipt, requests)
