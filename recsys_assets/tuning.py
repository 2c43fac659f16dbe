"""Every knob of the recommender, typed, with its default. The README's table of knobs is compared with this file.

A home may override any of them in its ``home.toml`` under ``[tuning]``, by the same dotted names.
"""

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Knobs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Ascending(_Knobs):
    @model_validator(mode="after")
    def _ascends(self) -> Self:
        values = list(self.model_dump().values())
        if values != sorted(set(values)):
            raise ValueError(f"{', '.join(type(self).model_fields)} have to ascend")
        return self


class EventWeights(_Knobs):
    """What one event says about liking a product. A return takes the purchase's weight back."""

    purchase: float = Field(5.0, ge=0, description="weight of a purchase; a return takes it back")
    add_to_cart: float = Field(3.0, ge=0, description="weight of an add_to_cart")
    click: float = Field(2.0, ge=0, description="weight of a click")
    search_click: float = Field(2.0, ge=0, description="weight of a search_click")
    view: float = Field(1.0, ge=0, description="weight of a view")
    wishlist_add: float = Field(0.0, ge=0, description="weight of a wishlist_add")
    review: float = Field(0.0, ge=0, description="weight of a review")


class ModelWeights(_Knobs):
    """The default blend."""

    als: float = Field(0.4, ge=0, description="share of als in the blend")
    item_cf: float = Field(0.4, ge=0, description="share of item_cf in the blend")
    popularity: float = Field(0.2, ge=0, description="share of popularity in the blend")


class Als(_Knobs):
    """Implicit-feedback matrix factorisation (Hu, Koren, Volinsky 2008)."""

    factors: int = Field(64, ge=1, description="length of a vector")
    iterations: int = Field(8, ge=1, description="rounds of fitting")
    regularization: float = Field(1.0, gt=0, description="used where no validation window chooses another")
    regularizations: tuple[float, ...] = Field((0.1, 1.0, 10.0), description="tried on validation; empty: none")
    alpha: float = Field(1.0, gt=0, description="confidence in what was bought")


class ItemCf(_Knobs):
    """Item-item neighbours."""

    neighbours: int = Field(100, ge=1, description="kept per product")
    popularity_exponent: float = Field(0.25, ge=0, le=1, description="how far a product's buyers are divided out")
    spending_weighted: bool = Field(False, description="weigh a product by its price against the person's usual one")


class Repeats(_Knobs):
    """Whether lists may hold what a person already bought: a choice of the shop, or of the validation window."""

    allowed: Literal["validation", "always", "never"] = Field(
        "validation", description="lists may hold what the person already bought: always, never, or as validation says"
    )
    weights: tuple[float, ...] = Field(
        (0.0, 0.5, 1.0, 2.0, 4.0, 8.0), description="personal weights tried on validation"
    )
    half_life_days: float = Field(60.0, gt=0, description="decay of a purchase in personal frequency")


class Evaluation(_Knobs):
    """Promise 6: one global cut-off in time."""

    holdout_days: int = Field(14, ge=1, description="days that models do not see, and are tested on")
    ks: tuple[int, ...] = Field((5, 10, 20), description="list lengths that are measured")
    bootstrap: int = Field(1000, ge=100, description="draws behind each interval")
    people: int = Field(20_000, ge=100, description="at most so many are evaluated, drawn by the seed")


class PriceTiers(_Ascending):
    """Shares of a category's products below which the tiers mid and premium start."""

    mid_from: float = Field(1 / 3, gt=0, lt=1, description="share of a category's products that are cheaper than mid")
    premium_from: float = Field(2 / 3, gt=0, lt=1, description="share that is cheaper than premium")


class UserSegments(_Ascending):
    """Upper quantiles of spending per segment."""

    small: float = Field(0.25, description="quantile of lifetime value up to which a buyer is small")
    low_average: float = Field(0.50, description="quantile of lifetime value up to which a buyer is low_average")
    average: float = Field(0.75, description="quantile of lifetime value up to which a buyer is average")
    high: float = Field(1.0, description="quantile of lifetime value up to which a buyer is high")


class UserTypes(_Ascending):
    """Orders from which a person counts as sparse, regular, loyal (below: new)."""

    sparse_from: int = Field(1, ge=1, description="orders from which a person is sparse, below new")
    regular_from: int = Field(4, ge=1, description="orders from which a person is regular")
    loyal_from: int = Field(20, ge=1, description="orders from which a person is loyal")


class Quality(_Knobs):
    """What a day is compared with before it may be published: the same weekday, prices and people of the last weeks."""

    weeks: int = Field(4, ge=2, description="weeks before a day that it is compared with")
    weeks_at_least: int = Field(2, ge=2, description="weeks that must be known before a day can be too small")
    volume_at_least: float = Field(
        0.6, ge=0, lt=1, description="share of a weekday's usual events, and of its usual hours, that a day must have"
    )
    volume_at_most: float = Field(2.0, gt=1, description="times a weekday's usual events beyond which a check warns")
    volume_spreads: float = Field(
        4.0, ge=0, description="spreads (1.48 median deviations) by which a volume must be off to stop; half: to warn"
    )
    bot_events: int = Field(10_000, ge=1, description="events in a day beyond which a person is a bot")
    bot_floor: int = Field(1_000, ge=1, description="events in a day up to which nobody is a bot")
    bot_times: float = Field(
        200.0, gt=1, description="beyond bot_floor: times the usual person's events of the day that make a bot"
    )
    price_times: float = Field(10.0, gt=1, description="times by which a price is off before it is an outlier")
    price_days: int = Field(3, ge=1, description="days of sale that must be known before a product's price is judged")
    price_share: float = Field(
        0.1, gt=0, lt=1, description="share of the judged sales, or products, from which outliers stop the day"
    )
    accept_days: tuple[date, ...] = Field((), description="days that volume and price checks let through")


class Tuning(_Knobs):
    """All knobs."""

    window_days: int = Field(365, ge=1, description="how far back features and models look")
    recent_days: int = Field(30, ge=1, description="'lately' in popularity and trend")
    session_gap_minutes: int = Field(30, ge=1, description="silence after which a new session begins")
    search_term_floor: int = Field(5, ge=1, description="people who must have searched a term before it is kept")
    k_anonymity: int = Field(5, ge=1, description="people behind any published count")
    seed: int = Field(20170101, description="of everything that is drawn")
    event_weights: EventWeights = EventWeights()
    candidate_pool_size: int = Field(200, ge=50, description="candidates per person")
    served_list_size: int = Field(50, ge=20, description="products per person in Redis")
    served_new_at_least: int = Field(20, ge=0, description="of these, not yet bought")
    similar_items: int = Field(20, ge=1, description="kept per product")
    popular_items: int = Field(100, ge=50, description="kept overall and per category")
    model_weights: ModelWeights = ModelWeights()
    als: Als = Als()
    item_cf: ItemCf = ItemCf()
    repeats: Repeats = Repeats()
    evaluation: Evaluation = Evaluation()
    price_tiers: PriceTiers = PriceTiers()
    user_segments: UserSegments = UserSegments()
    user_types: UserTypes = UserTypes()
    quality: Quality = Quality()
    keep_generations: int = Field(3, ge=2, description="generations kept for rollback")
    late_days: int = Field(7, ge=0, description="days before a night's day that it redoes where rows came late")
    retention_days: int = Field(
        730, ge=0, description="days of events kept, counted back from the newest computed one; 0 = all"
    )
    keep_as_of_days: int = Field(
        30, ge=0, description="newest computed days of which features, models and lists stay in the lake; 0 = all"
    )
    dagster_log_days: int = Field(90, ge=1, description="days after which logs of finished Dagster runs are dropped")

    @model_validator(mode="after")
    def _keeps_what_is_read(self) -> Self:
        if 0 < self.retention_days < self.window_days:
            raise ValueError(
                f"window_days ({self.window_days}) looks further back than retention_days ({self.retention_days}) keeps"
            )
        if 0 < self.keep_as_of_days < self.keep_generations:
            raise ValueError(
                f"keep_as_of_days ({self.keep_as_of_days}) has to reach keep_generations ({self.keep_generations})"
            )
        return self
