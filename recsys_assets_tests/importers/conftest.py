from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_assets.settings import Home
from recsys_assets_tests.importers.shop import Desk


@pytest.fixture
def desk(home: Home, tmp_path: Path) -> Desk:
    """A home from 2024-01-01 in UTC and EUR, and an empty folder of the shop."""
    folder = tmp_path / "shop files"
    folder.mkdir()
    return Desk(home, folder)


@pytest.fixture
def make_desk(make_home: Callable[..., Home], tmp_path: Path) -> Callable[..., Desk]:
    """The same with a home of one's own."""

    def make(**how: object) -> Desk:
        folder = tmp_path / "shop files"
        folder.mkdir(exist_ok=True)
        return Desk(make_home(**how), folder)

    return make
