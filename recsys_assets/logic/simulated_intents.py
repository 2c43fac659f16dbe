"""What a made order is for: its true intent and trigger, and visits for accessories, upgrades, gifts and full carts.

One visit serves one intent and makes one order at most, so no order mixes intents: the order's intent is its visit's.
That also settles what would pass for two. Somebody who only looks around and happens to buy a present, a higher tier or
what goes with an earlier product was exploring, whatever the order looks like; a planner meets the same in real shops.
Of the triggers, `in-cart` comes first (wherever the cart was filled for), then `post-purchase`, then `on-page`.

The visits of this module are added to those of `logic.simulate`, whose draws they leave as they were. Hence nobody sets
out on one once the month's budget is spent, but what they cost does not keep the others from buying.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.copy_facts import TRIGGERS, Intent
from recsys_assets.logic.simulated_shop import TIERS, Flags, Floats, Ints, Shop, appealing, day_of, ids

INTENTS: tuple[Intent, ...] = ("explore", "replenish", "accessory", "upgrade", "gift")  # commonest first
EXPLORE, REPLENISH, ACCESSORY, UPGRADE, GIFT = range(len(INTENTS))
ON_PAGE, IN_CART, POST_PURCHASE = range(len(TRIGGERS))

ACCESSORY_FOLLOWS, ACCESSORY_DAYS = 0.24, 12  # share of lasting products bought; within how many days at most
UPGRADE_FOLLOWS, UPGRADE_DAYS = 0.4, (7, 35)  # the same, below the top tier; after and within how many days
GIFT_WINDOW = 14  # days before a personal date in which people look for a gift
GIFT_LAST_DAY = 23  # of December
GIFT_NEAR, GIFT_DECEMBER = 1.1, 0.8  # visits for a gift then, to one that browses
CART_FOLLOWS, CART_DAYS = 0.08, 5  # share of visits that left a cart; within how many days it is bought
LOOKS_FIRST, LEAVES_CART = 0.25, 0.25  # of the visits that look for something; the others buy at once
WRAPPED = 0.4  # share of gift orders that say so
_TAGGED, _OWN_TIER, _CLICKED, _KNOWN = 0.85, 0.75, 0.4, 0.85
_SOON = 0.3  # geometric: two of three accessories are looked for within three days
# By intent: the fewest and most products seen by who looks for one, and how often such a visit begins with a search.
_FEWEST, _MOST = np.array([1, 1, 2, 3, 2]), np.array([1, 1, 4, 6, 5])
_SEARCHED = np.array([0.0, 0.0, 0.3, 0.3, 0.5])
STEP_SECONDS = 40
_HOURS = np.array([1, 1, 1, 1, 1, 2, 3, 5, 6, 6, 6, 6, 7, 6, 5, 5, 6, 8, 10, 11, 10, 7, 4], dtype=float)


class _Entries:
    """Frozen arrays of one length."""

    def only(self, which: Flags | Ints) -> Self:
        """Some of the entries."""
        return replace(self, **{name: values[which] for name, values in self._arrays().items()})  # type: ignore[type-var] # each heir is a dataclass

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One after the other."""
        every = [part._arrays() for part in parts]
        return cls(**{name: np.concatenate([arrays[name] for arrays in every]) for name in every[0]})

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type] # as above


@dataclass(frozen=True)
class Seen(_Entries):
    """One entry per view, ordered by session: who saw what at which second of the day, and what came of it."""

    session: Ints
    user: Ints
    product: Ints
    second: Ints
    known: Flags
    quantity: Ints
    searched: Flags
    clicked: Flags
    carted: Flags
    removed: Flags
    bought: Flags


@dataclass(frozen=True)
class Trips(_Entries):
    """Visits to come, one entry each; their places number the sessions of their day.

    Without a product (−1) one is looked for in the category; without a category too, among what makes a gift.
    """

    user: Ints
    category: Ints
    product: Ints
    intent: Ints
    trigger: Ints
    decided: Flags  # has looked before, and now buys

    @classmethod
    def of(
        cls,
        user: Ints,
        intent: int,
        trigger: int,
        *,
        category: Ints | None = None,
        product: Ints | None = None,
    ) -> Self:
        """Trips of one intent and trigger."""
        none = np.full(len(user), -1)
        return cls(
            user=user,
            category=none if category is None else category,
            product=none if product is None else product,
            intent=np.full(len(user), intent),
            trigger=np.full(len(user), trigger),
            decided=np.full(len(user), product is not None),
        )


@dataclass
class Plans:
    """What one day leaves to later ones: trips and returns by day number, what was spent, and what everybody owns."""

    spent_cents: Ints
    owned_tier: npt.NDArray[np.int8]  # user × category → highest tier bought, not as a gift; −1: none
    trips: dict[int, list[Trips]] = field(default_factory=dict)
    returns: dict[int, list[pl.DataFrame]] = field(default_factory=dict)

    @classmethod
    def start(cls, shop: Shop) -> Self:
        """Nothing bought, nothing planned."""
        users = shop.scale.users
        return cls(np.zeros(users, dtype=np.int64), np.full((users, len(shop.categories)), -1, dtype=np.int8))

    def add(self, trips: Trips, when: Ints, end: int) -> None:
        """Trips for the days ``when``; those after the shop's last day are forgotten."""
        for day in np.unique(when):
            if day < end:
                self.trips.setdefault(int(day), []).append(trips.only(when == day))


def starts(draw: np.random.Generator, sessions: int) -> Ints:
    """Seconds of the day at which visits begin."""
    if not sessions:
        return np.zeros(0, dtype=np.int64)
    second: Ints = draw.choice(len(_HOURS), sessions, p=_HOURS / _HOURS.sum()) * 3600 + draw.integers(0, 3600, sessions)
    return second


def visits(shop: Shop, number: int, draw: np.random.Generator, plans: Plans, open_purse: Flags) -> tuple[Seen, Trips]:
    """Views of the day's trips, and the trips by session. Plans who comes back."""
    trips = _due(shop, number, draw, plans)
    size = len(trips.user)
    looking = trips.product < 0
    count = np.where(looking, draw.integers(_FEWEST[trips.intent], _MOST[trips.intent] + 1), 1)
    session = np.repeat(np.arange(size), count)
    place = np.arange(len(session)) - np.repeat(np.cumsum(count) - count, count)
    last = place == count[session] - 1
    product = _looked_at(shop, draw, plans, trips, session)
    second = starts(draw, size)[session] + place * STEP_SECONDS

    outcome = np.where(looking & ~trips.decided, draw.random(size), 1.0)
    looks, buys = outcome < LOOKS_FIRST, outcome >= LOOKS_FIRST + LEAVES_CART
    carted = last & (~looks & (trips.trigger != IN_CART))[session]
    bought = last & (buys & open_purse[trips.user])[session]
    # Who fills a cart or orders is logged in, so that the visit which buys is known to be the same person's.
    known = (~looks | (draw.random(size) < _KNOWN))[session]
    searched = (draw.random(size) < np.where(looking, _SEARCHED[trips.intent], 0.0))[session] & (place == 0)
    clicked = (draw.random(len(session)) < _CLICKED) & ~searched & looking[session]
    often = (draw.random(len(session)) < 0.1) & (trips.intent == REPLENISH)[session]
    seen = Seen(
        session=session, user=trips.user[session], product=product, second=second, known=known,
        quantity=1 + often.astype(np.int64), searched=searched, clicked=clicked, carted=carted,
        removed=np.zeros(len(session), dtype=bool), bought=bought,
    )  # fmt: skip
    leaves = ~looks & ~buys
    left = replace(trips, product=product[last], trigger=np.full(size, IN_CART), decided=np.ones(size, dtype=bool))
    back = number + 1 + draw.integers(0, CART_DAYS, size)
    plans.add(replace(trips, decided=np.ones(size, dtype=bool)).only(looks), back[looks], shop.scale.days)
    plans.add(left.only(leaves), back[leaves], shop.scale.days)
    return seen, trips


def _due(shop: Shop, number: int, draw: np.random.Generator, plans: Plans) -> Trips:
    """The trips planned for the day that still make sense, and those for a gift."""
    trips = Trips.joined([*plans.trips.pop(number, []), _gifts(shop, number, draw)])
    owned = plans.owned_tier[trips.user, trips.category]
    looking = trips.product < 0
    there = looking & (trips.intent == ACCESSORY) & (owned >= 0)
    top = looking & (trips.intent == UPGRADE) & (owned >= TIERS - 1)
    return trips.only(~there & ~top)


def _gifts(shop: Shop, number: int, draw: np.random.Generator) -> Trips:
    """Trips for a gift: in December, and shortly before a person's own dates."""
    day = day_of(shop, number)
    ahead = (shop.gift_days - (day.timetuple().tm_yday - 1)) % 365
    near = ((shop.gift_days >= 0) & (ahead > 0) & (ahead <= GIFT_WINDOW)).sum(axis=1)
    december = day.month == 12 and day.day <= GIFT_LAST_DAY
    rate = shop.visits_per_day * (GIFT_NEAR * near + GIFT_DECEMBER * december) * (shop.joined <= number)
    people = np.flatnonzero(rate)
    user = np.repeat(people, draw.poisson(rate[people]))
    tagged = (draw.random(len(user)) < _TAGGED) & shop.gift.any()
    liked = shop.favourite[draw.integers(0, shop.scale.users, len(user))]
    return Trips.of(user, GIFT, ON_PAGE, category=np.where(tagged, -1, liked))


def _looked_at(shop: Shop, draw: np.random.Generator, plans: Plans, trips: Trips, session: Ints) -> Ints:
    """The product of each view: what the trip is for, or one of those it may be for, by appeal."""
    intent, category = trips.intent, trips.category
    size = len(session)
    lowest = np.where(intent == UPGRADE, plans.owned_tier[trips.user, category] + 1, 0)[session]
    own = (intent == ACCESSORY)[session] & (draw.random(size) < _OWN_TIER)
    tier = shop.user_tier[trips.user[session]]
    found = appealing(
        shop,
        shop.bounds[category[session], np.where(own, tier, lowest)],
        shop.bounds[category[session], np.where(own, tier + 1, TIERS)],
        draw.random(size),
    )
    product = trips.product[session]
    any_gift = (product < 0) & (category < 0)[session]
    if any_gift.any():
        gifts = np.flatnonzero(shop.gift)
        appeal: Floats = np.cumsum(np.diff(shop.cumulative)[gifts])
        place = np.searchsorted(appeal, draw.random(size) * appeal[-1], side="right")
        found = np.where(any_gift, gifts[np.minimum(place, len(gifts) - 1)], found)
    return np.where(product < 0, found, product)


def plan(shop: Shop, number: int, draw: np.random.Generator, plans: Plans, lines: pl.DataFrame, left: Seen) -> None:
    """Plans what follows from the lines bought on a day, and from the views whose product was ``left`` in a cart."""
    lines = lines.filter(~pl.col("_gift"))  # which is not the buyer's
    user, product = lines["_user"].to_numpy(), lines["_product"].to_numpy()
    category, tier, end = shop.category[product], shop.tier[product], shop.scale.days
    np.maximum.at(plans.owned_tier, (user, category), tier.astype(np.int8))
    lasting = shop.cycle_days[product] == 0
    size = len(user)

    fits = shop.companions[category]
    lacking = (fits >= 0) & (plans.owned_tier[user[:, None], fits] < 0)
    liking = draw.random(fits.shape) * lacking
    wants = lasting & lacking.any(axis=1) & (draw.random(size) < ACCESSORY_FOLLOWS)
    wait = np.minimum(draw.geometric(_SOON, size), ACCESSORY_DAYS)
    wanted = np.take_along_axis(fits, liking.argmax(axis=1)[:, None], axis=1)[:, 0]
    plans.add(Trips.of(user[wants], ACCESSORY, POST_PURCHASE, category=wanted[wants]), (number + wait)[wants], end)

    wants = lasting & (tier < TIERS - 1) & (draw.random(size) < UPGRADE_FOLLOWS)
    wait = draw.integers(UPGRADE_DAYS[0], UPGRADE_DAYS[1] + 1, size)
    plans.add(Trips.of(user[wants], UPGRADE, ON_PAGE, category=category[wants]), (number + wait)[wants], end)

    # One product of the cart is bought later: the first, as a visit buys one thing.
    left = left.only(np.unique(left.session, return_index=True)[1])
    kept = draw.random(len(left.user)) < CART_FOLLOWS
    wait = 1 + draw.integers(0, CART_DAYS, len(left.user))
    plans.add(Trips.of(left.user[kept], EXPLORE, IN_CART, product=left.product[kept]), (number + wait)[kept], end)


def order_truth(shop: Shop, number: int, lines: pl.DataFrame, intent: Ints, trigger: Ints) -> pl.DataFrame:
    """One row per order of the day: order_id, user_id, order_date, intent, trigger, category.

    The category is the one on which the order spends the most, of equal ones the first. ``intent`` and ``trigger`` are
    by session.
    """
    session = lines["_session"].to_numpy()
    count = len(shop.categories)
    pair, at = np.unique(session * count + shop.category[lines["_product"].to_numpy()], return_inverse=True)
    cents = np.zeros(len(pair), dtype=np.int64)
    np.add.at(cents, at, (lines["_cents"] * lines["quantity"]).to_numpy())
    pair = pair[np.lexsort((pair % count, -cents, pair // count))]
    orders, main = np.unique(pair // count, return_index=True)
    first = np.unique(session, return_index=True)[1]
    return pl.DataFrame({
        "order_id": ids(f"order-{number}", orders),
        "user_id": ids("user", lines["_user"].to_numpy()[first]),
        "order_date": pl.repeat(day_of(shop, number), len(orders), dtype=pl.Date, eager=True),
        "intent": pl.Series(INTENTS).gather(intent[orders]),
        "trigger": pl.Series(TRIGGERS).gather(trigger[orders]),
        "category": pl.Series(shop.categories).gather(pair[main] % count),
    })  # fmt: skip
