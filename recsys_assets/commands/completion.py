"""`recsys completion`: the script by which a shell completes our commands and options."""

import click
from click.shell_completion import get_completion_class

from recsys_assets.commands.output import JSON, print_json


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@JSON
@click.pass_context
def completion(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print the completion script of a shell; `eval "$(recsys completion bash)"` uses it."""
    made = get_completion_class(shell)
    assert made is not None
    script = made(ctx.find_root().command, {}, "recsys", "_RECSYS_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        print(script)


COMMANDS = (completion,)
