"""`recsys …`: every command, and what a person sees when one fails.

Exit codes: 0 it is done; 1 somebody has to mend something; 2 the command line is wrong; 3 a store is away and the same
call may work later; 130 interrupted (Ctrl-C); 143 terminated. With ``--json`` a failure is one object on stderr:
``{"error": {"kind": …, "message": …}}``.
"""

import errno
import json
import sys
from collections.abc import Sequence
from itertools import takewhile

import click
import polars as pl

from recsys_assets.commands import (
    alert,
    backup,
    benchmark,
    completion,
    copy,
    demo,
    doctor,
    email,
    explain,
    export,
    home,
    ingest,
    migrate,
    openapi,
    people,
    products,
    publishing,
    retention,
    run,
    search,
    show,
    simulate,
    token,
    verify,
)
from recsys_assets.errors import RecsysError, TransientError
from recsys_assets.local.signals import terminable
from recsys_assets.stores.files import trouble

EXIT_ERROR = 1
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
EXIT_RETRY = 3
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="recsys-assets")
def recsys() -> None:
    """Tomorrow's products for every person in a shop.

    Exit codes: 0 done; 1 somebody has to mend something; 2 wrong command line; 3 a store is away, try again later;
    130 interrupted; 143 terminated.
    """


for module in (
    home, ingest, run, search, retention, publishing, people, show, explain, email, doctor, migrate, backup, alert,
    completion, simulate, benchmark, openapi, products, export, copy, token, verify, demo,
):  # fmt: skip
    for command in module.COMMANDS:
        recsys.add_command(command)


def main() -> None:
    """Entry point: a mistake is one message on stderr and an exit code, never a traceback."""
    as_json = _wants_json(sys.argv[1:])
    try:
        try:
            with terminable():
                recsys(prog_name="recsys", standalone_mode=False)
        except (OSError, pl.exceptions.PolarsError) as error:  # files are read where a lazy frame is collected
            raise trouble(error) or error from None
    except click.ClickException as error:
        if as_json:
            _fail_json(error, error.format_message())
        else:
            error.show()
        sys.exit(error.exit_code)
    except (RecsysError, OSError) as error:
        message = str(error) if isinstance(error, RecsysError) else _of_file(error)
        if as_json:
            _fail_json(error, message)
        else:
            click.echo(f"recsys: {message}", err=True)
        sys.exit(EXIT_RETRY if isinstance(error, TransientError) else EXIT_ERROR)
    except (click.Abort, KeyboardInterrupt) as error:
        if as_json:
            _fail_json(error, "interrupted")
        else:
            click.echo("recsys: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _of_file(error: OSError) -> str:
    """What an error says of a file of the home, or of one that was named; any other is a mistake of ours."""
    if error.errno in _NO_ROOM:
        where = "a file" if error.filename is None else error.filename
        return f"{where} cannot be written: {error.strerror}. Make room on its disk, or let it be written to."
    if error.filename is None:
        raise error
    return f"{error.filename} cannot be used: {error.strerror}. Check that it is there, and its rights."


def _wants_json(words: Sequence[str]) -> bool:
    # Read from the words, because a command line that is wrong never gets as far as an option's value.
    return "--json" in takewhile(lambda word: word != "--", words)


def _fail_json(error: BaseException, message: str) -> None:
    told = {"error": {"kind": type(error).__name__, "message": message}}
    click.echo(json.dumps(told), err=True)


if __name__ == "__main__":
    main()
