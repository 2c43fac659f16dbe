"""A day of the lake → the frames of a generation."""

import json
from datetime import date
from typing import Any

import polars as pl

from recsys_assets.errors import NotFoundError
from recsys_assets.logic.price_tiers import product_tiers
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.staging import Frames
from recsys_assets.tables import (
    CATALOG,
    COPY,
    LISTS,
    NEXT_ITEMS,
    OWNED,
    PLANS,
    POPULAR_ITEMS,
    PRICE_TIERS,
    SIMILAR_ITEMS,
    USER_PROFILES,
    Table,
)

PLANNER, PLANNING_FILE = "models/planner", "planning.json"


def frames_of(lake: Lake, day: date) -> Frames:
    """What the lake holds of a day.

    Raises:
        NotFoundError: a table of that day was never written; plans, copy, tiers and what people own may be missing.
    """
    products = lake.read(CATALOG, day)
    return Frames(
        lists=lake.read(LISTS, day),
        similar=lake.read(SIMILAR_ITEMS, day),
        following=lake.read(NEXT_ITEMS, day),
        popular=lake.read(POPULAR_ITEMS, day),
        products=products,
        profiles=lake.read(USER_PROFILES, day),
        plans=_if_there(lake, PLANS, day),
        copy=_if_there(lake, COPY, day),
        owned=_if_there(lake, OWNED, day),
        tiers=_tiers(lake, day, products),
        planning=_planning(lake, day),
    )


def _if_there(lake: Lake, table: Table, day: date) -> pl.DataFrame:
    """A table of the day; no rows where an older program made the day, which knew no such table."""
    try:
        return lake.read(table, day)
    except NotFoundError:
        return table.empty()


def _tiers(lake: Lake, day: date, products: pl.DataFrame) -> pl.DataFrame:
    bounds = _if_there(lake, PRICE_TIERS, day)
    return product_tiers(products if bounds.height else products.clear(), bounds)


def _planning(lake: Lake, day: date) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(lake.get_text(PLANNER, day, PLANNING_FILE))
    except NotFoundError:
        return None
    return found
