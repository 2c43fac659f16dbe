"""The knobs of a day: the home's, with what the newest search found for the members."""

import json
from datetime import date
from typing import Any

from recsys_assets.logic.search import Overrides, overridden
from recsys_assets.resources import Shop
from recsys_assets.tuning import Tuning

FOLDER, WINNER = "search", "winner.json"


def searched(shop: Shop, day: date) -> Overrides:
    """What the newest search up to ``day`` found; nothing where there was none. It holds until the next search."""
    days = [made for made, files in shop.lake.parts(FOLDER).items() if made <= day and WINNER in files]
    if not days:
        return {}
    found: dict[str, Any] = json.loads(shop.lake.get_text(FOLDER, max(days), WINNER))
    return dict(found["overrides"])


def tuned(shop: Shop, day: date) -> Tuning:
    """The knobs of ``day``."""
    return overridden(shop.tuning, searched(shop, day))
