"""README and pages say nothing that is not there: commands, their options, links and settings exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from recsys_assets.cli import recsys
from recsys_assets.settings import CHECKOUT, VARIABLES
from recsys_assets_tests.readme import commands_of

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "recsys_assets" / "pages").glob("*.md"))]
ROLES = {"data_engineer", "ml_engineer", "front_end", "email", "analyst", "privacy"}
_INLINE = re.compile(r"`(recsys [^`]+)`")
_LINE = re.compile(r"^(?:\S*/)?(recsys .+?)(?:\s+#.*)?$", re.MULTILINE)
_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands_in(text: str) -> list[str]:
    """Every use of `recsys …`, in line or in a block; lines that end with a backslash are joined."""
    found = _INLINE.findall(text)
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                found += _LINE.findall(part.strip())
    return found


def wrong(words: list[str]) -> str | None:
    """What the command line does not know, or None. Arguments are not checked: they are examples."""
    command: click.Command = recsys
    for word in words:
        if word.startswith("-"):
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            if word.partition("=")[0] not in known | {"--help", "-h", "--version"}:
                return f"{command.name} has no option {word}"
        elif isinstance(command, click.Group):
            if word in commands_of(command):
                command = commands_of(command)[word]
            elif re.fullmatch(r"[a-z-]+", word):
                return f"{command.name} has no command {word}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_and_option_exists(page: Path) -> None:
    problems = []
    for line in commands_in(page.read_text()):
        if why := wrong(shlex.split(line.partition("|")[0])[1:]):
            problems.append(f"{line!r}: {why}")
    assert problems == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_and_setting_exists(page: Path) -> None:
    text = page.read_text()
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []
    known = {variable.name for variable in VARIABLES}
    assert sorted(set(re.findall(r"\bRECSYS_[A-Z_]+\b", text)) - known) == []


def test_there_is_a_page_for_each_role_and_the_readme_links_it() -> None:
    assert {page.stem for page in PAGES} >= ROLES
    readme = (CHECKOUT / "README.md").read_text()
    assert [role for role in ROLES if f"recsys_assets/pages/{role}.md" not in readme] == []
