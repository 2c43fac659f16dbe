"""Why a product stands where it stands on somebody's list, and why another one does not: in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from recsys_assets.columns import MEMBERS
from recsys_assets.logic.choices import Choices
from recsys_assets.tuning import Tuning

Price = Callable[[int | None], str]


@dataclass(frozen=True)
class Told:
    """What a day's tables hold of one person, and of the products in question.

    ``lists``, ``candidates``, ``effects`` and ``bought`` are the person's rows of LISTS, CANDIDATES, RULE_EFFECTS and
    INTERACTIONS; ``profile`` the row of USER_PROFILES (empty: none). ``products`` and ``cycles`` are tables CATALOG and
    REPURCHASE_CYCLES, ``tiers`` says each product's price tier.
    """

    day: date
    lists: pl.DataFrame
    candidates: pl.DataFrame
    effects: pl.DataFrame
    bought: pl.DataFrame
    profile: Mapping[str, Any]
    products: pl.DataFrame
    cycles: pl.DataFrame
    tiers: pl.DataFrame


@dataclass(frozen=True)
class Explained:
    """One product for one person. Scores are None where Level 1 did not put it forward, places where it has none."""

    product_id: str
    name: str | None
    price: str
    position: int | None
    rank: int | None
    score: float | None
    level_1_score: float | None
    members: dict[str, float] = field(default_factory=dict)
    confidence: float | None = None
    reason: str | None = None
    rules: tuple[str, ...] = ()


class Explainer:
    """Explains one person's products of one day.

    Args:
        told: what the tables hold.
        choices: what validation chose on that day.
        tuning: the knobs of that day's rules.
        price: millionths → what a person reads.
    """

    def __init__(self, told: Told, choices: Choices, tuning: Tuning, price: Price) -> None:
        self.told, self.choices, self.tuning, self.price = told, choices, tuning, price
        self._listed, self._candidates, self._effects, self._bought, self._products, self._cycles, self._tiers = (
            _by_product(frame)
            for frame in (
                told.lists, told.candidates, told.effects, told.bought, told.products, told.cycles, told.tiers
            )
        )  # fmt: skip

    def served(self, limit: int) -> list[Explained]:
        """The first ``limit`` products of the served list."""
        rows = self.told.lists.filter(pl.col("position") <= limit).sort("position")
        return [self.product(product) for product in rows["product_id"]]

    def taken_out(self, limit: int) -> list[Explained]:
        """The ``limit`` best candidates that a rule took out of the list or of its served part, best first."""
        out = self.told.effects.drop_nulls("dropped_by").select("product_id")
        best = self.told.candidates.join(out, on="product_id").sort("score", "product_id", descending=[True, False])
        return [self.product(product) for product in best["product_id"].head(limit)]

    def product(self, product: str) -> Explained:
        """Any product of the shop, also one that is not there."""
        facts, listed = self._products.get(product, {}), self._listed.get(product, {})
        candidate = self._candidates.get(product, {})
        return Explained(
            product,
            facts.get("name"),
            self.price(facts.get("unit_price_micros")),
            listed.get("position"),
            listed.get("rank"),
            _rounded(listed.get("score")),
            _rounded(candidate.get("score")),
            {name: _rounded(candidate[name]) or 0.0 for name in MEMBERS if candidate.get(name) is not None},
            _rounded(listed.get("confidence")),
            listed.get("reason"),
            tuple(self._rules(product)),
        )

    def _rules(self, product: str) -> list[str]:
        listed, effect = self._listed.get(product), self._effects.get(product, {})
        said = [*self._factors(product, effect)]
        if product in self.tuning.pins and listed:
            said.append(f"pinned by the shop as number {self.tuning.pins.index(product) + 1}")
        elif listed and effect.get("score_place") not in (None, listed["rank"]):
            said.append(f"moved from place {effect['score_place']} by score to {listed['rank']} by diversity")
        if why_out := effect.get("dropped_by"):
            said.append(self._dropped(product, why_out))
        elif listed is None:
            said.append(self._not_a_candidate(product))
        elif listed["position"] is None:
            served = (
                f"the best {self.tuning.served_list_size} are served, {self.tuning.served_new_at_least} of them new"
            )
            said.append(f"not served: place {listed['rank']} of {self.told.lists.height}, and {served}")
        return said

    def _factors(self, product: str, effect: Mapping[str, Any]) -> list[str]:
        usual = self.told.profile.get("average_item_price_micros")
        costs = f"costs {self.price(self._products.get(product, {}).get('unit_price_micros'))}"
        tolerance = self.tuning.price_sensitivity.budget_tolerance
        said = []
        if effect.get("price_factor", 1) != 1:
            said.append(
                f"score × {effect['price_factor']:.3f}: {costs}, beyond the budget of {tolerance:g} × the usual "
                f"{self.price(usual)}"
            )
        if effect.get("upsell_factor", 1) != 1:
            said.append(
                f"score × {effect['upsell_factor']:.3f}: {costs}, more than the usual {self.price(usual)} and within "
                f"the budget of {tolerance:g} × that"
            )
        return said

    def _dropped(self, product: str, rule: str) -> str:
        facts, knobs = self._products.get(product, {}), self.tuning
        above = {
            "variant": (knobs.variants_at_most, facts.get("parent_id") or product, "left out"),
            "category_cap": (knobs.diversity.category_cap, facts.get("category"), "not served"),
            "brand_cap": (knobs.diversity.brand_cap, facts.get("brand"), "not served"),
        }
        if rule in above:
            most, of, what = above[rule]
            return f"{what}: {most} of the products of {of} stand above it, and no more may"
        if rule == "cycle":
            days = (self.told.day - self._bought[product]["last_purchase_date"]).days
            waits = f"it waits {knobs.repurchase_cycle.exclude_before:g} × that"
            return f"left out: bought {_ago(days)}, and {self._cycle(self._cycles[product])}; {waits}"
        if rule == "segment":
            tier, segment = self._tiers[product]["price_tier"], self.told.profile["spending_segment"]
            return f"left out: its price tier is {tier}, which is not offered to the spending segment {segment}"
        if rule == "room_for_new":
            kept = f"{knobs.served_new_at_least} of the {knobs.served_list_size} places"
            return f"not served: bought before, and {kept} are kept for products that were not"
        return f"left out: {_OUT[rule]}"

    def _cycle(self, cycle: Mapping[str, Any]) -> str:
        days = f"{cycle['cycle_days']:g} days"
        match cycle["source"]:
            case "item":
                return f"people buy it again after {days} ({cycle['intervals']} intervals)"
            case "category":
                return f"people buy a product of its category again after {days}"
            case _:
                return f"a product of which too little is known counts as bought again after {days}"

    def _not_a_candidate(self, product: str) -> str:
        facts = self._products.get(product)
        if facts is None:
            return f"left out: the catalogue of {self.told.day} does not hold it"
        if why := facts["not_recommendable"]:
            return f"left out: {_NOT_RECOMMENDABLE[why]}"
        own = self._bought.get(product)
        if own and not self.choices.repeats_allowed:
            when = _ago((self.told.day - own["last_purchase_date"]).days)
            return f"left out: bought {when}, and lists of this shop hold nothing that was bought before"
        if self.told.candidates.is_empty():
            return "left out: nothing was put forward"
        worst = float(self.told.candidates["score"].to_numpy().min())
        return f"left out: {self.told.candidates.height} products score higher, the last of them {worst:.3f}"


_OUT = {
    "not_for_sale": "it may not be recommended: the catalogue says so",
    "out_of_stock": "out of stock",
    "banned": "banned by the shop",
}
_NOT_RECOMMENDABLE = {
    "banned": "banned by the shop",
    "product_unknown": "the catalogue does not name it",
    "currency_without_rate": "its price is in a currency without a rate",
    "price_missing": "it has no price",
    "out_of_stock": "out of stock",
}


def _by_product(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["product_id"]: row for row in frame.iter_rows(named=True)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _ago(days: int) -> str:
    """``3 days ago``.

    >>> _ago(0), _ago(1), _ago(3)
    ('on that day', '1 day ago', '3 days ago')
    """
    return "on that day" if days == 0 else f"{days} day{'s' * (days != 1)} ago"
