"""How a list is put together when it is asked for: filters, visits that no night has seen, blends, top-ups.

Plain Python on plain values, because the API loads no frame library. A product is a dict with ``id``, ``score``,
``reason``, ``price_micros``, ``category``, ``confidence``, ``source`` and ``purchased``; lists are best first.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, overload

Product = dict[str, Any]
Scored = list[tuple[str, float]]
Thing = TypeVar("Thing")

# Of a visit: how many of its last products are asked, and how fast they fade. The model `transitions` has the same
# defaults, so that an answer at read time is what the night would have said.
REACH = 10
STEP_DECAY = 1.0

# Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009): a place is worth 1 / (FLATNESS + place). Their 60 suits
# rankings of a thousand documents; with it the first similar product would come behind the person's fiftieth.
FLATNESS = 5.0

SAME_KIND = 0.5  # what a cart's complement of a kind that is already in the cart keeps of its score


class Listed(Sequence[Product]):
    """Products of a value as it is kept, a list per column, each made when it is looked at: most answers end early.

    ``same`` is said of each of them.

    >>> found = Listed({"id": ["a", "b"], "score": [1.0, 0.5]}, source="hybrid")
    >>> len(found), found[1], [product["id"] for product in found]
    (2, {'id': 'b', 'score': 0.5, 'source': 'hybrid'}, ['a', 'b'])
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]], **same: Any) -> None:
        self._names, self._columns, self._same = tuple(columns), tuple(columns.values()), same

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Product]:
        for values in zip(*self._columns, strict=True):
            yield dict(zip(self._names, values, strict=True), **self._same)

    @overload
    def __getitem__(self, at: int) -> Product: ...
    @overload
    def __getitem__(self, at: slice) -> list[Product]: ...
    def __getitem__(self, at: int | slice) -> Product | list[Product]:
        return list(self)[at]


def listed(columns: Mapping[str, Sequence[Any]] | None, **same: Any) -> Sequence[Product]:
    """`Listed`, or nothing where there are no products."""
    return Listed(columns, **same) if columns and columns["id"] else []


class Change(Protocol):
    """What was told of a product since the catalogue was read; None: as the catalogue says."""

    @property
    def in_stock(self) -> bool | None:
        """False: sold out."""
        ...

    @property
    def price_micros(self) -> int | None:
        """The new price."""
        ...


@dataclass(frozen=True)
class Filters:
    """What every product of an answer must pass, wherever it comes from; bounds of prices are included.

    >>> cheap = Filters(price_max=5, exclude=frozenset({"b"}))
    >>> [p["id"] for p in cheap.passed([{"id": i, "price_micros": n} for i, n in (("a", 5), ("b", 1), ("c", 6))])]
    ['a']
    """

    exclude: Collection[str] = frozenset()
    exclude_purchased: bool = False
    price_min: int | None = None
    price_max: int | None = None
    category: str | None = None
    changes: Mapping[str, Change] = field(default_factory=dict)
    tiers: Collection[str] | None = None  # None: of every price tier
    any_tier: Collection[str] = frozenset()  # products that ``tiers`` does not bind

    def passed(self, products: Iterable[Product]) -> Iterator[Product]:
        """The products that pass, at their new prices. With bounds, one whose price nobody knows does not pass."""
        for listed in products:
            if listed["id"] in self.exclude or (self.exclude_purchased and listed.get("purchased")):
                continue
            product, change = listed, self.changes.get(listed["id"])
            if change is not None:
                if change.in_stock is False:
                    continue
                if change.price_micros is not None:
                    product = listed | {"price_micros": change.price_micros}
            of_category = self.category is None or _top(product) == self.category
            if of_category and self._affordable(product) and self._of_tier(product):
                yield product

    def _of_tier(self, product: Product) -> bool:
        """What the night listed for the person says no tier: it has passed the rule."""
        tier = product.get("price_tier")
        return tier is None or self.tiers is None or tier in self.tiers or product["id"] in self.any_tier

    def _affordable(self, product: Product) -> bool:
        if self.price_min is None and self.price_max is None:
            return True
        price = product.get("price_micros")
        if price is None:
            return False
        return (self.price_min is None or price >= self.price_min) and (
            self.price_max is None or price <= self.price_max
        )


def _top(product: Product) -> str:
    return (product.get("category") or "").partition(" > ")[0]


def by_member(products: Sequence[Product], member: str, scores: Sequence[float | None]) -> list[Product]:
    """A row's candidates in the order of one member, without those that it says nothing of; ties stay as they were.

    >>> found = by_member([{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d"}], "als", [None, 0.1, 0.2, 0.0])
    >>> found
    [{'id': 'c', 'score': 0.2, 'source': 'als'}, {'id': 'b', 'score': 0.1, 'source': 'als'}]
    """
    pairs = [(score, product) for score, product in zip(scores, products, strict=True) if score]
    return [product | {"score": score, "source": member} for score, product in sorted(pairs, key=lambda pair: -pair[0])]


def asked(recent: Sequence[str]) -> dict[str, float]:
    """How much each product of a visit is asked, by product; ``recent`` is newest last.

    Place ** -STEP_DECAY, places counted from 1 at the newest; a product that was taken twice is asked twice.

    >>> asked(["a", "b", "a"])
    {'a': 1.3333333333333333, 'b': 0.5}
    """
    weights: dict[str, float] = {}
    for place, product in enumerate(reversed(recent[-REACH:]), 1):
        weights[product] = weights.get(product, 0.0) + place**-STEP_DECAY
    return weights


def summed(weights: Mapping[str, float], rules: Mapping[str, Iterable[tuple[str, float]]]) -> Scored:
    """Products and Σ weight × rule over the products asked, as shares of the best; ties by id.

    >>> summed({"a": 1.0, "b": 0.5}, {"a": [("x", 0.25), ("y", 0.5)], "b": [("x", 1.0), ("z", 0.5)]})
    [('x', 1.0), ('y', 0.666667), ('z', 0.333333)]
    """
    totals: dict[str, float] = {}
    for product, weight in weights.items():
        for other, rule in rules.get(product, ()):
            totals[other] = totals.get(other, 0.0) + weight * rule
    best = max(totals.values(), default=0.0)
    if best <= 0.0:
        return []
    return sorted(
        ((other, round(total / best, 6)) for other, total in totals.items()), key=lambda pair: (-pair[1], pair[0])
    )


def other_kinds_first(scored: Scored, kinds: Mapping[str, str | None], there: Collection[str | None]) -> Scored:
    """Complements: a product of a kind that is ``there`` already keeps SAME_KIND of its score.

    >>> other_kinds_first([("rye", 1.0), ("butter", 0.8)], {"rye": "bread", "butter": "dairy"}, {"bread"})
    [('butter', 0.8), ('rye', 0.5)]
    """
    there = {kind for kind in there if kind}
    weighed = [(product, score * (SAME_KIND if kinds.get(product) in there else 1.0)) for product, score in scored]
    return sorted(weighed, key=lambda pair: (-pair[1], pair[0]))


def fused(parts: Iterable[tuple[float, Sequence[Product]]]) -> list[Product]:
    """One list of several, each with a weight: Σ weight / (FLATNESS + place), as a share of what a first place of all
    would have; ties by id.

    A product's facts are those of the first part that knows them, its reason and source those of the part that
    speaks loudest for it. One part alone stays as it is.

    >>> one, two = [{"id": "a", "score": 9.0}, {"id": "b", "score": 8.0}], [{"id": "b", "score": 1.0}]
    >>> [(p["id"], p["score"]) for p in fused([(1.0, one), (1.0, two)])]
    [('b', 0.928571), ('a', 0.5)]
    """
    filled = [(weight, products) for weight, products in parts if products and weight > 0]
    if len(filled) == 1:
        return list(filled[0][1])
    most = sum(weight for weight, _ in filled) / (FLATNESS + 1)
    totals: dict[str, float] = {}
    loudest: dict[str, float] = {}
    made: dict[str, Product] = {}
    for weight, products in filled:
        for place, product in enumerate(products, 1):
            name, worth = product["id"], weight / (FLATNESS + place)
            totals[name] = totals.get(name, 0.0) + worth
            known = made.get(name)
            if known is None:
                made[name], loudest[name] = dict(product), worth
                continue
            for key, value in product.items():
                if known.get(key) is None:
                    known[key] = value
            if worth > loudest[name]:
                loudest[name] = worth
                known |= {key: product[key] for key in ("reason", "source") if key in product}
    for name, product in made.items():
        product["score"] = round(totals[name] / most, 6)
    return sorted(made.values(), key=lambda product: (-product["score"], product["id"]))


def few_variants(things: Iterable[tuple[Thing, str]], there: Iterable[str] = (), at_most: int = 1) -> Iterator[Thing]:
    """Of things with their families the first ``at_most`` of each; 0: all. What is ``there``, by family, counts.

    >>> shirts = [("red", "shirt"), ("blue", "shirt"), ("cap", "cap")]
    >>> list(few_variants(shirts)), list(few_variants(shirts, ["shirt"], 2)), list(few_variants(shirts, ["cap"], 0))
    (['red', 'cap'], ['red', 'cap'], ['red', 'blue', 'cap'])
    """
    seen = Counter(there)
    for thing, family in things:
        if not at_most or seen[family] < at_most:
            seen[family] += 1
            yield thing


def led(pins: Sequence[Product], products: Sequence[Product]) -> list[Product]:
    """``pins`` first, then the rest; of a product that is in both, what ``products`` say of it.

    >>> [p["id"] for p in led([{"id": "c"}, {"id": "b"}], [{"id": "a"}, {"id": "b"}])]
    ['c', 'b', 'a']
    """
    first = {pin["id"]: pin for pin in pins}
    first |= {product["id"]: product for product in products if product["id"] in first}
    return [*first.values(), *(product for product in products if product["id"] not in first)]


def topped_up(products: Sequence[Product], more: Iterable[Iterable[Product]], limit: int) -> list[Product]:
    """At most ``limit`` products, each once: the list's, then those of each part that stands in, in turn.

    What stands in is scored on scales of its own; it is shown as shares of the last score before it, so that an answer
    never rises.

    >>> [(p["id"], p["score"]) for p in topped_up([{"id": "a", "score": 0.5}], [[{"id": "b", "score": 0.8}]], 3)]
    [('a', 0.5), ('b', 0.4)]
    """
    made: list[Product] = []
    seen: set[str] = set()
    for part in (products, *more):
        scale = (made[-1]["score"] or 1.0) if made else 1.0  # a pin that no model knows has 0
        for product in part:
            if len(made) == limit:
                return made
            if product["id"] not in seen:
                seen.add(product["id"])
                made.append(product if scale == 1.0 else product | {"score": round(product["score"] * scale, 6)})
    return made
