"""What README and pages tell people to type, read or send: every fenced block and every inline command, taken apart."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recsys_assets.settings import CHECKOUT

README = CHECKOUT / "README.md"
PAGES = (README, *sorted((CHECKOUT / "recsys_assets" / "pages").glob("*.md")))
# Made from the code and compared with it elsewhere (readme.py): the lines in them are no instructions.
_GENERATED = re.compile(r"<!-- (commands|knobs|settings|assets|home|sources) -->.*?<!-- /\1 -->", re.DOTALL)
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
_ASSIGNED = re.compile(r"[A-Z_]+=.*", re.DOTALL)
_CRON = re.compile(r"^(?:\S+\s+){5}", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, as it is written behind the fence, its text, and the line of its fence."""

    language: str
    text: str
    line: int


@dataclass
class Call:
    """One command as a shell would start it: words after quotes and comments, and the variables set before it."""

    words: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return shlex.join(self.words)


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in _FENCE.finditer(text)]


def inline(page: Path) -> list[str]:
    """Everything between single backticks, in order and without what is generated; a line's end in it is a blank."""
    text = _FENCE.sub("", _GENERATED.sub("", page.read_text(encoding="utf-8")))
    return [" ".join(m[1].split()) for m in _INLINE.finditer(text)]


def calls(text: str) -> Iterator[Call]:
    """Commands of a shell block, in order; ``export`` holds for those that follow it."""
    exported: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and words[0] == "export":
                exported |= dict(word.split("=", 1) for word in words[1:])
                continue
            own = {}
            while words and _ASSIGNED.fullmatch(words[0]):
                name, _, own_value = words.pop(0).partition("=")
                own[name] = own_value
            if words:
                yield Call(words, exported | own)


def cron_calls(text: str) -> Iterator[Call]:
    """Commands of lines of a crontab."""
    assert all(_CRON.match(line) for line in text.splitlines()), "a line of a crontab begins with five fields"
    return calls(_CRON.sub("", text))
