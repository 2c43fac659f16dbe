"""What the planner's and the generator's routes are asked and answer, as models; camelCase, as their contract says.

A plan is answered and taken back in one form: whoever edits it in between is told which field cannot be.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from recsys_assets.logic.copy_facts import Intent, Language, Trigger
from recsys_assets.logic.copy_templates import render, slot_values, template
from recsys_assets.logic.copywriting import LEAST_DISCOUNT
from recsys_assets.serving.bodies import Body
from recsys_assets.serving.schemas import MAX_MONEY, Answered, Id, Milliseconds

MAX_LOOKS, MAX_SEARCHES, MAX_SLICE, MAX_TURNS, MAX_SHOWN = 200, 50, 5_000, 20, 50
MAX_WORDS, MAX_TEXT = 500, 2_000
_CAMEL = ConfigDict(alias_generator=to_camel)
_Text = Annotated[str, Field(max_length=MAX_TEXT, pattern=r"^[^\u0000]*$")]
_Words = Annotated[str, Field(max_length=MAX_WORDS, pattern=r"^[^\u0000]*$")]
_Amount = Annotated[float, Field(ge=0, le=MAX_MONEY)]
_Chance = Annotated[float, Field(ge=0, le=1)]


class TargetCategory(Body):
    """A category that the next basket is likely to be about."""

    category: _Text = Field(description="The first levels of a category path, joined by ' > '.")
    probability: _Chance = Field(0.5, description="Of being the main category of the next basket.")


class Budget(Body):
    """What a product of the next basket costs: quantiles, ascending."""

    low: _Amount
    middle: _Amount
    high: _Amount
    currency: str | None = Field(None, max_length=3, description="The shop's; another one is refused.")


class PlanBody(Body):
    """What a person is after next. Everything may be left out of a plan that is sent."""

    model_config = _CAMEL
    intent: Intent = Field("explore", description="What the next basket is for.")
    intent_probabilities: dict[Intent, _Chance] = Field({}, description="They sum to 1.")
    target_categories: list[TargetCategory] = Field([], max_length=10, description="Likeliest first.")
    budget: Budget | None = Field(None, description="Null where no price is known.")
    trigger: Trigger = Field("on-page", description="The moment to offer something.")
    purchase_probability: _Chance | None = Field(None, description="Of any basket soon; null without scope `profiles`.")
    language: Language = Field("en", description="Of the words.")
    made_by: dict[str, str] = Field({}, description="What made each part: trees, or the shop's habits (usual).")


class SessionData(Body):
    """A visit so far. Products that the shop does not know say nothing."""

    viewed: list[Id] = Field([], max_length=MAX_LOOKS, description="Products looked at, in order.")
    cart: list[Id] = Field([], max_length=MAX_LOOKS, description="Products in the cart.")
    purchased: list[Id] = Field([], max_length=MAX_LOOKS, description="Products ordered in this visit.")
    searches: list[_Words] = Field([], max_length=MAX_SEARCHES, description="What was searched for.")


class PlannerRequest(Body):
    """Whose plan, and what they have done in this visit. Nothing of it is stored."""

    model_config = _CAMEL
    user_id: Id | None = Field(None, description="The shop's id of the person, or `key:<32 hex digits>`.")
    anon_id: Id | None = Field(None, description="An anonymous id; asked where there is no user's.")
    session_data: SessionData = Field(SessionData.model_validate({}), description="The visit so far.")
    language: Language | None = Field(None, description="Of the words; default: the person's.")


class PlannerAnswer(Answered):
    """A plan."""

    model_config = _CAMEL
    user_id: str | None = Field(description="As asked.")
    anon_id: str | None = Field(description="As asked.")
    plan: PlanBody
    source: Literal["batch", "session", "default"] = Field(
        description="The night's plan, one moved by the visit, or that of somebody unknown."
    )
    generation: int = Field(description="Number of the generation that answered.")
    generated_at: datetime = Field(description="When that generation was made.")
    processing_time_ms: Milliseconds


class SliceProduct(Body):
    """A product that may be offered, as the caller's catalogue has it."""

    model_config = _CAMEL
    id: Id
    name: _Text | None = None
    category: _Text | None = Field(None, description="A category path, parts joined by ' > '.")
    brand: _Text | None = None
    price: _Amount | None = Field(None, description="In the shop's currency.")
    list_price: _Amount | None = Field(None, description="Before a discount.")
    currency: str | None = Field(None, max_length=3, description="Default: the shop's; others are left out.")
    image_url: _Text | None = None
    url: _Text | None = None
    parent_id: Id | None = Field(None, description="Variants of one product have the same.")
    tags: list[_Words] = Field([], max_length=100)
    in_stock: bool | None = None


class Turn(Body):
    """One thing that a person has said about what they were shown: "cheaper", "another brand", "not this one" …"""

    says: _Words = Field(description="In English or German.")
    shown: list[Id] = Field([], max_length=MAX_SHOWN, description="Products that they were shown.")
    about: Id | None = Field(None, description="The product that they mean by this one.")


class GeneratorRequest(Body):
    """A plan and what may be offered. Nothing of it is stored."""

    model_config = _CAMEL
    plan: PlanBody
    catalog_slice: list[Id | SliceProduct] = Field(
        max_length=MAX_SLICE, description="Ids of the catalogue, or products with their facts; best first."
    )
    turns: list[Turn] = Field([], max_length=MAX_TURNS, description="What the person has said so far, in order.")
    user_id: Id | None = Field(
        None,
        description='Echoed; words say "again" of what they bought, and what is not to be shown to them is left out.',
    )


class Offered(Answered):
    """One product with its words. Amounts are slots that were filled just now; every text is text, not markup."""

    model_config = _CAMEL
    product_id: str
    name: str
    image_url: str | None
    url: str | None
    price: float
    list_price: float | None = Field(description=f"Null where there is no discount of {LEAST_DISCOUNT} % or more.")
    discount: int | None = Field(description="Whole per cent off the list price, rounded down.")
    currency: str
    headline: str
    sentence: str
    call_to_action: str
    copy_source: Literal["model", "template"] = Field(description="Who wrote the words.")
    fit: float = Field(ge=0, le=1, description="How well the product fits the plan.")


class LeftOut(Answered):
    """A product of the slice that could not be offered."""

    id: str
    why: Literal["unknown", "no name", "no price", "other currency", "sold out", "not for sale", "not for this person"]


class GeneratorAnswer(Answered):
    """Three to five products, fewer where the slice has fewer."""

    model_config = _CAMEL
    user_id: str | None = Field(description="As asked.")
    recommendations: list[Offered] = Field(description="Best first.")
    plan: PlanBody = Field(description="As asked, and moved by what was said.")
    left_out: list[LeftOut] = Field(description="The first twenty products that could not be offered.")
    unmet: list[str] = Field(description="Wishes that nothing in the slice meets; they were let go.")
    not_understood: list[str] = Field(description="What was said and changed nothing.")
    generation: int = Field(description="Number of the generation that answered.")
    processing_time_ms: Milliseconds


PLAN_EXAMPLE: dict[str, Any] = {
    "intent": "replenish",
    "intentProbabilities": {"gift": 0.01, "upgrade": 0.06, "accessory": 0.08, "replenish": 0.52, "explore": 0.33},
    "targetCategories": [{"category": "Grocery > Soft Drinks", "probability": 0.21}],
    "budget": {"low": 0.99, "middle": 2.49, "high": 5.99, "currency": "USD"},
    "trigger": "on-page",
    "purchaseProbability": None,
    "language": "en",
    "madeBy": {"category": "trees", "bracket": "trees", "intent": "trees"},
}
PLANNER_REQUEST: dict[str, Any] = {
    "userId": "2375",
    "sessionData": {"viewed": ["1082185", "995242"], "cart": ["995242"], "purchased": [], "searches": ["cola"]},
}
PLANNER_ANSWER: dict[str, Any] = {
    "userId": "2375", "anonId": None, "plan": PLAN_EXAMPLE, "source": "session", "generation": 4,
    "generatedAt": "2017-12-31T03:00:00+00:00", "processingTimeMs": 1.204,
}  # fmt: skip
GENERATOR_REQUEST: dict[str, Any] = {
    "plan": PLAN_EXAMPLE,
    "catalogSlice": ["1082185", {"id": "995242", "name": "Cola", "category": "Grocery > Soft Drinks", "price": 1.99}],
    "turns": [{"says": "cheaper", "shown": ["1082185"], "about": None}],
}
# Of "replenish" without a person: nobody is known to have bought it, so the words are those of "explore".
_COLA = render(
    template("en", "explore", "on-page", discounted=False),
    slot_values("Cola", None, 1_990_000, None, "USD", "Corner Shop", "en"),
)
GENERATOR_ANSWER: dict[str, Any] = {
    "userId": None,
    "recommendations": [
        {
            "productId": "995242", "name": "Cola", "imageUrl": None, "url": None, "price": 1.99, "listPrice": None,
            "discount": None, "currency": "USD", "headline": _COLA.headline, "sentence": _COLA.sentence,
            "callToAction": _COLA.call_to_action, "copySource": "template", "fit": 0.81,
        },
    ],
    "plan": PLAN_EXAMPLE, "leftOut": [{"id": "1082185", "why": "sold out"}], "unmet": [], "notUnderstood": [],
    "generation": 4, "processingTimeMs": 3.412,
}  # fmt: skip
