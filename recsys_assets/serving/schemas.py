"""What the API is asked and answers, as models: of the OpenAPI document, and of the clients made from it.

Routes answer dicts without going through these, which would cost more than the answer; a test holds real answers
against them. A generated client calls a value by the name of its class: no class is called like a field of its own,
hence the many …Answer. Money is a decimal number in the shop's currency, exact to a millionth.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from recsys_assets.serving.bodies import Body
from recsys_assets.serving.parameters import ID_SCHEMA, an_id
from recsys_assets.serving.past import MOMENT_SAYS, MOMENT_SCHEMA, Moment, moment

MODELS = ("hybrid", "als", "item_cf")
MAX_MONEY = 1_000_000_000_000  # in micros it has to fit into Postgres' bigint
MAX_EXCLUDED, MAX_BULK = 1_000, 1_000
ModelType = Literal["hybrid", "als", "item_cf"]
Source = Literal[
    "pinned", "als", "item_cf", "popularity", "personal", "linear", "transitions", "session", "basket", "content",
    "similar", "hybrid",
]  # fmt: skip
Fallback = Literal["session", "popular_in_category", "popular", "topped_up"]


class Answered(BaseModel):
    """An answer: it has every field it says, and no other."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(BaseModel):
    """A problem (RFC 9457): every answer that is no success. Other members say more, such as `oldest_day`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    type: str = Field(description="about:blank: the status says what kind it is.")
    title: str = Field(description="What is wrong, in a few words; the same for all of a kind.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong with this request.")
    parameter: str | None = Field(None, description="The parameter of the path or the query that is refused.")
    field: str | None = Field(None, description="The field of the body that is refused.")


Score = Annotated[float, Field(description="Higher is better; comparable within one answer.")]
Confidence = Annotated[float | None, Field(description="Share of hits to expect, 0 to 1; null where not known.")]
Price = Annotated[float | None, Field(description="In the shop's currency; null where the catalogue has none.")]
Milliseconds = Annotated[float, Field(ge=0, description="Milliseconds that the server took.")]


class Product(Answered):
    """One product for one person, as a shop's page takes it."""

    id: str
    score: Score
    reason: str = Field(description="Counted from the person's own history, or why it stands in.")


class ProductsAnswer(Answered):
    """A list for a shop's page."""

    model_config = ConfigDict(alias_generator=to_camel)
    products: list[Product] = Field(description="Best first.")
    model_version: str = Field(description="Of the models that made the lists.")
    generated_at: datetime = Field(description="When the generation was made.")
    recommendation_id: str = Field(description="Sent back in the shop's events, it says which list worked.")
    generation: int = Field(description="Number of the generation that answered.")
    fallback: Fallback | None = Field(description="What stood in for the person's own list; null: nothing.")


class UserInfo(Answered):
    """What is known of a person; all null but `user_id` without a token of scope `profiles`."""

    user_id: str = Field(description="As asked.")
    user_type: Literal["new", "sparse", "regular", "loyal"] | None = Field(description="By number of orders.")
    spending_segment: Literal["small", "low_average", "average", "high"] | None = Field(description="By quartile.")
    total_purchases: int | None = Field(description="Lines bought.")
    unique_items: int | None = Field(description="Distinct products bought.")
    avg_item_price: Price
    last_purchase_date: date | None = Field(description="In the shop's time zone.")


class Recommendation(Answered):
    """One product for one person."""

    item_id: str
    relevance_score: Score
    confidence_score: Confidence
    item_price: Price
    recommendation_reason: str = Field(description="Counted from the person's own history, or why it stands in.")
    model_source: Source = Field(
        description="What put this product here: pinned by the shop; the model with the largest part of its score; "
        "popularity, session or similar where that stands in or beside; hybrid: published before this was told."
    )


class PersonalList(Answered):
    """One person's list, as a bulk answer has it on each line."""

    user_id: str = Field(description="As asked.")
    recommendations: list[Recommendation] = Field(description="Best first.")
    primary_model: str = Field(description="The model asked for, or what stood in for all of it.")
    fallback_used: bool = Field(description="Whether anything stood in for what was asked.")
    fallback: Fallback | None = Field(description="What stood in; topped_up: a list too short was filled up.")
    recommendation_id: str = Field(description="Sent back in the shop's events, it says which list worked.")
    generation: int = Field(description="Number of the generation that answered.")
    generated_at: datetime = Field(description="When that generation was made.")


class RecommendationsAnswer(PersonalList):
    """One person's list."""

    user_info: UserInfo
    processing_time_ms: Milliseconds


class Item(Answered):
    """One product."""

    item_id: str
    relevance_score: Score
    confidence_score: Confidence
    item_price: Price


class SimilarItem(Item):
    """One product like another."""

    recommendation_reason: str = Field(description="By what it is like the other.")
    model_source: Literal["similar", "content"] = Field(
        description="similar: enough people took both; content: the catalogue describes both alike."
    )


class SimilarItemsAnswer(Answered):
    """Products bought, or looked at, by the same people, then those that the catalogue describes alike; best first."""

    item_id: str = Field(description="As asked.")
    similar_items: list[SimilarItem]
    processing_time_ms: Milliseconds


class PopularItem(Item):
    """One popular product."""

    recommendation_reason: str


class PopularItemsAnswer(Answered):
    """What most people buy lately, best first."""

    category: str | None = Field(description="As asked; null: of the whole shop.")
    popular_items: list[PopularItem]
    processing_time_ms: Milliseconds


class Users(Answered):
    """A page of people, by key."""

    user_ids: list[str] = Field(description="`key:<32 hex digits>`, which every route takes as a user id.")
    next_after: str | None = Field(description="What to ask with as `after` for the next page; null: this is the last.")
    generation: int


class Profile(Answered):
    """One person's habits as of the day of the live generation."""

    user_id: str = Field(description="As asked.")
    generation: int
    day: date = Field(description="Data day, in the shop's time zone.")
    locale: str | None
    market: str | None
    user_type: str | None = Field(description="new, sparse, regular or loyal, by number of orders.")
    spending_segment: str | None = Field(description="small, low_average, average or high, by quartile.")
    price_tier: str | None = Field(description="budget, mid or premium.")
    orders: int | None
    purchases: int | None = Field(description="Lines bought.")
    unique_items: int | None
    units: int | None
    lifetime_value: Price = Field(description="Bought less returned; null where no price is known.")
    average_item_price: Price
    first_purchase_date: date | None
    last_purchase_date: date | None
    last_visit_date: date | None
    days_since_last_visit: int | None
    favourite_categories: list[str] | None = Field(description="Up to three.")
    favourite_hour: int | None = Field(description="In the shop's time zone.")
    favourite_weekday: int | None = Field(description="1: Monday.")
    favourite_season: str | None
    orders_per_30_days: float | None
    return_rate: float | None
    click_rate: float | None = Field(description="Share of impressions that were clicked.")
    conversion_rate: float | None = Field(description="Share of sessions that bought.")
    average_session_seconds: float | None


class Member(Answered):
    """One of the models that a list is blended of."""

    name: str
    kind: str


class Generation(Answered):
    """One publish of one day that is kept."""

    generation: int
    day: date
    state: Literal["live", "ready", "staging"] = Field(description="ready: whole, to go back to; staging: being made.")
    model_version: str
    people: int | None = Field(description="Persons with a list; null below the k-anonymity floor.")
    created_at: datetime
    flipped_at: datetime | None = Field(description="When it last went live; null: never.")


class Models(Answered):
    """What lists are made by, and what is kept of them."""

    model_version: str = Field(description="Of the live generation.")
    model_types: list[str] = Field(description="What `model` may ask for.")
    members: list[Member] = Field(description="What the live lists are blended of.")
    generations: list[Generation] = Field(description="Newest first.")


class CategoryCount(Answered):
    """A category and its popular products."""

    category: str
    popular_items: int


class Stats(Answered):
    """Counts of the live generation; nothing of single people."""

    generation: int
    day: date
    model_version: str
    generated_at: datetime
    age_seconds: int
    people: int | None = Field(description="Persons with a list when it was made; null below the k-anonymity floor.")
    products: int = Field(description="In the catalogue.")
    categories: list[CategoryCount] = Field(description="Categories that have a popular list, by name.")


class Config(Answered):
    """The shop's settings that lists depend on."""

    currency: str
    time_zone: str
    first_day: date
    tuning: dict[str, Any] = Field(description="Knobs by their names in home.toml, as they are now.")


class StoreStates(Answered):
    """Whether each store answered when it was last looked at, and whether it took long."""

    postgres: Literal["ok", "slow", "away"]
    redis: Literal["ok", "slow", "away"]


class Health(Answered):
    """Whether a process serves; what is of a generation is null before the first one."""

    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="degraded: a store is slow or away, or this process has stopped looking."
    )
    generation: int | None
    day: date | None = Field(description="Data day of the generation.")
    age_seconds: int | None = Field(description="Since the generation was made.")
    model_version: str | None
    pointer_age_seconds: float = Field(description="Since Postgres last said what is live, which it does each second.")
    looked_seconds_ago: float = Field(description="Since the stores were last looked at, whether they answered or not.")
    stores: StoreStates


def _id(raw: str) -> str:
    try:
        return an_id(raw)
    except ValueError as error:
        raise PydanticCustomError("id", str(error)) from None


def _moment(raw: str) -> str:
    try:
        moment(raw)
    except ValueError as error:
        raise PydanticCustomError("moment", str(error)) from None
    return raw


Id = Annotated[str, AfterValidator(_id), WithJsonSchema(ID_SCHEMA)]
_Money = Annotated[float, Field(ge=0, le=MAX_MONEY)]


class ListRequest(Body):
    """What lists are asked for, whoever's they are."""

    num_recommendations: int = Field(5, ge=1, le=50, description="How many products.")
    model_type: ModelType = Field("hybrid", description="Which model's order.")
    exclude_purchased: bool = Field(False, description="Leave out what the person has bought.")
    price_range_min: _Money | None = Field(None, description="Least price, in the shop's currency.")
    price_range_max: _Money | None = Field(None, description="Highest price, in the shop's currency.")
    exclude: list[Id] = Field([], max_length=MAX_EXCLUDED, description="Products to leave out.")


class RecommendationsRequest(ListRequest):
    """A list for one person."""

    user_id: Id = Field(description="The shop's id of the person, or `key:<32 hex digits>`.")
    timestamp: Annotated[str, AfterValidator(_moment), WithJsonSchema(MOMENT_SCHEMA)] | None = Field(
        None, description=MOMENT_SAYS
    )

    @property
    def asked_at(self) -> Moment | None:
        """`timestamp`, read."""
        return None if self.timestamp is None else moment(self.timestamp)


class BulkRequest(ListRequest):
    """Lists for many people; one who is named twice gets one."""

    user_ids: list[Id] = Field(min_length=1, max_length=MAX_BULK, description="Ids, or `key:<32 hex digits>`.")
