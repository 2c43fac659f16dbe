"""The days of a made shop: visits, views, clicks, carts, purchases and returns, a day at a time.

People visit as often as they are active, look mostly at their favourite category and their taste's, in their own
price tier, more where the season is; what is used up they buy again when it is (nearly) used up, and nobody starts
another purchase once the month's budget is spent. Visits for accessories, upgrades, gifts and full carts come from
`logic.simulated_intents`. Each day is drawn from the seed and the day's number; what passes from one day to the next is
who will need what again, who comes back for what, what will be returned, what is owned, and what has been spent.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from recsys_assets.logic.simulated_intents import (
    EXPLORE,
    GIFT,
    ON_PAGE,
    REPLENISH,
    STEP_SECONDS,
    WRAPPED,
    Plans,
    Seen,
    Trips,
    order_truth,
    plan,
    starts,
    visits,
)
from recsys_assets.logic.simulated_shop import (
    GIFT_TAG,
    LABEL,
    TIERS,
    Flags,
    Floats,
    Ints,
    Shop,
    appealing,
    day_of,
    pick,
    product_names,
    season,
)

REPURCHASE = 0.8  # share of what is used up that is bought here again
CYCLE_SPREAD = 0.15  # standard deviation of the logarithm of a cycle
RETURNED = 0.03
PROMOTED, DISCOUNT = 0.05, 0.2  # share of products on offer each week, and how far
_FAVOURITE, _OWN_TIER = 0.5, 0.75
_VIEWS, _VIEWS_MOST = 0.22, 20  # geometric
_SEARCHED, _CLICKED, _KNOWN = 0.25, 0.4, 0.85
_CARTED, _BOUGHT, _REMOVED = 0.2, 0.6, 0.3
_WEEKDAY = np.array([0.9, 0.9, 0.95, 1.0, 1.05, 1.2, 1.1])


@dataclass(frozen=True)
class Day:
    """Events of one day, ordered by time, and the catalogue rows that change with it (on the first day, all).

    ``orders`` holds what is true of the day's orders, one row each (`order_truth`); it is never delivered.
    """

    number: int
    events: pl.DataFrame
    catalog: pl.DataFrame
    orders: pl.DataFrame


@dataclass
class _Carry:
    """What one day leaves to later ones: by day number the users and products that come up again."""

    spent_cents: Ints
    needs: dict[int, list[tuple[Ints, Ints]]] = field(default_factory=dict)
    returns: dict[int, list[pl.DataFrame]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Views:
    """One entry per view: its session, user, product, place within the session, and what came of it."""

    session: Ints
    user: Ints
    product: Ints
    place: Ints
    carted: Flags

    def arrays(self) -> tuple[Ints, Ints, Ints, Ints, Flags]:
        """Its fields, in order."""
        return self.session, self.user, self.product, self.place, self.carted


def days(shop: Shop) -> Iterator[Day]:
    """Every day of the shop, in order."""
    carry, plans = _Carry(np.zeros(shop.scale.users, dtype=np.int64)), Plans.start(shop)
    previous: Ints | None = None
    for number in range(shop.scale.days):
        if day_of(shop, number).day == 1:
            carry.spent_cents[:] = 0
            plans.spent_cents[:] = 0
        price = _prices(shop, number)
        events, orders = _events(shop, number, price, carry, plans)
        changed = np.arange(shop.scale.products) if previous is None else np.flatnonzero(price != previous)
        yield Day(number, events, _catalog(shop, number, price, changed), orders)
        previous = price


def _prices(shop: Shop, number: int) -> Ints:
    """Prices of the day: every week another few products are on offer."""
    offered = np.random.default_rng([shop.scale.seed, 3, number // 7]).random(shop.scale.products) < PROMOTED
    return np.where(offered, (shop.price_cents * (1 - DISCOUNT)).astype(np.int64), shop.price_cents)


def _browsing(shop: Shop, number: int, draw: np.random.Generator) -> _Views:
    day = day_of(shop, number)
    busy = shop.visits_per_day * _WEEKDAY[day.weekday()] * (shop.joined <= number)
    user = np.repeat(np.arange(shop.scale.users), draw.poisson(busy))
    count = np.minimum(draw.geometric(_VIEWS, len(user)), _VIEWS_MOST)
    session = np.repeat(np.arange(len(user)), count)
    place = np.arange(len(session)) - np.repeat(np.cumsum(count) - count, count)
    viewer = user[session]
    interest = np.cumsum(shop.taste_interest * season(shop, day), axis=1)
    tasted = pick(interest, shop.taste[viewer], draw.random(len(viewer)))
    category = np.where(draw.random(len(viewer)) < _FAVOURITE, shop.favourite[viewer], tasted)
    own = draw.random(len(viewer)) < _OWN_TIER
    tier = shop.user_tier[viewer]
    low = shop.bounds[category, np.where(own, tier, 0)]
    high = shop.bounds[category, np.where(own, tier + 1, TIERS)]
    product = appealing(shop, low, high, draw.random(len(viewer)))
    fits = np.where(shop.tier[product] == tier, 1.2, 0.5)
    return _Views(session, viewer, product, place, draw.random(len(viewer)) < _CARTED * fits)


def _needed(carry: _Carry, number: int, first_session: int) -> _Views:
    """Visits for what is used up: each person's needs of the day make one visit."""
    due = carry.needs.pop(number, [])
    if not due:
        none = np.zeros(0, dtype=np.int64)
        return _Views(none, none, none, none, none.astype(bool))
    pairs = np.unique(np.stack([np.concatenate(part) for part in zip(*due, strict=True)]), axis=1)
    user, product = pairs[0], pairs[1]
    people, session = np.unique(user, return_inverse=True)
    place = np.minimum(np.arange(len(user)) - np.searchsorted(user, people)[session], _VIEWS_MOST)
    return _Views(session + first_session, user, product, place, np.ones(len(user), dtype=bool))


def _events(shop: Shop, number: int, price: Ints, carry: _Carry, plans: Plans) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The day's events, and what is true of its orders.

    Browsing and needs draw from one generator and know nothing of the trips, which draw from another: with the trips
    or without, the same people browse, need and buy the same.
    """
    draw = np.random.default_rng([shop.scale.seed, 2, number])
    added = np.random.default_rng([shop.scale.seed, 5, number])
    open_purse = carry.spent_cents + plans.spent_cents < shop.budget_cents
    seen, need = _visits(shop, number, draw, carry)
    more, trips = visits(shop, number, added, plans, open_purse)
    first = len(need)  # the trips' sessions are numbered from here on
    intent = np.concatenate([np.where(need, REPLENISH, EXPLORE), trips.intent])
    trigger = np.concatenate([np.full(first, ON_PAGE), trips.trigger])
    wrapped = (intent == GIFT) & (added.random(len(intent)) < WRAPPED)
    frame = _rows(Seen.joined([seen, replace(more, session=more.session + first)]), price)
    frame = frame.with_columns(
        (pl.col("_session") >= first).alias("_added"),
        pl.Series("_gift", intent == GIFT).gather(frame["_session"]),
        pl.Series("_wrapped", wrapped).gather(frame["_session"]),
    )

    lines = frame.filter(pl.col("event_type") == "purchase")
    ours, others = lines.filter(~pl.col("_added")), lines.filter("_added")
    for day, user, product in _remember(shop, number, draw, ours, carry.spent_cents, carry.returns):
        carry.needs.setdefault(day, []).append((user, product))
    for day, user, product in _remember(shop, number, added, others, plans.spent_cents, plans.returns):
        plans.trips.setdefault(day, []).append(Trips.of(user, REPLENISH, ON_PAGE, product=product))
    left = seen.only(seen.carted & ~seen.bought & ~seen.removed & seen.known)
    plan(shop, number, added, plans, lines, left)
    sent = carry.returns.pop(number, []) + plans.returns.pop(number, [])
    events = _written(shop, number, pl.concat([frame, *sent], how="diagonal"), draw, added)
    return events, order_truth(shop, number, lines, intent, trigger)


def _visits(shop: Shop, number: int, draw: np.random.Generator, carry: _Carry) -> tuple[Seen, Flags]:
    """Who browses and who buys again, and which sessions are the latter's."""
    seen = _browsing(shop, number, draw)
    browsed = int(seen.session[-1]) + 1 if len(seen.session) else 0
    due = _needed(carry, number, browsed)
    views = _Views(
        *(np.concatenate([before, after]) for before, after in zip(seen.arrays(), due.arrays(), strict=True))
    )
    sessions = browsed + len(np.unique(due.user))
    needs = np.arange(sessions) >= browsed
    need = needs[views.session]
    size = len(views.user)
    second = starts(draw, sessions)[views.session] + views.place * STEP_SECONDS

    # A visit buys all that is in its cart, or nothing; needs are always bought while there is money.
    wants = needs | (draw.random(sessions) < _BOUGHT)
    open_purse = carry.spent_cents[views.user] < shop.budget_cents[views.user]
    bought = views.carted & wants[views.session] & open_purse
    known = draw.random(sessions) < _KNOWN
    known[views.session[bought]] = True  # nobody orders without an account
    quantity = 1 + (draw.random(size) < 0.1) * (shop.cycle_days[views.product] > 0)
    searched = (draw.random(sessions) < _SEARCHED)[views.session] & (views.place == 0) & ~need
    return Seen(
        session=views.session,
        user=views.user,
        product=views.product,
        second=second,
        known=known[views.session],
        quantity=quantity,
        searched=searched,
        clicked=(draw.random(size) < _CLICKED) & ~searched & ~need,
        carted=views.carted,
        removed=views.carted & ~bought & (draw.random(size) < _REMOVED),
        bought=bought,
    ), needs


def _rows(seen: Seen, price: Ints) -> pl.DataFrame:
    """What happened, one row per event."""
    end = np.zeros(int(seen.session.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(end, seen.session, seen.second + STEP_SECONDS)
    table = pl.DataFrame({
        "_session": seen.session, "_user": seen.user, "_product": seen.product, "_known": seen.known,
        "quantity": seen.quantity, "_cents": price[seen.product],
    })  # fmt: skip

    def part(kind: str, mask: Flags, at: Ints) -> pl.DataFrame:
        return table.filter(pl.Series(mask)).with_columns(
            pl.lit(kind).alias("event_type"), pl.Series("_second", at[mask])
        )

    parts = [
        part("search", seen.searched, seen.second - 6).with_columns(pl.lit(None, pl.Int64).alias("quantity")),
        part("search_click", seen.searched, seen.second - 2),
        part("click", seen.clicked, seen.second - 2),
        part("view", np.ones(len(seen.user), dtype=bool), seen.second),
        part("add_to_cart", seen.carted, seen.second + 20),
        part("remove_from_cart", seen.removed, seen.second + 30),
        part("purchase", seen.bought, end[seen.session]),
    ]
    return pl.concat(parts)


def _remember(
    shop: Shop,
    number: int,
    draw: np.random.Generator,
    orders: pl.DataFrame,
    spent_cents: Ints,
    returns: dict[int, list[pl.DataFrame]],
) -> list[tuple[int, Ints, Ints]]:
    """By day, the users and products that come up again, but for gifts, which others use up."""
    user, product = orders["_user"].to_numpy(), orders["_product"].to_numpy()
    np.add.at(spent_cents, user, (orders["_cents"] * orders["quantity"]).to_numpy())
    cycle = shop.cycle_days[product]
    again = ~orders["_gift"].to_numpy() & (cycle > 0) & (draw.random(len(user)) < REPURCHASE)
    wait = np.maximum(2, np.rint(cycle * orders["quantity"].to_numpy() * draw.lognormal(0, CYCLE_SPREAD, len(user))))
    needs = [
        (day, user[mask], product[mask])
        for day, mask in _by_day(number + wait.astype(np.int64), again, shop.scale.days)
    ]
    back = draw.random(len(user)) < RETURNED
    for day, mask in _by_day(number + draw.integers(3, 15, len(user)), back, shop.scale.days):
        sent = orders.filter(pl.Series(mask)).with_columns(
            pl.lit("return").alias("event_type"),
            pl.format(f"{LABEL}-order-{number}-{{}}", "_session").alias("_returned"),
            -pl.col("quantity"),
            pl.lit(None, pl.Int64).alias("_session"),
        )
        returns.setdefault(day, []).append(sent)
    return needs


def _by_day(when: Ints, mask: Flags, end: int) -> Iterator[tuple[int, Flags]]:
    for day in np.unique(when[mask]):
        if day < end:
            yield int(day), mask & (when == day)


def _written(
    shop: Shop, number: int, frame: pl.DataFrame, draw: np.random.Generator, added: np.random.Generator
) -> pl.DataFrame:
    """The contract's columns. Half the people also show the id of their device when they are logged in."""
    midnight = datetime(*day_of(shop, number).timetuple()[:3], tzinfo=UTC)
    kinds = pl.Series([name.split(" > ")[1].lower() for name in shop.categories])
    shows = pl.Series(np.random.default_rng([shop.scale.seed, 4]).random(shop.scale.users) < 0.5)
    # The trips' events are numbered after the others', so that the others keep their ids with the trips or without.
    frame = frame.sort("_second", "_added", "_session", "event_type", "_product", nulls_last=True)
    later = frame["_added"].to_numpy()
    row = np.where(later, np.cumsum(later) + np.count_nonzero(~later), np.cumsum(~later)) - 1
    results = np.concatenate([draw.integers(1, 60, len(row) - later.sum()), added.integers(1, 60, later.sum())])
    frame = frame.with_columns(pl.Series("_row", row), pl.Series("results", results[row]))
    user, product = frame["_user"], frame["_product"]
    kind, session = pl.col("event_type"), pl.col("_session")
    paid = kind.is_in(["purchase", "return"])
    if "_returned" not in frame.columns:
        frame = frame.with_columns(pl.lit(None, pl.String).alias("_returned"))
    frame = frame.with_columns(
        (pl.Series("list_price", shop.price_cents).gather(product) / 100),
        shows.gather(user).alias("_shown"),
        kinds.gather(pl.Series(shop.category).gather(product)).alias("_kind"),
        pl.Series("device", ["mobile", "desktop"]).gather(user % 2),
    )
    return frame.select(
        pl.format(f"{LABEL}-event-{number}-{{}}", "_row").alias("event_id"),
        kind,
        (pl.lit(midnight) + pl.duration(seconds="_second")).dt.cast_time_unit("us").alias("event_time"),
        pl.when("_known").then(pl.format(f"{LABEL}-user-{{}}", "_user")).alias("user_id"),
        pl.when(pl.col("_shown") | ~pl.col("_known")).then(pl.format(f"{LABEL}-device-{{}}", "_user")).alias("anon_id"),
        pl.format(f"{LABEL}-session-{number}-{{}}", session).alias("session_id"),
        pl.when(kind != "search").then(pl.format(f"{LABEL}-product-{{}}", "_product")).alias("product_id"),
        pl.when(kind.is_in(["add_to_cart", "remove_from_cart"]) | paid).then("quantity").alias("quantity"),
        pl.when(paid).then(pl.col("_cents") / 100).alias("unit_price"),
        pl.when(paid).then("list_price").alias("list_price"),
        pl.when(paid).then(pl.lit("EUR")).alias("currency"),
        pl.when(kind == "purchase")
        .then(pl.format(f"{LABEL}-order-{number}-{{}}", session))
        .otherwise("_returned")
        .alias("order_id"),
        pl.when(kind.is_in(["search", "search_click"]))
        .then(pl.when("_gift").then(pl.lit(GIFT_TAG)).otherwise("_kind"))
        .alias("query"),
        pl.when(kind == "search").then("results").alias("results"),
        pl.when((kind == "purchase") & pl.col("_wrapped")).then(pl.lit("gift-wrap")).alias("context"),
        "device",
    )


def _catalog(shop: Shop, number: int, price: Ints, changed: Ints) -> pl.DataFrame:
    since = datetime(*day_of(shop, number).timetuple()[:3], tzinfo=UTC)
    rows = pl.Series(changed)
    return pl.DataFrame(
        {
            "product_id": shop.product_ids().gather(rows),
            "name": product_names(shop).gather(rows),
            "category": pl.Series(shop.categories).gather(pl.Series(shop.category).gather(rows)),
            "brand": pl.select(pl.format(f"{LABEL.title()} Brand {{}}", pl.lit(rows % 20))).to_series(),
            "unit_price": _money(price[changed]),
            "list_price": _money(shop.price_cents[changed]),
            "tags": pl.Series([[], [GIFT_TAG]], dtype=pl.List(pl.String)).gather(shop.gift[changed].astype(np.int64)),
        }
    ).with_columns(
        pl.lit("EUR").alias("currency"),
        pl.lit(True).alias("in_stock"),
        pl.lit(since).dt.cast_time_unit("us").alias("updated_at"),
    )


def _money(cents: Ints) -> Floats:
    made: Floats = cents / 100
    return made
