"""The README's tables of assets, commands, settings and knobs, and the keys of home.toml, made from the code.

`python -m recsys_assets_tests.readme` rewrites them between their markers; a test compares.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import dagster as dg
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recsys_assets.settings import CHECKOUT, VARIABLES, HomeConfig, Source
from recsys_assets.tuning import Tuning

README = CHECKOUT / "README.md"
HOME_PAGE = CHECKOUT / "recsys_assets" / "pages" / "home_toml.md"


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


def commands_of(group: click.Group) -> dict[str, click.Command]:
    """A group's commands by their words; those of `recsys` are loaded only now."""
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, str]]:
    for name, command in sorted(commands_of(group).items()):
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


def keys(model: type[BaseModel]) -> str:
    """Every key of a section of home.toml, with its default."""
    return table(
        ("key", "default", "what it is"),
        [(f"`{name}`", _default(field), field.description or "") for name, field in model.model_fields.items()],
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    return "" if field.default is None or isinstance(field.default, (tuple, BaseModel)) else f"`{field.default}`"


def home_page(text: str) -> str:
    """The page of home.toml with its tables made anew."""
    return _filled(text, {"home": keys(HomeConfig), "sources": keys(Source)})


def rendered(text: str, defs: dg.Definitions, group: click.Group) -> str:
    """The README's text with its tables made anew."""
    return _filled(
        text, {"assets": assets(defs), "commands": commands(group), "settings": settings(), "knobs": knobs()}
    )


def _filled(text: str, made: dict[str, str]) -> str:
    for name, content in made.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        assert found, f"the page has no place for the table of {name}"
        text = before + begin + content + "\n" + end + after
    return text


def main() -> None:
    """Rewrites README.md and the page of home.toml."""
    from recsys_assets.cli import recsys
    from recsys_assets.definitions import defs

    path = Path(README)
    path.write_text(rendered(path.read_text(), defs(), recsys))
    HOME_PAGE.write_text(home_page(HOME_PAGE.read_text()))


if __name__ == "__main__":
    main()
