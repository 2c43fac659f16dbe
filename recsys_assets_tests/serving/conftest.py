from collections.abc import Callable

import pytest

from recsys_assets.settings import Home
from recsys_assets_tests.published import Stores


@pytest.fixture
def stores(home: Home, database: Callable[[], str], redis_url: str) -> Stores:
    """A home on an empty database and an empty Redis."""
    return Stores(home, database(), redis_url)
