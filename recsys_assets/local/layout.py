"""How a home of an older layout becomes one of this program's: one step per version."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from recsys_assets.scratch import write_private
from recsys_assets.settings import LAYOUT_VERSION, home_layout, newer_layout

# Version → what brings a home of the version before it there. A step may be killed and run again.
STEPS: Mapping[int, Callable[[Path], None]] = {}


def migrate_home(home: Path, steps: Mapping[int, Callable[[Path], None]] = STEPS, to: int = LAYOUT_VERSION) -> None:
    """Takes every step from the home's layout to ``to``; each is recorded when it is done.

    Raises:
        HomeError: the home is newer than ``to``.
    """
    before = home_layout(home)
    if before > to:
        raise newer_layout(home / "home.toml", before, to)
    for version in range(before + 1, to + 1):
        steps[version](home)
        _record(home / "home.toml", version)


def _record(file: Path, version: int) -> None:
    """Writes another version into a home's file, whole, and leaves the rest of it as somebody has edited it."""
    text, count = re.subn(r"(?m)^layout *=.*$", f"layout = {version}", file.read_text(), count=1)
    write_private(file, text if count else f"layout = {version}\n{text}")
