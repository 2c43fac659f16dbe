"""The internal list that every route answers from, and what stands in for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from redis.asyncio import Redis

from recsys_assets.identity import KeyRing
from recsys_assets.logic.blending import (
    Filters,
    Product,
    asked,
    by_member,
    few_variants,
    fused,
    led,
    other_kinds_first,
    summed,
    topped_up,
)
from recsys_assets.logic.recommendation_ids import recommendation_id
from recsys_assets.serving.asking import RECORD_SECONDS, within
from recsys_assets.serving.pointer import Live, Pool
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.reading import Facts, Found, Person, Sources, Store
from recsys_assets.sources import PINNED
from recsys_assets.tuning import Tuning

__all__ = ["Answer", "Reader", "Wanted"]

CART_REASON = "Goes with what is in your cart"
SESSION_REASON = "Often taken after what you looked at"

# Weight of each part beside the person's own list, which has 1. Chosen on the last two weeks of Complete Journey: of
# 3,000 baskets the first product is the page's, and what else they hold is to be found, precision@10. The list alone
# .138, similar products first .069, blended by 1 .115, by .5 .132, by .25 .138; of what the person never bought .0106,
# .0082, .0100, .0105, .0108. By .25 hardly a similar product comes before the twentieth place, and a page that looks
# the same whatever is on it is none: .5 puts the first of them about seventh. Half of each basket as a cart: .083 by 0,
# .078 by .5, .067 by 1; its first three products as a visit: .117, .112, .096.
BESIDE = 0.5

AT_ONCE = 200  # people of a bulk whose lists are read in one trip: a MB of Redis, and some milliseconds of this process
MOST = 1_000  # any answer's products, before variants are taken out of it
CONSIDERED = 100  # best of a part of which the catalogue is asked


@dataclass(frozen=True)
class Wanted:
    """One list that is asked for, whatever the route.

    ``people`` are keys: the list is that of the first, and all of them have to be without a suppression. ``recent`` is
    newest last. Prices are micros, bounds included.
    """

    people: tuple[str, ...] = ()
    limit: int = 10
    context: str | None = None
    product_id: str | None = None
    recent: tuple[str, ...] = ()
    cart: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exclude_purchased: bool = False
    price_min: int | None = None
    price_max: int | None = None
    model: str = "hybrid"


@dataclass(frozen=True)
class Answer:
    """Products in order, the id of the list, what stood in for it, and where it was read.

    ``hit``: a list of the person's own answered.
    """

    products: list[Product]
    recommendation_id: str
    fallback: str | None
    hit: bool = False
    store: Store = "memory"


@dataclass(frozen=True)
class _Page:
    """What a request says beside the person: the same whoever asks.

    ``parts`` are weights and lists to blend with the person's, ``session`` one more, of what they themselves did;
    ``there`` the families of what is on the page. ``category`` stands in where no list answers; ``only``: it was asked
    for. ``pins`` lead every answer, as far as they pass its filters; ``at_most`` variants of a family are in one.
    """

    parts: list[tuple[float, list[Product]]]
    session: list[Product]
    facts: dict[str, Facts]
    there: tuple[str, ...]
    category: str | None
    only: bool
    pins: list[Product]
    at_most: int

    @property
    def blends(self) -> bool:
        """Whether there is anything beside the person's own list, so that variants could meet."""
        return bool(self.parts or self.session or self.there)

    def of_families(self, products: list[Product]) -> list[Product]:
        """Few of each family, as the knob says; the catalogue has been asked of all of them."""
        families = ((p, p.get("parent_id") or _family(p["id"], self.facts)) for p in products)
        return list(few_variants(families, self.there, self.at_most))


@dataclass(frozen=True)
class _List:
    """What the parts of an answer gave, before what is popular; ``filters`` is what they have passed.

    ``usual`` is the person's own list in its usual order; ``session``: something followed their visit. ``blind``: what
    the person bought is not to be shown and nobody knows what it is, so that nothing can stand in.
    """

    products: list[Product]
    usual: list[Product]
    session: bool
    filters: Filters
    blind: bool


class Reader:
    """Reads lists: Redis, then Postgres, then memory. It never writes.

    Of ``tuning`` the rules that hold where lists meet: ``pins`` and ``variants_at_most``.
    """

    def __init__(self, pool: Pool, cache: Redis, keys: KeyRing, tuning: Tuning) -> None:
        self.sources, self._keys, self._tuning = Sources(pool, cache, keys), keys, tuning
        self.redis, self.postgres = self.sources.redis, self.sources.postgres

    async def answer(self, live: Live, wanted: Wanted) -> Answer:
        """Up to ``wanted.limit`` products, each once, without the product asked about and the cart's."""
        with within():
            return (await self._answers(live, [wanted.people], wanted))[0]

    async def many(self, live: Live, people: Sequence[str], wanted: Wanted) -> list[Answer]:
        """The answer for each of ``people``, who are keys, in their order; ``wanted.people`` is not looked at."""
        made: list[Answer] = []
        for start in range(0, len(people), AT_ONCE):
            with within(RECORD_SECONDS):
                made += await self._answers(live, [(key,) for key in people[start : start + AT_ONCE]], wanted)
        return made

    async def similar(self, live: Live, product_id: str) -> list[Product] | None:
        """Products like one, best first, as they are sold now; None where the catalogue has no such product.

        Raises:
            ProblemError: 503, no store answers.
        """
        with within():
            found = await self.sources.find(live, [], [product_id])
            near = found.near[product_id].similar if product_id in found.near else []
            facts = await self.sources.known_facts(live, [product_id, *(product["id"] for product in near)])
        if found.store == "memory" or facts is None:
            raise ProblemError(503, "Stores away", "Neither Redis nor Postgres answers, and nothing else knows this.")
        if product_id not in facts:
            return None
        known = [_with_facts(product, facts) for product in near]
        return list(Filters(changes=live.changes).passed(known))

    async def _answers(self, live: Live, askers: Sequence[tuple[str, ...]], wanted: Wanted) -> list[Answer]:
        """One per asker, who are the keys of one person."""
        keys = list(chain.from_iterable(askers))
        about = dict.fromkeys([*filter(None, [wanted.product_id]), *wanted.cart, *asked(wanted.recent)])
        found = await self.sources.find(live, keys, list(about))
        people, stores = _joined(askers, found.people), [found.store] * len(askers)
        page = await self._page(live, wanted, found, people)
        made = [_listed(live, wanted, page, person) for person in people]
        short = [place for place, person in enumerate(people) if _falls_short(wanted, page, person, made[place])]
        keys = list(chain.from_iterable(askers[place] for place in short))
        rows = await self.sources.candidates(live, keys) if short else None
        if rows is not None:
            deeper = _joined([askers[place] for place in short], rows)
            if page.blends:
                await self._learn(live, page, [product["id"] for person in deeper for product in person.products])
            for place, person in zip(short, deeper, strict=True):
                people[place], stores[place] = person, "postgres"
                made[place] = _listed(live, wanted, page, person)
        # Products of the night's list meet those that fill it up, of which the catalogue's facts are known.
        filled = [each for each in made if len(each.products) < wanted.limit]
        if self._tuning.variants_at_most and not page.blends:
            await self._learn(live, page, [product["id"] for each in filled for product in each.products + each.usual])
        return [self._whole(live, wanted, page, *each) for each in zip(people, made, stores, strict=True)]

    async def _page(self, live: Live, wanted: Wanted, found: Found, people: Sequence[Person]) -> _Page:
        near = found.near
        product = wanted.product_id
        similar = list(near[product].similar) if product in near else []
        # What is described alike takes the place of what is in the cart, and goes with nothing.
        pairs = {
            name: [(p["id"], p["score"]) for p in near[name].similar if p["like"] == "purchases"]
            for name in wanted.cart
            if name in near
        }
        complements = summed(dict.fromkeys(pairs, 1.0), pairs)[:CONSIDERED]
        rules = {name: beside.following for name, beside in near.items()}
        session = summed(asked(wanted.recent), rules)[:CONSIDERED]
        places = {product: place for place, product in enumerate(self._tuning.pins)}
        pins = [p | {"source": PINNED} for p in live.popular.get("", ()) if p["id"] in places]
        pins.sort(key=lambda pin: places[pin["id"]])
        page = _Page([], [], {}, (), None, only=False, pins=pins, at_most=self._tuning.variants_at_most)
        here = [*filter(None, [product]), *wanted.cart]
        if similar or complements or session or here:
            names = [*(p["id"] for p in similar), *(name for name, _ in complements + session)]
            own = [p["id"] for person in people for p in person.products]
            await self._learn(live, page, [*here, *names, *own])
        facts = page.facts
        kinds = {name: fact.category for name, fact in facts.items()}
        complements = other_kinds_first(complements, kinds, {kinds.get(name) for name in wanted.cart})
        parts = [
            (BESIDE, [_with_facts(p, facts) for p in similar]),
            (BESIDE, [_made(pair, facts, CART_REASON, "similar") for pair in complements]),
        ]
        seen = facts.get(product or "")
        categories = [wanted.context or "", ((seen.category if seen else None) or "").partition(" > ")[0]]
        category = next((name for name in categories if name and name in live.popular), None)
        return replace(
            page,
            parts=[part for part in parts if part[1]],
            session=[_made(pair, facts, SESSION_REASON, "session") for pair in session],
            there=tuple(_family(name, facts) for name in here),
            category=category,
            only=category is not None and category == wanted.context,
        )

    async def _learn(self, live: Live, page: _Page, products: Sequence[str]) -> None:
        """Asks the catalogue of products that the page does not know yet."""
        page.facts.update(await self.sources.facts(live, [p for p in dict.fromkeys(products) if p not in page.facts]))

    def _whole(self, live: Live, wanted: Wanted, page: _Page, person: Person, made: _List, store: Store) -> Answer:
        """The answer of one person, filled up with what is popular."""
        # Where few products have the member asked for, the list in its usual order stands in first. The popular ones of
        # a category come before those of the whole shop, which may be of any.
        anywhere = replace(made.filters, category=None)
        stand_in: list[Iterable[Product]] = [made.usual if wanted.model != "hybrid" else ()]
        if not made.blind:
            names = dict.fromkeys((page.category or "", ""))
            stand_in += [anywhere.passed(live.popular.get(name, ())) for name in names]
        own = led(list(made.filters.passed(page.pins)), made.products) if page.pins else made.products
        products = own[: wanted.limit]
        if page.blends or len(own) < wanted.limit:
            products = page.of_families(topped_up(own, stand_in, MOST))[: wanted.limit]
        fallback: str | None = "popular_in_category" if page.category else "popular"
        about, list_id = page.category or "popular", person.recommendation_id
        if made.usual:
            listed = {product["id"] for product in own}
            fallback = None if all(product["id"] in listed for product in products) else "topped_up"
        elif made.session:
            fallback, about = "session", "session"
        if not made.usual or list_id is None:
            list_id = recommendation_id(self._keys, live.generation, "", about)
        return Answer(products, list_id, fallback, bool(made.usual), store)


def _listed(live: Live, wanted: Wanted, page: _Page, person: Person) -> _List:
    """The person's list under all filters, blended with what the page says."""
    # Of what stands in for a list, or beside it, nothing but the person's row says what they own.
    exclude = {*wanted.exclude, *wanted.cart, *filter(None, [wanted.product_id]), *person.withheld}
    if wanted.exclude_purchased:
        exclude |= {product["id"] for product in person.products if product["purchased"]} | {*(person.owned or ())}
    blind = wanted.exclude_purchased and person.owned is None
    filters = Filters(
        exclude, wanted.exclude_purchased, wanted.price_min, wanted.price_max,
        page.category if page.only else None, live.changes, person.tiers,
        {*(pin["id"] for pin in page.pins), *(person.owned or ())},
    )  # fmt: skip
    # Nothing that is blended, or put into another order, needs the whole list.
    needed = None if page.blends or wanted.model != "hybrid" else wanted.limit
    own = usual = list(islice(filters.passed(person.products), needed))
    if wanted.model != "hybrid":
        scores = person.members.get(wanted.model)
        own = list(filters.passed(by_member(person.products, wanted.model, scores))) if scores else []
    # Who opted out is told nothing that was made of what they did; what stands on the page is no secret of theirs.
    session = [] if person.suppressed or blind else list(filters.passed(page.session))
    others = [] if blind else [(weight, list(filters.passed(part))) for weight, part in page.parts]
    products = fused([(1.0, own), *others, (BESIDE, session)])
    if page.blends:  # a list that stands alone stays as the night made it
        products = page.of_families(products)
    return _List(products, usual, bool(session), filters, blind)


def _falls_short(wanted: Wanted, page: _Page, person: Person, made: _List) -> bool:
    """Whether the rest of the person's row may say more."""
    if made.blind and (page.blends or len(made.products) < wanted.limit):
        return True
    if not person.products:
        return False
    if wanted.model != "hybrid":  # Redis does not know the members
        return not person.deep or not person.members
    return not person.deep and len(made.products) < wanted.limit


def _joined(askers: Sequence[tuple[str, ...]], people: Sequence[Person]) -> list[Person]:
    """Of the keys of each asker, the first one's list; nothing where any of them is suppressed.

    A list made of what an anonymous id did is never shown beside a user's id. Two people who log in on one device share
    the anonymous id: what one did there before they logged in must not be shown to the other, known or new. What a user
    did there themselves is in their own list, once the shop's events tie it to them alone.
    """
    rest = iter(people)
    groups = [list(islice(rest, len(keys))) for keys in askers]
    return [
        Person(suppressed=True) if any(person.suppressed for person in group) else next(iter(group), Person())
        for group in groups
    ]


def _family(product: str, facts: dict[str, Facts]) -> str:
    known = facts.get(product)
    return (known and known.parent_id) or product


def _with_facts(product: Product, facts: dict[str, Facts]) -> Product:
    known = facts.get(product["id"])
    return product | {
        "price_micros": known and known.price_micros, "category": known and known.category, "purchased": None,
        "price_tier": known and known.price_tier,
    }  # fmt: skip


def _made(pair: tuple[str, float], facts: dict[str, Facts], reason: str, source: str) -> Product:
    product, score = pair
    said = {"id": product, "score": score, "reason": reason, "confidence": None, "source": source}
    return _with_facts(said, facts)
