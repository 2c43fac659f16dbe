"""What a command says: sentences for people or, with ``--json``, JSON for programs."""

import dataclasses
import json
import shutil
import sys
import textwrap
from collections.abc import Callable
from datetime import date
from typing import Any

import click


class WholeHelps(click.Group):
    """A group that lists its commands with their whole helps: cut ones say too little on a narrow terminal."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_line(command)) for name, command in found.items() if command])


def first_line(command: click.Command) -> str:
    """Of a command's help."""
    return (command.help or "").partition("\n")[0]


JSON = click.option("--json", "as_json", is_flag=True, help="The same for programs.")


def as_text(value: object) -> str:
    """A value inside JSON that JSON has no form for.

    >>> as_text(date(2024, 3, 1))
    '2024-03-01'
    """
    return value.isoformat() if isinstance(value, date) else str(value)


def plain(value: Any) -> dict[str, Any]:
    """A frozen value of ours as JSON's types; what is inside it too."""
    found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(value), default=as_text))
    return found


def print_json(value: object) -> None:
    """One object (or list), over several lines."""
    print(json.dumps(value, indent=1, default=as_text))


def print_line(value: object) -> None:
    """One object of a stream: on a line of its own, at once."""
    print(json.dumps(value, default=as_text), flush=True)


def say(text: str, *, err: bool = False) -> None:
    """Prints sentences for people. On a terminal no line is longer than it is wide, and no word is broken."""
    stream = sys.stderr if err else sys.stdout
    click.echo(wrapped(text, shutil.get_terminal_size().columns) if stream.isatty() else text, err=err)


def wrapped(text: str, columns: int) -> str:
    """Lines of at most ``columns``, but for words that are longer; what follows of a line stands two further in.

    A command on a line of its own, and all that follows an empty line, are there to be copied: they stay as they are.

    >>> print(wrapped("  warning: the day is empty", 20))
      warning: the day
        is empty
    """
    told, gap, copied = text.partition("\n\n")
    lines = []
    for line in told.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        if line.startswith(f"{indent}recsys ") and indent:
            lines.append(line)
        else:
            lines += textwrap.wrap(
                line, columns, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False,
                replace_whitespace=False,
            ) or [""]  # fmt: skip
    return "\n".join(lines) + gap + copied


def announcer(as_json: bool) -> Callable[[str], None]:
    """Says how something long goes on: the sentence, or ``{"message": sentence}`` on a line of its own."""
    return (lambda text: print_line({"message": text})) if as_json else say
