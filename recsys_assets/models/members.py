"""The models that a blend may hold, by the name under which its weights, scores and tables know them."""

from collections.abc import Callable

from recsys_assets.models.als import Als
from recsys_assets.models.base import Recommender
from recsys_assets.models.basket import Basket
from recsys_assets.models.content import Content
from recsys_assets.models.graph import Graph
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.models.linear import Linear
from recsys_assets.models.personal import Personal
from recsys_assets.models.popularity import Popularity
from recsys_assets.models.session import Session
from recsys_assets.models.transitions import Transitions
from recsys_assets.models.user_knn import UserKnn
from recsys_assets.models.user_linear import UserLinear

MEMBER_MODELS: dict[str, Callable[..., Recommender]] = {
    "als": Als,
    "item_cf": ItemCf,
    "popularity": Popularity,
    "personal": Personal,
    "transitions": Transitions,
    "session": Session,
    "graph": Graph,
    "linear": Linear,
    "user_knn": UserKnn,
    "user_linear": UserLinear,
    "basket": Basket,
    "content": Content,
}
