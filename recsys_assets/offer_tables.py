"""Tables of what is offered, and in which words; `tables` says what holds for all of them."""

import polars as pl

from recsys_assets import columns as cols
from recsys_assets.table import Table

PLAN_FIGURES = Table(  # user_type 'all' is everybody
    "plan_figures",
    "as_of",
    ("user_type", "target", "metric", "model"),
    cols.texts("user_type", "target", "metric", "model")
    | {"value": cols.SHARE}
    | dict.fromkeys(("low", "high", "gain", "gain_low", "gain_high"), cols.SHARE)  # gain: of the planner over the model
    | {"people": cols.COUNT},
    "How well plans foretell people's next basket, beside baselines, with 95 % paired bootstrap intervals over people.",
)
PLANS = Table(
    "plans",
    "as_of",
    ("person_key",),
    {
        "person_key": cols.KEY,
        "intent": pl.String(),  # gift / upgrade / accessory / replenish / explore
        "intent_probability": cols.SHARE,
        "categories": pl.List(pl.String()),  # likeliest main categories of the next basket, up to three
        "category_probabilities": pl.List(pl.Float64()),
        **dict.fromkeys(("price_low_micros", "price_middle_micros", "price_high_micros"), cols.MONEY),
        "trigger": pl.String(),  # on-page / in-cart / post-purchase
        "purchase_probability": cols.SHARE,  # of a basket within the planner's horizon
        "language": pl.String(),  # of the words beside the offer
        "product_ids": pl.List(pl.String()),  # the offer, in order
        "reason_codes": pl.List(pl.String()),
        "offer_intents": pl.List(pl.String()),  # what the words beside each product may say: see `logic.copy_texts`
        "scored_categories": pl.List(pl.String()),  # what the plan was made of: a visit adds to it
        "category_scores": pl.List(pl.Float64()),
        "intent_scores": pl.List(pl.Float64()),
        "trigger_scores": pl.List(pl.Float64()),
    },
    "What one person is after next, and the products to offer for it.",
)
COPY = Table(
    "copy",
    "as_of",
    ("product_id", "intent", "trigger", "reason_kind", "language"),
    cols.texts("product_id", "intent", "trigger", "reason_kind", "language")
    | cols.texts("headline", "sentence", "call_to_action")  # with slots, which are filled whenever they are shown
    | cols.texts("source", "facts_hash", "tone", "prompt_version", "model"),  # source: model / template
    "Words beside an offered product, by what they are for; no amount stands in them.",
)
WRITTEN_COPY = Table(
    "written_copy",
    "daily",
    ("text_id", "written_at"),
    cols.texts("text_id", "product_id", "facts_hash", "intent", "reason_kind", "tone", "language", "prompt_version")
    | cols.texts("headline", "sentence", "call_to_action")
    | cols.texts("outcome", "says", "model", "facts")  # outcome: accepted, refused, late …; facts: as JSON
    | cols.texts("batch_id")  # of the endpoint's Batch API, or null
    | {"tokens_in": cols.COUNT, "tokens_out": cols.COUNT, "money": cols.SHARE, "latency_ms": cols.SHARE}
    | {"attempts": cols.COUNT, "written_at": cols.TIME, "event_date": cols.DAY},
    "Every call to a language model: what it was asked, what came of it, what it cost; accepted texts are kept by key.",
)
