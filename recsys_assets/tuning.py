"""Every knob of the recommender, typed, with its default. The README's table of knobs is compared with this file.

A home may override any of them in its ``home.toml`` under ``[tuning]``, by the same dotted names. What costs memory or
time in proportion has an upper bound, ten times or more above what helped any shop: a slip of the finger is told at
once and not after a night (als.factors = 100000 would ask for 400 MB per thousand products).
"""

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recsys_assets.sources import MEMBERS


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


class Blending(_Knobs):
    """What lists are made of: a blend of members, or an order learned over it."""

    kind: Literal["validation", "default", "weights", "learned"] = Field(
        "validation",
        description="published: the default blend, chosen weights, a learned order, or the best of them by validation",
    )
    members: tuple[str, ...] = Field(
        ("als", "item_cf", "popularity", "personal", "linear", "transitions", "session", "basket", "content"),
        description="members that chosen weights and a learned order may use",
    )
    depth: int = Field(50, ge=10, le=1000, description="best products of each member that choices look at")
    people: int = Field(
        2000, ge=10, le=1_000_000, description="at most so many people are learned from, drawn by the seed"
    )
    people_per_type: int = Field(200, ge=1, description="people from which a type of history has weights of its own")
    people_to_weigh: int = Field(20, ge=4, description="people from which weights are chosen; below: the default blend")
    people_to_learn: int = Field(200, ge=4, description="people with a hit among the candidates to learn an order from")
    trees: int = Field(100, ge=1, le=2000, description="trees of the learned order")
    leaves: int = Field(15, ge=2, le=1024, description="leaves of a tree")
    learning_rate: float = Field(0.1, gt=0, le=1, description="what each tree adds")
    least_in_leaf: int = Field(50, ge=1, description="candidates in a leaf at least")

    @field_validator("members")
    @classmethod
    def _exist(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in members if name not in MEMBERS]
        if unknown or not members:
            raise ValueError(f"no member is called {', '.join(unknown) or 'nothing'}; there are {', '.join(MEMBERS)}")
        return members


class Als(_Knobs):
    """Implicit-feedback matrix factorisation (Hu, Koren, Volinsky 2008)."""

    factors: int = Field(64, ge=1, le=1024, description="length of a vector")
    iterations: int = Field(8, ge=1, le=200, description="rounds of fitting")
    regularization: float = Field(1.0, gt=0, description="used where no validation window chooses another")
    regularizations: tuple[float, ...] = Field((0.1, 1.0, 10.0), description="tried on validation; empty: none")
    alpha: float = Field(1.0, gt=0, description="confidence in what was bought")


class ItemCf(_Knobs):
    """Item-item neighbours."""

    neighbours: int = Field(100, ge=1, le=2000, description="kept per product")
    popularity_exponent: float = Field(0.25, ge=0, le=1, description="how far a product's buyers are divided out")
    signals: Literal["both", "purchases", "views"] = Field(
        "both",
        description="what makes neighbours: purchases, and looks at the rest; purchases alone; all that is taken",
    )
    spending_weighted: bool = Field(False, description="weigh a product by its price against the person's usual one")


class Popularity(_Knobs):
    """What most people take lately."""

    counts: Literal["people", "purchases", "units"] = Field(
        "people", description="what makes a product popular: people who bought it, purchases, or units sold"
    )
    window_days: int = Field(0, ge=0, description="days that the model popularity counts; 0: all, fading by their age")
    trend_exponent: float = Field(
        0.0, ge=0, le=1, description="how far a product's rise over the window before lifts it; needs a window"
    )


class Content(_Knobs):
    """What the catalogue says of products: the share of each kind of facts in their likeness."""

    words: float = Field(0.3, ge=0, description="share of the words of name, description and tags")
    category: float = Field(0.4, ge=0, description="share of the category's path")
    brand: float = Field(0.1, ge=0, description="share of the brand")
    attributes: float = Field(0.1, ge=0, description="share of the attributes")
    price: float = Field(0.1, ge=0, description="share of the price's bucket")
    popularity_exponent: float = Field(0.0, ge=0, le=2, description="how far the sales of like products count")


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

    holdout_days: int = Field(14, ge=1, le=365, description="days that models do not see, and are tested on")
    ks: tuple[int, ...] = Field((5, 10, 20), description="list lengths that are measured")
    bootstrap: int = Field(1000, ge=100, le=100_000, description="draws behind each interval")
    people: int = Field(20_000, ge=100, le=1_000_000, description="at most so many are evaluated, drawn by the seed")
    origins: int = Field(
        1, ge=1, le=24, description="test windows, each a holdout before the other; every one is fitted anew"
    )
    beginners: int = Field(
        300,
        ge=0,
        le=100_000,
        description="of them, how many are also looked at after their first 0, 1, 2 and 3 interactions",
    )


class RepurchaseCycle(_Knobs):
    """A product bought before waits until people usually buy it again.

    Off, because a grocer's customers do not wait: on a year of purchases (`bench_rules`, NDCG@10 .346) waiting for the
    whole cycle costs .233, and for a tenth of it .049. It is for shops whose lists may hold repeats and whose products
    last.
    """

    enabled: bool = Field(False, description="products bought before wait for their repurchase cycle")
    default_cycle_days: int = Field(30, ge=1, description="cycle of a product of which too few intervals were seen")
    intervals_at_least: int = Field(20, ge=1, description="intervals from which a product, or category, has its own")
    exclude_before: float = Field(
        1.0, ge=0, description="share of the cycle that has to pass before the product is listed again"
    )


class Upsell(_Knobs):
    """Dearer products than the person usually buys gain a little.

    It moved a grocer's NDCG@10 of .346 by -.0001 (95 %: -.0002 to .0000), and together with price sensitivity by -.0003
    (-.0008 to .0000) (`bench_rules`): it can be on.
    """

    enabled: bool = Field(True, description="products above a person's usual price gain")
    factor: float = Field(0.1, ge=0, le=1, description="share of its score that a product can gain")
    price_boost_weight: float = Field(
        0.2, ge=0, le=1, description="part of the gain that grows with the price; the rest is the same for all"
    )


class PriceSensitivity(_Knobs):
    """Products far above what the person usually pays lose."""

    enabled: bool = Field(True, description="products beyond a person's budget lose the share that they are beyond it")
    budget_tolerance: float = Field(1.5, ge=1, description="budget, in times the person's average price")


Tiers = tuple[Literal["budget", "mid", "premium"], ...]


class SegmentFilter(_Knobs):
    """Price tiers from which people of a spending segment are offered what they have not bought before."""

    enabled: bool = Field(False, description="new products come only from the tiers of the person's segment")
    small: Tiers = Field(("budget", "mid"), description="tiers offered to the segment small")
    low_average: Tiers = Field(("budget", "mid"), description="tiers offered to the segment low_average")
    average: Tiers = Field(("budget", "mid", "premium"), description="tiers offered to the segment average")
    high: Tiers = Field(("budget", "mid", "premium"), description="tiers offered to the segment high")


class Diversity(_Knobs):
    """How much alike the products of a served list may be; 0 everywhere: as they come.

    A grocer's repeats pay for variety: of an NDCG@10 of .346 a strength of .1 costs .0006 (within chance), .3 costs
    .0093, at most 2 products per category path .0032, and at most 2 per brand .108 (`bench_rules`).
    """

    strength: float = Field(
        0.0, ge=0, lt=1, description="weight of unlikeness against the score (MMR); 0: order by score alone"
    )
    category_cap: int = Field(
        0, ge=0, description="served products per category path at most (pinned ones count, and stay); 0: any number"
    )
    brand_cap: int = Field(
        0, ge=0, description="served products per brand at most (pinned ones count, and stay); 0: any number"
    )


class Search(_Knobs):
    """The search for better knobs of the members, by `recsys run search`; counted in trials, never in seconds."""

    trials: int = Field(8, ge=1, le=1000, description="knobs tried per member, the present ones among them")
    people: int = Field(2000, ge=10, le=1_000_000, description="people that a trial is measured on, drawn")
    windows: tuple[int, ...] = Field((30, 90, 180), description="days of history that are compared with window_days")


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

    weeks: int = Field(8, ge=2, le=52, description="weeks before a day that it is compared with")
    weeks_at_least: int = Field(2, ge=2, description="weeks that must be known before a day can be too small")
    volume_at_least: float = Field(
        0.6, ge=0, lt=1, description="share of the expected events, people, purchases and hours that a day must have"
    )
    volume_at_most: float = Field(2.0, gt=1, description="times the expected events beyond which a check warns")
    false_stops: float = Field(
        0.002,
        gt=0,
        le=0.1,
        description="share of ordinary nights on which chance alone may lack so much; ten times that: a warning",
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


class Promotion(_Knobs):
    """What today's lists are held against before they take the place of the live ones (promise 7)."""

    margin: float = Field(
        0.02, ge=0, lt=1, description="share of another recipe's NDCG that lists may lose before they are worse than it"
    )
    places: int = Field(10, ge=1, description="first places of a list that are compared with the live one's")
    people: int = Field(10_000, ge=1, le=1_000_000, description="people whose lists are compared, at most")
    volume_at_least: float = Field(
        0.8, ge=0, description="times the live lists' people, and products per list, that a day must have"
    )
    coverage_at_least: float = Field(
        0.5, ge=0, description="times the products on anybody's live list that must stand on somebody's again"
    )
    churn_at_most: float = Field(0.9, ge=0, le=1, description="share of the live places that may hold another product")
    price_mix_at_most: float = Field(0.25, ge=0, le=1, description="share of the places that may move to another tier")
    price_times: float = Field(2.0, gt=1, description="times by which the mean price of a place may change")
    out_of_stock_at_most: float = Field(
        0.0, ge=0, le=1, description="share of the places that may hold what is not offered"
    )
    audit_people: int = Field(
        2_000, ge=0, le=1_000_000, description="people whose reasons are recomputed from clean events, at most"
    )
    accept_days: tuple[date, ...] = Field((), description="days that the gate lets through, whatever it found")


class Planner(_Knobs):
    """What a person is after next: intent, category, price and moment (assets `planner` and `plans`)."""

    category_depth: int = Field(2, ge=1, le=5, description="levels of a category's path that a plan aims at")
    horizon_days: int = Field(
        14, ge=1, le=365, description="days within which the next basket counts; the newest ones test"
    )
    origins: int = Field(
        6, ge=2, le=60, description="days, a horizon apart, whose next baskets the planner learns from"
    )
    people: int = Field(
        5_000, ge=100, le=1_000_000, description="people that it learns from at most, drawn by the seed"
    )
    replenish_within: float = Field(
        2.0, gt=0, description="times its cycle within which buying a product again is replenishing"
    )
    accessory_lift: float = Field(
        1.5, ge=1, description="times more often than by chance that an accessory's category is bought after another's"
    )
    post_purchase_days: int = Field(
        7, ge=1, description="days after an order in which the next one counts as following it"
    )
    gift_words: tuple[str, ...] = Field(
        ("gift", "gifts", "geschenk", "geschenke", "present"),
        description="words of a product's name, category or tags that make it a gift",
    )
    bracket: tuple[float, float, float] = Field(
        (0.1, 0.5, 0.9),
        description="quantiles of the next basket's item prices: floor, middle and ceiling of the budget",
    )
    people_at_least: int = Field(20, ge=4, description="people tested from which trees may plan")


class Offers(_Knobs):
    """From a plan to the products that are offered (assets `offers`)."""

    least: int = Field(3, ge=1, le=5, description="products of an offer, where the shop has as many")
    most: int = Field(5, ge=1, le=5, description="products of an offer at most")
    considered: int = Field(50, ge=5, le=1000, description="best products of a list that an offer is chosen from")


class Copywriting(_Knobs):
    """The words beside an offer. A language model writes them where RECSYS_LLM_URL is set; else templates do."""

    languages: tuple[Literal["en", "de"], ...] = Field(
        ("en",),
        min_length=1,
        description="languages that texts are made in; the first is for whoever reads none of them",
    )
    tone: Literal["friendly", "plain"] = Field("friendly", description="how a language model is asked to write")
    headline_at_most: int = Field(60, ge=10, description="characters of a headline, slots filled")
    sentence_at_most: int = Field(180, ge=20, description="characters of a sentence, slots filled")
    call_to_action_at_most: int = Field(30, ge=5, description="characters of a call to action, slots filled")
    more_claims: tuple[str, ...] = Field((), description="further words and phrases that refuse a text")
    allowed_claims: tuple[str, ...] = Field((), description="claims of the built-in list that this shop may make")
    concurrency: int = Field(8, ge=1, le=256, description="requests to the language model at once")
    timeout_seconds: float = Field(30.0, gt=0, description="of one request; then the template stands in")
    attempts: int = Field(3, ge=1, le=10, description="tries of one text, where the endpoint is busy or fails")
    tokens_per_day: int = Field(
        1_000_000, ge=0, description="budget of tokens, in and out, of one UTC day; 0: none is spent"
    )
    money_per_day: float = Field(5.0, ge=0, description="budget of one UTC day, in the currency of the prices below")
    input_price: float = Field(0.0, ge=0, description="of a million tokens in; 0: money is not counted")
    output_price: float = Field(0.0, ge=0, description="of a million tokens out")
    mode: Literal["direct", "batch"] = Field(
        "direct", description="direct: answers at once; batch: the endpoint's Batch API, answers by the next night"
    )


class Rejections(_Ascending):
    """Rejected rows of one file."""

    warn: float = Field(
        0.05, ge=0, le=1, description="share of a file's rows beyond which rejected ones end `recsys ingest` with 1"
    )
    stop: float = Field(0.5, ge=0, le=1, description="share beyond which a night does not land the file, and stops")


class Tuning(_Knobs):
    """All knobs."""

    window_days: int = Field(365, ge=1, le=3660, description="how far back features and models look")
    recent_days: int = Field(30, ge=1, description="'lately' in popularity and trend")
    session_gap_minutes: int = Field(30, ge=1, description="silence after which a new session begins")
    steps_per_person: int = Field(
        400, ge=1, le=100_000, description="newest steps of a person that models of order look at"
    )
    search_term_floor: int = Field(5, ge=1, description="people who must have searched a term before it is kept")
    rejections: Rejections = Rejections()
    k_anonymity: int = Field(5, ge=1, description="people behind any published count")
    seed: int = Field(20170101, description="of everything that is drawn")
    event_weights: EventWeights = EventWeights()
    candidate_pool_size: int = Field(200, ge=50, le=1000, description="candidates per person")
    served_list_size: int = Field(50, ge=20, le=1000, description="products per person in Redis")
    served_new_at_least: int = Field(20, ge=0, description="of these, not yet bought")
    similar_items: int = Field(20, ge=1, le=500, description="kept per product")
    similar_sources: tuple[Literal["purchases", "views", "content"], ...] = Field(
        ("purchases", "views", "content"),
        min_length=1,
        description="by what products are similar, one after the other until enough are",
    )
    next_items: int = Field(20, ge=1, le=500, description="products taken after a product that are kept, per product")
    popular_items: int = Field(100, ge=50, le=5000, description="kept overall and per category")
    model_weights: ModelWeights = ModelWeights()
    blend: Blending = Blending()
    als: Als = Als()
    item_cf: ItemCf = ItemCf()
    popularity: Popularity = Popularity()
    content: Content = Content()
    repeats: Repeats = Repeats()
    repurchase_cycle: RepurchaseCycle = RepurchaseCycle()
    upsell: Upsell = Upsell()
    price_sensitivity: PriceSensitivity = PriceSensitivity()
    segment_filter: SegmentFilter = SegmentFilter()
    diversity: Diversity = Diversity()
    variants_at_most: int = Field(1, ge=0, description="products of one parent_id per list of any kind; 0: any number")
    stock_at_least: int = Field(1, ge=0, description="units in stock from which a product may be shown")
    pins: tuple[str, ...] = Field(
        (),
        description="product ids that lead people's lists and the popular ones, in this order, whatever their segment, "
        "their cycle and the caps; not where banned, out of stock, or bought before and repeats are never",
    )
    bans: tuple[str, ...] = Field((), description="product ids that are shown nowhere")
    evaluation: Evaluation = Evaluation()
    search: Search = Search()
    price_tiers: PriceTiers = PriceTiers()
    user_segments: UserSegments = UserSegments()
    user_types: UserTypes = UserTypes()
    quality: Quality = Quality()
    promotion: Promotion = Promotion()
    planner: Planner = Planner()
    offers: Offers = Offers()
    copywriting: Copywriting = Copywriting()
    keep_generations: int = Field(3, ge=2, le=30, description="generations kept for rollback")
    late_days: int = Field(7, ge=0, le=60, description="days before a night's day that it redoes where rows came late")
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
