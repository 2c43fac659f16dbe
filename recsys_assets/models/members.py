"""The models that a blend may hold, by the name under which its weights, scores and tables know them."""

from collections.abc import Callable

from recsys_assets.models.als import Als
from recsys_assets.models.base import Recommender
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.models.personal import Personal
from recsys_assets.models.popularity import Popularity

MEMBER_MODELS: dict[str, Callable[..., Recommender]] = {
    "als": Als,
    "item_cf": ItemCf,
    "popularity": Popularity,
    "personal": Personal,
}
