"""`recsys …`: every command, and what a person sees when one fails.

Exit codes: 0 it is done; 1 somebody has to mend something; 2 the command line is wrong; 3 a store is away and the same
call may work later; 130 interrupted (Ctrl-C); 143 terminated. With ``--json`` a failure is one object on stderr:
``{"error": {"kind": …, "message": …}}``.
"""

import errno
import json
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from itertools import takewhile
from typing import TYPE_CHECKING

import click

from recsys_assets.commands.output import say
from recsys_assets.commands.words import Words
from recsys_assets.errors import RecsysError, TransientError
from recsys_assets.local.signals import terminable

if TYPE_CHECKING:
    from polars.exceptions import PolarsError

EXIT_ERROR = 1
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
EXIT_RETRY = 3
EXIT_INTERRUPTED = 130


@click.group(cls=Words, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="recsys-assets")
def recsys() -> None:
    """Tomorrow's products for every person in a shop.

    Exit codes: 0 done; 1 somebody has to mend something; 2 wrong command line; 3 a store is away, try again later;
    130 interrupted; 143 terminated.
    """


def main() -> None:
    """Entry point: a mistake is one message on stderr and an exit code, never a traceback."""
    as_json = _wants_json(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # no locale lacks so much that a command should fail on a character
    try:
        try:
            with terminable():
                recsys(prog_name="recsys", standalone_mode=False)
        except _of_files() as error:
            from recsys_assets.stores.files import trouble

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
            say(f"recsys: {message}", err=True)
        sys.exit(EXIT_RETRY if isinstance(error, TransientError) else EXIT_ERROR)
    except (click.Abort, KeyboardInterrupt) as error:
        if as_json:
            _fail_json(error, "interrupted")
        else:
            click.echo("recsys: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _of_files() -> "tuple[type[OSError]] | tuple[type[OSError], type[PolarsError]]":
    """Errors of reading files. A lazy frame reads them where it is collected; without polars none was."""
    polars = sys.modules.get("polars")
    return (OSError, polars.exceptions.PolarsError) if polars else (OSError,)


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
