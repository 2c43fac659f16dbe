"""`recsys connect`: how an analyst reads the marts with any program that speaks Postgres."""

import secrets
import shlex
from pathlib import Path

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, print_json, say
from recsys_assets.local.supervisor import servers
from recsys_assets.scratch import write_private
from recsys_assets.stores.readers import make_reader


@click.command()
@click.option("--people", is_flag=True, help="Lists, profiles and plans too, which are of people, by key.")
@click.option("--new-password", is_flag=True, help="Give the role another password; the old one ends.")
@JSON
def connect(people: bool, new_password: bool, as_json: bool) -> None:
    """Make a role that only reads, for analysts and BI, and print its URL and a psql line."""
    settings, home = context()
    password = _password(home.path / "reader.password", new=new_password)
    with servers(settings, home, needs_redis=False) as found:
        reader = make_reader(found.postgres_url, password, people=people)
    line = shlex.join(["psql", reader.url, "-c", "SELECT * FROM marts.sales_daily ORDER BY 1 DESC LIMIT 7"])
    if as_json:
        print_json({"role": reader.role, "made": reader.made, "people": people, "url": reader.url, "psql": line})
        return
    reads = "the marts, and products as they are live" + (", and what is of people, by key" if people else "")
    say(f"role  {reader.role}, {'made now' if reader.made else 'as it was made before'}: reads {reads}")
    for name, text in (("URL", reader.url), ("psql", line)):  # to be copied: never wrapped
        click.echo(f"{name:<5} {text}")
    if not settings.postgres_url:
        say("It answers while `recsys up` runs, on this machine, at the same port after every start.")


def _password(file: Path, *, new: bool) -> str:
    if new or not file.exists():
        write_private(file, secrets.token_urlsafe(24) + "\n")
    return file.read_text().strip()


COMMANDS = (connect,)
