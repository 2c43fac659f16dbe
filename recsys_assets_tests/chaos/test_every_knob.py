"""Every knob at two other values through a whole night: it is published, or a check says why not.

`make test` takes one set of knobs through the night, `make chaos` all of them.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from recsys_assets.stores.publishing import generations
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import FIRST, LAST
from recsys_assets_tests.knobs import EVERYBODY_IS_A_BOT, nested, sets

OpenShop = Callable[..., AbstractContextManager[Shop]]
STOPPED = "DagsterAssetCheckFailedError"


def toml(values: dict[str, Any]) -> str:
    """As home.toml says it."""
    told = nested(values)
    plain = {name: value for name, value in told.items() if not isinstance(value, dict)}
    sections = {"tuning": plain} | {f"tuning.{name}": value for name, value in told.items() if name not in plain}
    lines = [
        line
        for section, own in sections.items()
        for line in (f"[{section}]", *(f"{name} = {_value(value)}" for name, value in own.items()))
    ]
    return "\n".join(["", *lines, ""])


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.timeout(3600)  # five nights
def test_a_whole_night_is_published_or_a_check_says_why_not(open_shop: OpenShop) -> None:
    with open_shop() as shop:
        history = shop.run("history", FIRST, LAST)
        assert history["success"], history["failures"]
        file = shop.home.path / "home.toml"
        before, last = file.read_text(), 0
        nights = [*sets(), EVERYBODY_IS_A_BOT] if "CHAOS_ROUNDS" in os.environ else sets()[1:2]
        for values in nights:
            file.write_text(before + toml(values))
            told = shop.run("daily", LAST, LAST)
            live = max((one.generation for one in generations(shop.servers.postgres_url) if one.live), default=0)
            why = stopped_by(told)
            assert (live > last) == (not why), (why, values)
            last = live
            if values == EVERYBODY_IS_A_BOT:
                assert "events, on a Thursday" in why["days_are_whole"]
                assert "bots made" in told["checks"]["no_bots"][1]


def stopped_by(told: dict[str, Any]) -> dict[str, str]:
    """What the checks say that ended a night; nothing else may end one."""
    assert told["success"] or told["failures"]
    said: dict[str, str] = {}
    for failure in told["failures"]:
        assert STOPPED in failure, failure
        names = [name for name in told["checks"] if f": {name}\n" in failure + "\n"]
        assert names, failure
        said |= {name: told["checks"][name][1] for name in names}
    assert all(said.values()), said
    return said
