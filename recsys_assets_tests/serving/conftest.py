from collections.abc import Callable

import pytest

from recsys_assets.serving import asking, starts
from recsys_assets.settings import Home
from recsys_assets_tests.published import Stores


@pytest.fixture
def stores(home: Home, database: Callable[[], str], redis_url: str) -> Stores:
    """A home on an empty database and an empty Redis."""
    return Stores(home, database(), redis_url)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a read may take longer than it may in a shop: only tests of that have its deadline."""
    monkeypatch.setattr(asking, "READ_SECONDS", 5.0)
    monkeypatch.setattr(starts, "TIMEOUT_SECONDS", 1.0)
