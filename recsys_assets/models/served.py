"""Lists as they would be served, rules and all, for the people of a window: Level 2 measured as Level 1 is."""

from datetime import date

import numpy as np
import polars as pl

from recsys_assets.logic.choices import Choices
from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.item_stats import item_stats
from recsys_assets.logic.price_tiers import price_tiers
from recsys_assets.logic.profiles import user_profiles
from recsys_assets.logic.ranking import Ranking
from recsys_assets.logic.repurchase import repurchase_cycles
from recsys_assets.models.fused import values_at
from recsys_assets.models.holdout import TARGETS, Holdout, Listed
from recsys_assets.tables import SESSIONS, USERS
from recsys_assets.tuning import Tuning


def ranking_as_of(
    events: pl.DataFrame, catalog: pl.DataFrame, as_of: date, choices: Choices, tuning: Tuning
) -> Ranking:
    """Level 2 as it would have been on ``as_of``, but for the catalogue, which is the one given.

    Args:
        events: table CLEAN_EVENTS; later days are not looked at.
        catalog: table CATALOG.
        as_of: the last day that rules may know.
        choices: what validation chose.
        tuning: all knobs.
    """
    seen = events.filter(pl.col("event_date") <= as_of)
    stats = item_stats(seen, catalog, price_tiers(catalog, tuning), as_of, tuning)
    # No rule asks for visits, places or hours.
    profiles = user_profiles(seen, SESSIONS.empty(), stats, USERS.empty(), as_of, tuning, "UTC")
    return Ranking(
        catalog, stats, interactions(seen, as_of, tuning), profiles, repurchase_cycles(seen, catalog, as_of, tuning),
        as_of=as_of, choices=choices, tuning=tuning,
    )  # fmt: skip


def served(held: Holdout, lists: pl.DataFrame, places: int) -> dict[str, Listed]:
    """Per target (``all``, ``new``, ``repeat``) what is served of it: people of the window × places, in served order.

    Args:
        held: the window.
        lists: table LISTS of its people; others are left out, as are products that are not of the training.
        places: how many per person at most.
    """
    people, products = held.history.person_keys, held.history.product_ids
    known = (
        lists.drop_nulls("position")
        .filter(pl.col("person_key").is_in(people.tolist()), pl.col("product_id").is_in(products.tolist()))
        .sort("person_key", "position")
    )
    made = {}
    for target in TARGETS:
        own = known if target == "all" else known.filter(pl.col("purchased") == (target == "repeat"))
        own = own.filter(pl.int_range(pl.len()).over("person_key") < places)
        rows = np.searchsorted(people, own["person_key"].to_numpy().astype(np.str_))
        columns = np.searchsorted(products, own["product_id"].to_numpy().astype(np.str_))
        at = rows, np.arange(len(rows)) - np.searchsorted(rows, rows)
        listed = Listed.none(len(people), places)
        listed.hits[at] = values_at(held.bought, rows, columns) > 0
        listed.scores[at] = own["score"].to_numpy()
        listed.columns[at] = columns
        made[target] = listed
    return made
