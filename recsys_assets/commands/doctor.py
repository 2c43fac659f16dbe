"""`recsys doctor`: what is wrong here, and what to do."""

import sys

import click

from recsys_assets.commands.output import JSON, plain, print_json
from recsys_assets.local.doctor import examine


@click.command()
@JSON
def doctor(as_json: bool) -> None:
    """Look at settings, home, servers, versions, disk and clock; exit code 1 where something fails."""
    found = []
    for finding in examine():
        found.append(finding)
        if not as_json:
            click.echo(f"{finding.level:<5} {finding.what:<12} {finding.said}")
            if finding.todo:
                click.echo(f"{'':<18} → {finding.todo}")
    if as_json:
        print_json([plain(finding) for finding in found])
    if any(finding.level == "fail" for finding in found):
        sys.exit(1)


COMMANDS = (doctor,)
