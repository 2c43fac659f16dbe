"""Every word of `recsys`: the module of its command, and its help. No module is loaded for a word that is not used.

All of them together take a second to load, which each command and each `--help` would wait for. A test holds the
helps against the commands' own.
"""

from collections.abc import Mapping
from importlib import import_module

import click

WORDS: Mapping[str, tuple[str, str]] = {
    "alert": ("alert", "Messages about failed runs."),
    "backup": (
        "backup",
        "Write the home into one new file: databases, lake, models, home.toml. PATH is the file, or a folder for it.",
    ),
    "benchmark": ("benchmark", "Measure the models on a public split, or on a shop's own history."),
    "compare": (
        "compare",
        "Compare lists: A and B are computed days, or `live` (B, unless given): figures, churn, price mix.",
    ),
    "completion": ("completion", 'Print the completion script of a shell; `eval "$(recsys completion bash)"` uses it.'),
    "connect": ("connect", "Make a role that only reads, for analysts and BI, and print its URL and a psql line."),
    "contract": ("ingest", "Print what the shop's files should hold: the page, or the JSON Schema of one row."),
    "copy": (
        "copy",
        "The words beside offers: from a language model where RECSYS_LLM_URL is set, else from templates.",
    ),
    "demo": ("demo", "Run a whole day on Complete Journey: 1.47 million real purchase lines of 2,469 households."),
    "doctor": (
        "doctor",
        "Look at settings, home, servers, versions, disk and clock; exit code 1 where something fails.",
    ),
    "down": ("home", "Stop what `recsys up` runs for this home."),
    "email": ("email", "E-mails from the templates of templates/email."),
    "explain": ("explain", "Say why products are on a person's newest list, or why PRODUCT is not."),
    "export": ("export", "Write the lists of a whole generation to one file: one row per person and product."),
    "export-person": (
        "export",
        "Print everything that is held about one person, as JSON: for whoever asks what a shop knows of them.",
    ),
    "forget": ("people", "Erase what is published about this person, for good."),
    "generations": ("publishing", "List what was published, newest first."),
    "ingest": (
        "ingest",
        "Land what a shop delivers: PATH is a file, a folder or a glob; for the format sql, a database's URL.",
    ),
    "init": ("home", "Make a home: the folder (RECSYS_HOME) that holds all state of one shop."),
    "keys": ("export", "Print the key of each id, as CSV: what exports, tables and listings call these people."),
    "migrate": (
        "migrate",
        "Bring the home's layout and the database's schema to this program's versions; there is no way back.",
    ),
    "openapi": ("openapi", "Print the API's OpenAPI document; needs no home and no servers."),
    "optin": ("people", "Undo an opt-out."),
    "optout": ("people", "No more lists for this person, from now on."),
    "products": ("products", "Sold out, restocked, repriced: between two catalogues."),
    "receipt": ("people", "What an opt-out, opt-in or erasure has removed where and when, and what follows."),
    "rejected": ("ingest", "Rows that break the contract."),
    "requests": (
        "people",
        "List people's wishes with state and age: overdue ones first, then open ones, then those that are done.",
    ),
    "restore": (
        "backup",
        "Make the home of RECSYS_HOME, a new folder, from a backup. Opt-outs since then have to be accounted for.",
    ),
    "retention": (
        "retention",
        "Drop the days of the lake that are older than retention_days and keep_as_of_days of home.toml.",
    ),
    "rollback": ("publishing", "Make an earlier generation live again."),
    "run": ("run", "Run a job and watch it; the Dagster UI shows the run too."),
    "search": ("search", "What the search for better knobs found; `recsys run search` looks for them."),
    "show": ("show", "Print a person's history, profile and list, with reasons."),
    "simulate": (
        "simulate",
        "Write a made shop: events, catalogue and users files in FOLDER/files, the truth in FOLDER/truth.",
    ),
    "status": ("home", "Say what runs and answers, which generation is live, for which day, and how old it is."),
    "suppressions": (
        "backup",
        "Opt-outs and erasures as a file, which outlives the database. It holds no id and no key.",
    ),
    "token": ("token", "Tokens of the API: for profiles, listings, and writes."),
    "up": ("home", "Run everything (servers, Dagster, MLflow, API, docs) until Ctrl-C, and print the addresses."),
    "verify": (
        "verify",
        "Compare what Postgres, Redis and the lake hold, row by row; exit code 1 where they differ. Changes nothing.",
    ),
    "warm": ("publishing", "Bring Redis up to date from Postgres, after it was emptied or away."),
}


class Words(click.Group):
    """A group whose commands are loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's own signature
        """All words, sorted."""
        return sorted(WORDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's own signature
        """The command of a word; None where there is none."""
        return _loaded(cmd_name) if cmd_name in WORDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's own signature
        """The words with their whole helps: cut ones say too little on a narrow terminal."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in sorted(WORDS.items())])


def _loaded(name: str) -> click.Command:
    module = import_module(f"recsys_assets.commands.{WORDS[name][0]}")
    found: click.Command = next(command for command in module.COMMANDS if command.name == name)
    return found
