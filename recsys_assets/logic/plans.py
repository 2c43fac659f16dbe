"""What a person is after next, and how a visit that no night has seen changes it.

The night writes down, beside each plan, the scores it was made of. A visit adds its own terms to them: sums of a few
numbers, so that an answer needs no model, no library and no thread.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from recsys_assets.amounts import MICROS
from recsys_assets.logic.copy_facts import INTENTS, TRIGGERS, Intent, Trigger

TOP = 3
# What a visit says, in the order of `PlanningTerms.intents`' columns.
VISIT_FEATURES = ("looked", "carted", "gift", "dearer", "familiar")
LEAST = 1e-6  # probability below which a logarithm would run away
_DEAREST = 1_000_000_000 * MICROS
# What Unicode and polars call space. Python also strips four separators of the age of punched cards.
_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)


@dataclass(frozen=True)
class Look:
    """One product of a visit: its plan category and price where they are known, and whether it is in the cart."""

    category: str | None = None
    price_micros: int | None = None
    cart: bool = False


@dataclass(frozen=True)
class Visit:
    """A visit so far. ``queries`` are what was searched for; ``bought``: something was ordered in it."""

    looks: tuple[Look, ...] = ()
    queries: tuple[str, ...] = ()
    bought: bool = False


@dataclass(frozen=True)
class PlanningTerms:
    """What turns scores into a plan: published with a generation, so that reader and night agree.

    ``category`` are the weights of a category's share of what was looked at and carted; ``intents`` the weights of
    `VISIT_FEATURES`, a row per intent; ``price`` how far the price of what is looked at moves the bracket. ``shares``,
    to the power of ``sharpness``, is what an intent's probability is held against before the greatest is named: rare
    intents would otherwise never be.
    """

    depth: int
    gift_words: tuple[str, ...]
    category: tuple[float, float] = (0.0, 0.0)
    intents: tuple[tuple[float, ...], ...] = tuple((0.0,) * len(VISIT_FEATURES) for _ in INTENTS)
    price: float = 0.0
    shares: tuple[float, ...] = tuple(1 / len(INTENTS) for _ in INTENTS)
    sharpness: float = 0.0
    made_by: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `of` is the reverse."""
        return {
            "depth": self.depth, "gift_words": list(self.gift_words), "category": list(self.category),
            "intents": [list(row) for row in self.intents], "price": self.price, "shares": list(self.shares),
            "sharpness": self.sharpness, "made_by": dict(self.made_by),
        }  # fmt: skip

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The terms that `to_json` wrote."""
        return cls(
            values["depth"], tuple(values["gift_words"]), (values["category"][0], values["category"][1]),
            tuple(tuple(row) for row in values["intents"]), values["price"], tuple(values["shares"]),
            values["sharpness"], dict(values["made_by"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What somebody is after next.

    ``categories`` are scores (log odds of being the main category of the next basket), best first; ``intents`` and
    ``triggers`` log probabilities in the order of INTENTS and TRIGGERS; ``bracket`` the floor, middle and ceiling of
    the next basket's item prices, micros. ``purchase_probability`` is that of buying anything within the horizon.
    """

    categories: tuple[tuple[str, float], ...]
    intents: tuple[float, ...]
    triggers: tuple[float, ...]
    bracket: tuple[int, int, int] | None
    purchase_probability: float | None = None

    def top(self) -> list[tuple[str, float]]:
        """The `TOP` likeliest categories with their probabilities, which sum to 1 at most."""
        best = sorted(((name, score) for name, score in self.categories if name), key=lambda one: (-one[1], one[0]))
        total = max(1.0, sum(_chance(score) for _, score in best))
        return [(name, _chance(score) / total) for name, score in best[:TOP]]

    def chances(self) -> dict[Intent, float]:
        """Intent → probability; they sum to 1."""
        return dict(zip(INTENTS, softmax(self.intents), strict=True))

    def intent(self, terms: PlanningTerms) -> Intent:
        """The one that the plan names: the likeliest, where rare ones are helped (`PlanningTerms`)."""
        return named(self.intents, terms.shares, terms.sharpness)

    def trigger(self) -> Trigger:
        """The likeliest moment."""
        return TRIGGERS[max(range(len(TRIGGERS)), key=lambda place: (self.triggers[place], -place))]


def plan_of(row: Mapping[str, Any]) -> Plan:
    """The plan of a row of table PLANS, as the lake, Postgres and Redis hold it."""
    prices = (row["price_low_micros"], row["price_middle_micros"], row["price_high_micros"])
    return Plan(
        tuple(zip(row["scored_categories"], row["category_scores"], strict=True)),
        tuple(row["intent_scores"]),
        tuple(row["trigger_scores"]),
        None if None in prices else prices,
        row["purchase_probability"],
    )


def row_of(plan: Plan, terms: PlanningTerms) -> dict[str, Any]:
    """The columns of table PLANS that say what is planned; `plan_of` is the reverse."""
    intent, top = plan.intent(terms), plan.top()
    low, middle, high = plan.bracket or (None, None, None)
    return {
        "intent": intent,
        "intent_probability": plan.chances()[intent],
        "categories": [name for name, _ in top],
        "category_probabilities": [chance for _, chance in top],
        "price_low_micros": low,
        "price_middle_micros": middle,
        "price_high_micros": high,
        "trigger": plan.trigger(),
        "purchase_probability": plan.purchase_probability,
        "scored_categories": [name for name, _ in plan.categories],
        "category_scores": [score for _, score in plan.categories],
        "intent_scores": list(plan.intents),
        "trigger_scores": list(plan.triggers),
    }


def softmax(scores: Sequence[float]) -> list[float]:
    """Probabilities from log probabilities that need not sum to 1.

    >>> [round(p, 3) for p in softmax([0.0, 0.0])]
    [0.5, 0.5]
    """
    most = max(scores)
    shares = [math.exp(score - most) for score in scores]
    return [share / sum(shares) for share in shares]


def named(scores: Sequence[float], shares: Sequence[float], sharpness: float) -> Intent:
    """The intent with the highest probability over its share to the power of ``sharpness``; the first on a tie.

    >>> named([-0.5, -0.9, -9.0, -9.0, -9.0], [0.6, 0.1, 0.1, 0.1, 0.1], 0.0)
    'gift'
    >>> named([-0.5, -0.9, -9.0, -9.0, -9.0], [0.6, 0.1, 0.1, 0.1, 0.1], 1.0)
    'upgrade'
    """
    held = [score - sharpness * math.log(max(share, LEAST)) for score, share in zip(scores, shares, strict=True)]
    return INTENTS[max(range(len(INTENTS)), key=lambda place: (held[place], -place))]


def cut(path: str | None, depth: int) -> str | None:
    """The plan category of a category path, as `logic.baskets.plan_category` says it of a column.

    >>> cut("Grocery > Bread > Rye", 2), cut(" > ", 2), cut(None, 2)
    ('Grocery > Bread', None, None)
    """
    parts = [part.strip(_SPACE) for part in (path or "").split(">")]
    return " > ".join([part for part in parts if part][:depth]) or None


def is_gift(text: str, gift_words: Sequence[str]) -> bool:
    """Whether one of the words stands in a text, as a word.

    >>> is_gift("Gift cards > Paper", ("gift",)), is_gift("Gifted", ("gift",))
    (True, False)
    """
    words = "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()
    return any(word.lower() in words for word in gift_words)


def visit_features(visit: Visit, plan: Plan, terms: PlanningTerms) -> list[float]:
    """`VISIT_FEATURES` of a visit, given what was planned before it; all 0 where nothing was looked at.

    - looked: log(1 + products looked at)
    - carted: 1 where something is in the cart
    - gift: share of the looks and searches whose category, or words, speak of gifts
    - dearer: mean log price of the looks over the middle of the bracket, within ±2
    - familiar: share of the looks in the plan's own best categories
    """
    seen = len(visit.looks)
    if not seen and not visit.queries:
        return [0.0] * len(VISIT_FEATURES)
    said = [look.category or "" for look in visit.looks] + list(visit.queries)
    gift = sum(is_gift(text, terms.gift_words) for text in said) / len(said)
    usual = {name for name, _ in plan.top()}
    return [
        math.log1p(seen),
        float(any(look.cart for look in visit.looks)),
        gift,
        _dearer(visit, plan),
        sum(look.category in usual for look in visit.looks) / max(1, seen),
    ]


def with_visit(plan: Plan, visit: Visit, terms: PlanningTerms, new: Plan) -> Plan:
    """The plan of somebody in the middle of a visit.

    Args:
        plan: what the night planned for them, or ``new``.
        visit: what they have done since.
        terms: the generation's.
        new: the plan of somebody unknown: scores of categories that the person's own plan does not hold.
    """
    if not visit.looks and not visit.queries and not visit.bought:
        return plan
    own, shop = dict(plan.categories), dict(new.categories)
    least = min([*shop.values(), *own.values()], default=math.log(LEAST))
    carts = sum(look.cart for look in visit.looks)
    for name in {look.category for look in visit.looks if look.category}:
        here = [look for look in visit.looks if look.category == name]
        own[name] = (
            own.get(name, shop.get(name, least))
            + terms.category[0] * len(here) / len(visit.looks)
            + terms.category[1] * sum(look.cart for look in here) / max(1, carts)
        )
    features = visit_features(visit, plan, terms)
    intents = tuple(
        score + sum(weight * value for weight, value in zip(weights, features, strict=True))
        for score, weights in zip(plan.intents, terms.intents, strict=True)
    )
    moment: Trigger = "post-purchase" if visit.bought else "in-cart" if carts else "on-page"
    triggers = tuple(0.0 if name == moment else math.log(LEAST) for name in TRIGGERS)
    return replace(
        plan,
        categories=tuple(sorted(own.items(), key=lambda one: (-one[1], one[0]))),
        intents=intents,
        triggers=triggers,
        bracket=moved(plan.bracket, math.exp(terms.price * _dearer(visit, plan))),
    )


def moved(bracket: tuple[int, int, int] | None, times: float) -> tuple[int, int, int] | None:
    """A bracket at another level of prices."""
    if bracket is None:
        return None
    low, middle, high = (min(_DEAREST, max(1, round(price * times))) for price in bracket)
    return low, middle, high


def _chance(score: float) -> float:
    return 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score))


def _dearer(visit: Visit, plan: Plan) -> float:
    prices = [look.price_micros for look in visit.looks if look.price_micros and look.price_micros > 0]
    if not prices or plan.bracket is None:
        return 0.0
    mean = sum(math.log(price) for price in prices) / len(prices)
    return max(-2.0, min(2.0, mean - math.log(plan.bracket[1])))
