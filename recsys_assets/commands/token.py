"""`recsys token …`: who may see profiles and listings over the API, and may write."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, WholeHelps, plain, print_json
from recsys_assets.local.supervisor import servers
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import SCOPES, Kept, Made, Tokens

_LONGEST_NAME = 64


@contextmanager
def _tokens() -> Iterator[Tokens]:
    """The home's tokens, its servers running."""
    settings, home = context()
    with servers(settings, home) as found:
        yield Tokens(Postgres(found.postgres_url))


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > _LONGEST_NAME:
        raise click.BadParameter(f"a name has 1 to {_LONGEST_NAME} printable characters")
    return value


@click.group(cls=WholeHelps)
def token() -> None:
    """Tokens of the API: for profiles, listings, and writes."""


@token.command("make")
@click.argument("name", callback=_name)
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES),
    help="profiles: of one person; listings: of many; writes: opt-out, opt-in, erasure. May be given several times.",
)  # fmt: skip
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 3650), help="How long it is taken.")
@JSON
def make_command(name: str, scopes: tuple[str, ...], days: int, as_json: bool) -> None:
    """Make a token, and print it, this once."""
    with _tokens() as tokens:
        _say_made(tokens.make(name, sorted(set(scopes), key=SCOPES.index), timedelta(days)), as_json)


@token.command("list")
@JSON
def list_command(as_json: bool) -> None:
    """Every token: its number, name, scopes, and until when it is taken."""
    with _tokens() as tokens:
        found = tokens.all()
    if as_json:
        print_json([plain(kept) | {"expired": expired} for kept, expired in found])
        return
    for kept, expired in found:
        print(_line(kept) + ("  (expired)" if expired else ""))
    if not found:
        print("no token yet: `recsys token make NAME --scope …`")


@token.command("rotate")
@click.argument("name")
@click.option(
    "--overlap", default=24, show_default=True, type=click.IntRange(0, 24 * 90), metavar="HOURS",
    help="How long the token before it is still taken.",
)  # fmt: skip
@JSON
def rotate_command(name: str, overlap: int, as_json: bool) -> None:
    """Make another token of the same scopes in place of one, and print it, this once."""
    with _tokens() as tokens:
        _say_made(tokens.rotate(name, timedelta(hours=overlap)), as_json)
    if not as_json:
        print(f"The token before it is taken for {overlap} h more." if overlap else "The one before it has ended.")


@token.command("revoke")
@click.argument("word", metavar="TOKEN")
@JSON
def revoke_command(word: str, as_json: bool) -> None:
    """End the tokens of a name, or the one of a number, now."""
    with _tokens() as tokens:
        gone = tokens.revoke(word)
    if as_json:
        print_json([plain(kept) for kept in gone])
        return
    for kept in gone:
        print(f"revoked {_line(kept)}")
    print("Every API process that reaches Postgres refuses it within a second; one that does not, when it expires.")


def _say_made(made: Made, as_json: bool) -> None:
    if as_json:
        print_json(plain(made))
        return
    print(made.token)
    days = (made.expires_at - datetime.now(UTC)).days
    print(f"for {made.name}: {', '.join(made.scopes)}; until {made.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, "
          f"in {days} days. It is shown this once: only its hash is kept.")  # fmt: skip


def _line(kept: Kept) -> str:
    until = kept.expires_at.astimezone(UTC)
    return f"{kept.number}  {kept.name:<20} {','.join(kept.scopes):<24} until {until:%Y-%m-%d %H:%M} UTC"


COMMANDS = (token,)
