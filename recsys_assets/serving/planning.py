"""A person's plan as the night made it, moved by the visit; and as it goes over the wire and comes back."""

from dataclasses import dataclass
from typing import Any, Literal

from recsys_assets.amounts import MICROS
from recsys_assets.logic.plans import Look, Plan, PlanningTerms, Visit, cut, plan_of, with_visit
from recsys_assets.serving.asking import within
from recsys_assets.serving.offer_schemas import PlanBody, SessionData
from recsys_assets.serving.pointer import Live
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.reading import Facts, Sources
from recsys_assets.serving.shaping import money

_PLACES = 4


@dataclass(frozen=True)
class Planning:
    """What the live generation says of planning: the terms, and the plan of somebody unknown."""

    terms: PlanningTerms
    new: Plan

    @classmethod
    def of(cls, live: Live) -> "Planning":
        """Of the live generation.

        Raises:
            ProblemError: 503, it has no plans: it was made before there were any.
        """
        if live.planning is None:
            raise ProblemError(503, "No plans", "The live generation has no plans; the next one will have.")
        return cls(PlanningTerms.of(live.planning["terms"]), plan_of(live.planning["new"]))


@dataclass(frozen=True)
class Planned:
    """A plan, where it came from, the language that the night chose, and which store said so."""

    plan: Plan
    source: Literal["batch", "session", "default"]
    language: str | None
    store: str


async def planned(live: Live, planning: Planning, sources: Sources, key: str | None, session: SessionData) -> Planned:
    """The plan of the person with ``key``, None: of nobody known. Who opted out has that of somebody unknown.

    What a visit of theirs says is left aside then, too: they are told nothing that was made of what they did.
    """
    with within():
        found = await sources.plan(live, key) if key is not None else None
        suppressed = found is not None and found.suppressed
        visit = Visit() if suppressed else await _visit(live, planning.terms, sources, session)
    row = found.row if found else None
    plan = plan_of(row) if row else planning.new
    store = found.store if found else "memory"
    moved = with_visit(plan, visit, planning.terms, planning.new)
    source: Literal["batch", "session", "default"] = "session" if visit != Visit() else "batch" if row else "default"
    return Planned(moved, source, row["language"] if row else None, store)


async def _visit(live: Live, terms: PlanningTerms, sources: Sources, session: SessionData) -> Visit:
    """What was done, of products that the catalogue knows."""
    cart = set(session.cart)
    looked = list(dict.fromkeys([*session.viewed, *session.cart]))
    facts = await sources.facts(live, list(dict.fromkeys([*looked, *session.purchased])))
    looks = tuple(_look(facts[product], product in cart, terms.depth) for product in looked if product in facts)
    return Visit(looks, tuple(session.searches), any(product in facts for product in session.purchased))


def _look(known: Facts, cart: bool, depth: int) -> Look:
    return Look(cut(known.category, depth), known.price_micros, cart)


def told(plan: Plan, terms: PlanningTerms, language: str, currency: str, *, all_of_it: bool) -> dict[str, Any]:
    """Schema PlanBody. ``all_of_it``: the asker may know how likely the person is to buy."""
    low, middle, high = plan.bracket or (None, None, None)
    budget = {"low": money(low), "middle": money(middle), "high": money(high), "currency": currency}
    chance = plan.purchase_probability
    return {
        "intent": plan.intent(terms),
        "intentProbabilities": {name: round(share, _PLACES) for name, share in plan.chances().items()},
        "targetCategories": [{"category": name, "probability": round(p, _PLACES)} for name, p in plan.top()],
        "budget": budget if plan.bracket else None,
        "trigger": plan.trigger(),
        "purchaseProbability": round(chance, _PLACES) if all_of_it and chance is not None else None,
        "language": language,
        "madeBy": dict(terms.made_by),
    }


def columns(body: PlanBody) -> dict[str, Any]:
    """The plan that came over the wire as columns of table PLANS, for `logic.offers`; what was edited holds."""
    prices = sorted((body.budget.low, body.budget.middle, body.budget.high)) if body.budget else []
    micros: list[int | None] = [round(price * MICROS) for price in prices] or [None] * 3
    return {
        "intent": body.intent,
        "categories": [one.category for one in body.target_categories],
        "category_probabilities": [one.probability for one in body.target_categories],
        "price_low_micros": micros[0],
        "price_middle_micros": micros[1],
        "price_high_micros": micros[2],
        "trigger": body.trigger,
    }
