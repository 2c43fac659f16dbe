"""The knobs of a day: the home's, with what the search that is in force found for the members."""

from datetime import date, timedelta

from recsys_assets.logic.search import Searched, in_force, overridden
from recsys_assets.resources import Shop
from recsys_assets.stores.searches import Searches
from recsys_assets.tuning import Tuning


def searched(shop: Shop, day: date) -> Searched | None:
    """The search whose knobs hold for ``day``, of whose test window it has seen nothing."""
    return in_force(Searches(shop.lake).all(), day, day - timedelta(shop.tuning.evaluation.holdout_days))


def tuned(shop: Shop, day: date) -> Tuning:
    """The knobs of ``day``."""
    found = searched(shop, day)
    return overridden(shop.tuning, found.overrides if found else {})
