"""The days of a made shop: visits, views, clicks, carts, purchases and returns, a day at a time.

People visit as often as they are active, look mostly at their favourite category and their taste's, in their own
price tier, more where the season is; what is used up they buy again when it is (nearly) used up, and nobody starts
another purchase once the month's budget is spent. Each day is drawn from the seed and the day's number; what passes
from one day to the next is who will need what again, what will come back, and what has been spent.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.simulated_shop import LABEL, TIERS, Floats, Ints, Shop, day_of, pick, product_names, season

REPURCHASE = 0.8  # share of what is used up that is bought here again
CYCLE_SPREAD = 0.15  # standard deviation of the logarithm of a cycle
RETURNED = 0.03
PROMOTED, DISCOUNT = 0.05, 0.2  # share of products on offer each week, and how far
_FAVOURITE, _OWN_TIER = 0.5, 0.75
_VIEWS, _VIEWS_MOST = 0.22, 20  # geometric
_SEARCHED, _CLICKED, _KNOWN = 0.25, 0.4, 0.85
_CARTED, _BOUGHT, _REMOVED = 0.2, 0.6, 0.3
_STEP_SECONDS = 40
_HOURS = np.array([1, 1, 1, 1, 1, 2, 3, 5, 6, 6, 6, 6, 7, 6, 5, 5, 6, 8, 10, 11, 10, 7, 4], dtype=float)
_WEEKDAY = np.array([0.9, 0.9, 0.95, 1.0, 1.05, 1.2, 1.1])
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Day:
    """Events of one day, ordered by time, and the catalogue rows that change with it (on the first day, all)."""

    number: int
    events: pl.DataFrame
    catalog: pl.DataFrame


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
    carry = _Carry(np.zeros(shop.scale.users, dtype=np.int64))
    previous: Ints | None = None
    for number in range(shop.scale.days):
        draw = np.random.default_rng([shop.scale.seed, 2, number])
        if day_of(shop, number).day == 1:
            carry.spent_cents[:] = 0
        price = _prices(shop, number)
        events = _events(shop, number, draw, price, carry)
        changed = np.arange(shop.scale.products) if previous is None else np.flatnonzero(price != previous)
        yield Day(number, events, _catalog(shop, number, price, changed))
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
    appeal = shop.cumulative
    product = np.searchsorted(
        appeal, appeal[low] + draw.random(len(viewer)) * (appeal[high] - appeal[low]), side="right"
    )
    product = np.clip(product - 1, low, high - 1)
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


def _events(shop: Shop, number: int, draw: np.random.Generator, price: Ints, carry: _Carry) -> pl.DataFrame:
    seen = _browsing(shop, number, draw)
    sessions = int(seen.session[-1]) + 1 if len(seen.session) else 0
    due = _needed(carry, number, sessions)
    need = np.concatenate([np.zeros(len(seen.user), dtype=bool), np.ones(len(due.user), dtype=bool)])
    views = _Views(
        *(np.concatenate([before, after]) for before, after in zip(seen.arrays(), due.arrays(), strict=True))
    )
    sessions += len(np.unique(due.user))
    size = len(views.user)
    starts = (draw.choice(len(_HOURS), sessions, p=_HOURS / _HOURS.sum()) * 3600 + draw.integers(0, 3600, sessions)
              if sessions else np.zeros(0, dtype=np.int64))  # fmt: skip
    second = starts[views.session] + views.place * _STEP_SECONDS

    # A visit buys all that is in its cart, or nothing; needs are always bought while there is money.
    wants = np.zeros(sessions, dtype=bool)
    wants[views.session[need]] = True
    wants |= draw.random(sessions) < _BOUGHT
    open_purse = carry.spent_cents[views.user] < shop.budget_cents[views.user]
    bought = views.carted & wants[views.session] & open_purse
    known = draw.random(sessions) < _KNOWN
    known[views.session[bought]] = True  # nobody orders without an account
    quantity = 1 + (draw.random(size) < 0.1) * (shop.cycle_days[views.product] > 0)
    searched = (draw.random(sessions) < _SEARCHED)[views.session] & (views.place == 0) & ~need
    clicked = (draw.random(size) < _CLICKED) & ~searched & ~need
    removed = views.carted & ~bought & (draw.random(size) < _REMOVED)
    end = np.zeros(sessions, dtype=np.int64)
    np.maximum.at(end, views.session, second + _STEP_SECONDS)

    table = pl.DataFrame({
        "_session": views.session, "_user": views.user, "_product": views.product, "_known": known[views.session],
        "quantity": quantity, "_cents": price[views.product],
    })  # fmt: skip

    def part(kind: str, mask: Flags, at: Ints) -> pl.DataFrame:
        return table.filter(pl.Series(mask)).with_columns(
            pl.lit(kind).alias("event_type"), pl.Series("_second", at[mask])
        )

    parts = [
        part("search", searched, second - 6).with_columns(pl.lit(None, pl.Int64).alias("quantity")),
        part("search_click", searched, second - 2),
        part("click", clicked, second - 2),
        part("view", np.ones(size, dtype=bool), second),
        part("add_to_cart", views.carted, second + 20),
        part("remove_from_cart", removed, second + 30),
        part("purchase", bought, end[views.session]),
    ]
    orders = parts[-1]
    _remember(shop, number, draw, orders, carry)
    frame = pl.concat([*parts, *carry.returns.pop(number, [])], how="diagonal")
    return _written(shop, number, frame, draw)


def _remember(shop: Shop, number: int, draw: np.random.Generator, orders: pl.DataFrame, carry: _Carry) -> None:
    user, product = orders["_user"].to_numpy(), orders["_product"].to_numpy()
    np.add.at(carry.spent_cents, user, (orders["_cents"] * orders["quantity"]).to_numpy())
    cycle = shop.cycle_days[product]
    again = (cycle > 0) & (draw.random(len(user)) < REPURCHASE)
    wait = np.maximum(2, np.rint(cycle * orders["quantity"].to_numpy() * draw.lognormal(0, CYCLE_SPREAD, len(user))))
    for day, mask in _by_day(number + wait.astype(np.int64), again, shop.scale.days):
        carry.needs.setdefault(day, []).append((user[mask], product[mask]))
    back = draw.random(len(user)) < RETURNED
    for day, mask in _by_day(number + draw.integers(3, 15, len(user)), back, shop.scale.days):
        sent = orders.filter(pl.Series(mask)).with_columns(
            pl.lit("return").alias("event_type"),
            pl.format(f"{LABEL}-order-{number}-{{}}", "_session").alias("_returned"),
            -pl.col("quantity"),
            pl.lit(None, pl.Int64).alias("_session"),
        )
        carry.returns.setdefault(day, []).append(sent)


def _by_day(when: Ints, mask: Flags, end: int) -> Iterator[tuple[int, Flags]]:
    for day in np.unique(when[mask]):
        if day < end:
            yield int(day), mask & (when == day)


def _written(shop: Shop, number: int, frame: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """The contract's columns. Half the people also show the id of their device when they are logged in."""
    midnight = datetime(*day_of(shop, number).timetuple()[:3], tzinfo=UTC)
    kinds = pl.Series([name.split(" > ")[1].lower() for name in shop.categories])
    shows = pl.Series(np.random.default_rng([shop.scale.seed, 4]).random(shop.scale.users) < 0.5)
    frame = frame.sort("_second", "_session", "event_type", "_product", nulls_last=True)
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
        pl.Series("results", draw.integers(1, 60, frame.height)),
    )
    return frame.select(
        pl.format(f"{LABEL}-event-{number}-{{}}", pl.int_range(pl.len())).alias("event_id"),
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
        pl.when(kind.is_in(["search", "search_click"])).then("_kind").alias("query"),
        pl.when(kind == "search").then("results").alias("results"),
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
        }
    ).with_columns(
        pl.lit("EUR").alias("currency"),
        pl.lit(True).alias("in_stock"),
        pl.lit(since).dt.cast_time_unit("us").alias("updated_at"),
    )


def _money(cents: Ints) -> Floats:
    made: Floats = cents / 100
    return made
