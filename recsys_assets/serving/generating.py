"""A plan and a slice of the catalogue → the products that are offered, in words whose slots were filled just now.

Facts are the catalogue's, or the caller's own for products that come with them. Words of a language model are taken
only where the night wrote them for these facts: with a discount that has begun or ended since they say something else.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recsys_assets.logic.copy_facts import Intent, Text
from recsys_assets.logic.copy_templates import render, slot_values, template
from recsys_assets.logic.copywriting import discount_percent, is_discounted
from recsys_assets.logic.safe_text import web_link
from recsys_assets.serving.api import Api
from recsys_assets.serving.offer_schemas import GeneratorRequest, PlanBody, SliceProduct
from recsys_assets.serving.pointer import Live
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.record import record
from recsys_assets.serving.shaping import money
from recsys_assets.serving.slices import Bounds, Product, catalogued, own
from recsys_assets.tuning import Tuning

if TYPE_CHECKING:
    from recsys_assets.serving.choosing import Choice

TOLD_LEFT_OUT = 20
_OF_ANYBODY = ("popular", "pinned")  # reasons that say nothing of the person


class Generator:
    """Offers of one process."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def offer(self, live: Live, asked: GeneratorRequest) -> dict[str, Any]:
        """Schema GeneratorAnswer, but for the time it took.

        Raises:
            ProblemError: 503, facts or a person's list are asked for and no store knows them.
        """
        config = self._api.home.config
        bought, bounds, reasons = await self._person(live, asked.user_id)
        products, left_out = await self._products(asked.catalog_slice, bounds)
        categories = {fact.category for fact in (await self._api.reader.sources.facts(live, sorted(bought))).values()}
        # Some milliseconds of processor: in a thread, so that nobody else's answer waits for them.
        choice = await asyncio.to_thread(_choose, asked, products, bought, categories, config.tuning)
        by_id = {product.id: product for product in products}
        texts = await self._texts(live, asked.plan, [product for product, _ in choice.products], reasons)
        made = [
            self._told(by_id[product], fit, asked.plan, product in bought, texts) for product, fit in choice.products
        ]
        return {
            "userId": asked.user_id,
            "recommendations": made,
            "plan": _moved(asked.plan, choice.plan, config.currency),
            "leftOut": left_out[:TOLD_LEFT_OUT],
            "unmet": list(choice.unmet),
            "notUnderstood": list(choice.not_understood),
            "generation": live.generation,
        }

    async def _products(
        self, asked: Sequence[str | SliceProduct], bounds: Bounds
    ) -> tuple[list[Product], list[dict[str, str]]]:
        """What may be offered, each product once, in order; and what may not, with the reason."""
        currency = self._api.home.config.currency
        names = list(dict.fromkeys(one for one in asked if isinstance(one, str)))
        known = {}
        if names:
            rows = await record(self._api, "read/facts", {"products": names})
            known = {row["product_id"]: row for row in rows}
        found, left_out = dict[str, Product](), dict[str, str]()
        for one in asked:
            product = (
                own(one, currency, bounds) if isinstance(one, SliceProduct) else catalogued(one, known.get(one), bounds)
            )
            if isinstance(product, Product):
                found.setdefault(product.id, product)
            else:
                left_out.setdefault(one if isinstance(one, str) else one.id, product)
        return list(found.values()), [{"id": name, "why": why} for name, why in left_out.items() if name not in found]

    async def _person(self, live: Live, user_id: str | None) -> tuple[set[str], Bounds, dict[str, str]]:
        """What the person of the request has bought and may be offered, and why the night offers them what it does.

        Nothing of somebody who is not named, not known, or not to be told what was made of what they did.
        """
        tuning = self._api.home.config.tuning
        if user_id is None:
            return set(), Bounds(tuning.bans), {}
        key, sources = self._api.home.keys.resolve(user_id), self._api.reader.sources
        people = (await sources.find(live, [key], [])).people
        if people[0].owned is None:  # all that they bought is in the record alone
            people = await sources.candidates(live, [key]) or people
        person, plan = people[0], await sources.plan(live, key)
        row = plan.row or {"product_ids": (), "reason_codes": ()}
        reasons = dict(zip(row["product_ids"], row["reason_codes"], strict=True))
        bought = {product["id"] for product in person.products if product["purchased"]}
        bought |= {*person.withheld, *(person.owned or ())}
        bounds = Bounds(tuning.bans, person.withheld, person.tiers, bought.union(tuning.pins))
        return bought, bounds, reasons

    async def _texts(
        self, live: Live, plan: PlanBody, products: Sequence[str], reasons: dict[str, str]
    ) -> dict[tuple[str, str], Text]:
        """What a model wrote, by product and intent: for the person's own reason, else for one that is true of anybody.

        Nothing where Postgres is away: the words are not worth an error, and templates stand in.
        """
        values = {
            "generation": live.generation, "products": list(products), "trigger": plan.trigger,
            "language": plan.language,
        }  # fmt: skip
        try:
            rows = await record(self._api, "read/copy", values) if products else []
        except ProblemError:
            return {}
        return {
            (row["product_id"], row["intent"]): Text.of(row)
            for row in rows
            if row["reason_kind"] == reasons.get(row["product_id"])
            or (row["product_id"] not in reasons and row["reason_kind"] in _OF_ANYBODY)
        }

    def _told(
        self, product: Product, fit: float, plan: PlanBody, bought: bool, texts: dict[tuple[str, str], Text]
    ) -> dict[str, Any]:
        config = self._api.home.config
        discounted = is_discounted(product.price_micros, product.list_price_micros)
        before = product.list_price_micros if discounted else None
        # "Again" is only said of what the person is known to have bought.
        intent: Intent = "explore" if plan.intent == "replenish" and not bought else plan.intent
        values = slot_values(
            product.name, product.brand, product.price_micros, before, config.currency, config.shop_name, plan.language
        )
        written = texts.get((product.id, intent)) if product.known else None
        fits = written is not None and all(slot in values for slot in written.slots())
        ours = template(plan.language, intent, plan.trigger, discounted=discounted)
        shown = render(written if written is not None and fits else ours, values)
        return {
            "productId": product.id,
            "name": product.name,
            "imageUrl": web_link(product.image_url),
            "url": web_link(product.url),
            "price": money(product.price_micros),
            "listPrice": money(before),
            "discount": discount_percent(product.price_micros, before),
            "currency": config.currency,
            "headline": shown.headline,
            "sentence": shown.sentence,
            "callToAction": shown.call_to_action,
            "copySource": "model" if fits else "template",
            "fit": round(fit, 6),
        }


def _choose(
    asked: GeneratorRequest, products: Sequence[Product], bought: set[str], categories: set[str | None], tuning: Tuning
) -> "Choice":
    from recsys_assets.serving.choosing import choose

    return choose(asked, products, bought, categories, tuning)


def _moved(asked: PlanBody, row: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """The plan as it was sent, with what was said in it."""
    prices = {name: money(row[f"price_{name}_micros"]) for name in ("low", "middle", "high")}
    pairs = zip(row["categories"], row["category_probabilities"], strict=True)
    return asked.model_dump(by_alias=True) | {
        "targetCategories": [{"category": name, "probability": chance} for name, chance in pairs],
        "budget": prices | {"currency": currency} if None not in prices.values() else None,
    }
