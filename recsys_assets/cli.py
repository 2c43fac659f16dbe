"""`recsys …`: every command, and what a person sees when one fails."""

import sys

import click

from recsys_assets.commands import demo, email, home, ingest, people, publishing, run, show
from recsys_assets.errors import RecsysError

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="recsys-assets")
def recsys() -> None:
    """Tomorrow's products for every person in a shop."""


for module in (home, ingest, run, publishing, people, show, email, demo):
    for command in module.COMMANDS:
        recsys.add_command(command)


def main() -> None:
    """Entry point: a mistake is one message on stderr and exit code 1, never a traceback."""
    try:
        recsys(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RecsysError as error:
        click.echo(f"recsys: {error}", err=True)
        sys.exit(EXIT_ERROR)
    except (click.Abort, KeyboardInterrupt):
        click.echo("recsys: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
