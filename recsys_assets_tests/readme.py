"""The README's tables of assets, commands, settings and knobs, made from the code.

`python -m recsys_assets_tests.readme` rewrites them between their markers; a test compares.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import dagster as dg
from pydantic import BaseModel

from recsys_assets.settings import CHECKOUT, VARIABLES
from recsys_assets.tuning import Tuning

README = CHECKOUT / "README.md"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def assets(defs: dg.Definitions) -> str:
    """Group, name and what it is, in the order of the day."""
    order = ("events", "features", "models", "lists", "publishing", "marts")
    specs = sorted(defs.resolve_all_asset_specs(), key=lambda s: (order.index(s.group_name or ""), s.key))
    return table(
        ("asset", "stage", "what it holds"),
        [(f"`{s.key.to_user_string()}`", s.group_name or "", (s.description or "").splitlines()[0]) for s in specs],
    )


def commands(group: click.Group) -> str:
    """Every command with its arguments and first line of help."""
    return table(("command", "what it does"), list(_commands(group, "recsys")))


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, str]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            arguments = [str(p.metavar or p.name).upper() for p in command.params if isinstance(p, click.Argument)]
            yield f"`{' '.join([path, name, *arguments])}`", command.get_short_help_str(limit=200)


def settings() -> str:
    """Every environment variable."""
    return table(
        ("variable", "default", "what it is"),
        [(f"`{v.name}`", f"`{v.default}`" if v.default else "", v.what) for v in VARIABLES],
    )


def knobs() -> str:
    """Every knob by its dotted name, with its default."""
    return table(("knob", "default", "what it does"), list(_knobs(Tuning(), "")))


def knob_names() -> set[str]:
    """Every knob by its dotted name."""
    return {name.strip("`") for name, _, _ in _knobs(Tuning(), "")}


def _knobs(model: BaseModel, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _knobs(value, f"{prefix}{name}.")
        else:
            shown: object = round(value, 4) if isinstance(value, float) else value
            shown = list(value) if isinstance(value, tuple) else shown
            assert field.description, f"the knob {prefix}{name} has no description"
            yield f"`{prefix}{name}`", f"`{shown}`", field.description


def rendered(text: str, defs: dg.Definitions, group: click.Group) -> str:
    """The README's text with its tables made anew."""
    made = {"assets": assets(defs), "commands": commands(group), "settings": settings(), "knobs": knobs()}
    for name, content in made.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        assert found, f"README.md has no place for the table of {name}"
        text = before + begin + content + "\n" + end + after
    return text


def main() -> None:
    """Rewrites README.md."""
    from recsys_assets.cli import recsys
    from recsys_assets.definitions import defs

    path = Path(README)
    path.write_text(rendered(path.read_text(), defs(), recsys))


if __name__ == "__main__":
    main()
