"""A made shop: its products, its people, and what is true of them. Nothing in it is real, and every name says so.

A shop is drawn once from a seed; `logic.simulate` lets its days pass. What a recommender is asked to find out — tastes,
budgets, repurchase cycles, seasons, what goes with what, gift dates — stands in `Shop` in the clear, so that a test
can plant an answer and look for it.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.errors import SettingsError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
LABEL = "synthetic"
TIERS = 3
TASTES = 8
_PER_CATEGORY = 12  # products that a category needs at least: some of each tier
# Departments with their kinds; a number is the days after which one unit is used up, None what lasts.
_DEPARTMENTS: dict[str, dict[str, int | None]] = {
    "Pantry": {"Coffee": 14, "Tea": 30, "Pasta": 21, "Oil": 45, "Snacks": 7},
    "Garden": {"Tools": None, "Pots": None, "Seeds": None, "Lights": None, "Chairs": None},
    "Bath": {"Soap": 21, "Shampoo": 30, "Towels": None, "Brushes": 60, "Mats": None},
    "Kitchen": {"Pans": None, "Knives": None, "Bowls": None, "Scales": None, "Filters": 45},
    "Pets": {"Dog Food": 14, "Cat Food": 14, "Litter": 21, "Leads": None, "Beds": None},
    "Office": {"Paper": 30, "Pens": 60, "Lamps": None, "Desks": None, "Ink": 45},
    "Sports": {"Balls": None, "Shoes": None, "Bottles": None, "Mats": None, "Bars": 14},
    "Gifts": {"Cards": None, "Candles": 60, "Games": None, "Puzzles": None, "Frames": None},
}
# What goes with a lasting kind. None of the department of gifts: who buys it would pass for somebody with a present.
_COMPANIONS: dict[str, tuple[str, ...]] = {
    "Garden > Tools": ("Garden > Seeds", "Garden > Pots"),
    "Garden > Pots": ("Garden > Seeds", "Garden > Tools"),
    "Garden > Seeds": ("Garden > Pots", "Garden > Tools"),
    "Garden > Lights": ("Garden > Chairs", "Office > Lamps"),
    "Garden > Chairs": ("Garden > Lights", "Kitchen > Bowls"),
    "Bath > Towels": ("Bath > Mats", "Bath > Soap"),
    "Bath > Mats": ("Bath > Towels", "Bath > Brushes"),
    "Kitchen > Pans": ("Kitchen > Knives", "Kitchen > Scales", "Pantry > Oil"),
    "Kitchen > Knives": ("Kitchen > Bowls", "Kitchen > Pans"),
    "Kitchen > Bowls": ("Kitchen > Scales", "Kitchen > Knives"),
    "Kitchen > Scales": ("Kitchen > Filters", "Kitchen > Bowls", "Pantry > Coffee"),
    "Pets > Leads": ("Pets > Beds", "Sports > Bottles"),
    "Pets > Beds": ("Pets > Leads", "Bath > Brushes"),
    "Office > Lamps": ("Office > Desks", "Garden > Lights"),
    "Office > Desks": ("Office > Lamps", "Office > Pens"),
    "Sports > Balls": ("Sports > Shoes", "Sports > Bottles"),
    "Sports > Shoes": ("Sports > Bottles", "Sports > Mats"),
    "Sports > Bottles": ("Sports > Shoes", "Sports > Bars"),
    "Sports > Mats": ("Sports > Bottles", "Bath > Towels"),
    "Gifts > Cards": ("Office > Pens",),
    "Gifts > Games": ("Pantry > Snacks",),
    "Gifts > Puzzles": ("Office > Lamps", "Pantry > Tea"),
    "Gifts > Frames": ("Office > Lamps",),
}
_MOST_COMPANIONS = max(map(len, _COMPANIONS.values()))
GIFT_TAG = "gift"
GIFT_TAGGED = 0.15  # share of lasting products of the other departments that carry the tag
_TWO_GIFT_DATES = 0.5
_PEAKS = {"Garden": 5, "Gifts": 12, "Sports": 7}  # month of the most interest
SEASON_SWING = 0.7  # a peak month draws 1.7 times the average interest, the opposite one .3 times


@dataclass(frozen=True)
class Scale:
    """How large a shop, how long, and from which seed."""

    users: int
    products: int
    days: int
    first_day: date
    seed: int
    visits_per_month: float = 4.0

    def __post_init__(self) -> None:
        """Refuses what no shop can be made of."""
        if self.users < 1 or self.days < 1 or self.products < _PER_CATEGORY:
            raise SettingsError(f"a made shop needs a user, a day and {_PER_CATEGORY} products at least.")


@dataclass(frozen=True)
class Shop:
    """Arrays by product (ordered by category and tier) and by user; ``cumulative`` sums the products' appeal."""

    scale: Scale
    categories: tuple[str, ...]
    peak_month: Ints  # by category; 0: no season
    category: Ints  # by product
    tier: Ints
    price_cents: Ints
    cycle_days: Ints  # by product; 0: it lasts
    cumulative: Floats
    bounds: Ints  # category × (TIERS + 1) → first product of each tier, and the end
    companions: Ints  # by category, the categories that go with it; the rest −1
    gift: Flags  # by product: its tag says that it makes a gift
    taste_interest: Floats  # taste × category, rows sum to 1
    taste: Ints  # by user
    favourite: Ints
    user_tier: Ints
    budget_cents: Ints  # a month
    visits_per_day: Floats
    joined: Ints  # day number from which the person visits
    gift_days: Ints  # user × 2 → day of the year, from 0, on which somebody close is given something; −1: no second one

    def product_ids(self) -> pl.Series:
        """Id of each product."""
        return ids("product", np.arange(self.scale.products))


def ids(what: str, numbers: Ints) -> pl.Series:
    """``synthetic-product-7`` and the like.

    >>> ids("user", np.array([3])).to_list()
    ['synthetic-user-3']
    """
    return pl.select(pl.format(f"{LABEL}-{what}-{{}}", pl.lit(pl.Series(numbers)))).to_series()


def make_shop(scale: Scale) -> Shop:
    """A shop of this scale; equal scales make equal shops."""
    draw = np.random.default_rng([scale.seed, 0])
    kinds = [(department, kind, days) for department, found in _DEPARTMENTS.items() for kind, days in found.items()]
    count = max(1, min(len(kinds), scale.products // _PER_CATEGORY))
    chosen = [kinds[place] for place in sorted(draw.permutation(len(kinds))[:count])]
    category = np.sort(np.concatenate([
        np.repeat(np.arange(count), TIERS), draw.integers(0, count, scale.products - TIERS * count),
    ]))  # fmt: skip
    level = draw.lognormal(7.2, 0.7, count)  # cents: around 13, from 3 to 55
    price = np.maximum(50, level[category] * draw.lognormal(0, 0.5, scale.products)).astype(np.int64)
    order = np.lexsort((price, category))
    price = price[order] // 10 * 10 + 9  # ends in 9, as prices do
    sizes = np.bincount(category, minlength=count)
    first = np.concatenate([[0], np.cumsum(sizes)])
    within = np.arange(scale.products) - first[category]
    tier = within * TIERS // sizes[category]
    bounds = np.stack([first[:-1] + -(-sizes * step // TIERS) for step in range(TIERS + 1)], axis=1)
    appeal = 1 / (1 + draw.permuted(within).astype(np.float64)) ** 0.8
    cycles = np.array([days or 0 for _, _, days in chosen])

    interest = draw.dirichlet(np.full(count, 0.4), TASTES)
    taste = draw.integers(0, TASTES, scale.users)
    favourite = pick(np.cumsum(interest, axis=1), taste, draw.random(scale.users))
    user_tier = draw.integers(0, TIERS, scale.users)
    usual = level.mean() * np.array([0.6, 1.0, 1.8])[user_tier]
    visits = draw.lognormal(0, 0.8, scale.users)
    late = draw.random(scale.users) < 0.3  # the others were there before the first day

    # What was added later has a generator of its own, so that the shops that tests and pages know stay what they were.
    more = np.random.default_rng([scale.seed, 6])
    at_home = np.array([department == "Gifts" for department, _, _ in chosen])
    tagged = (cycles[category] == 0) & (more.random(scale.products) < GIFT_TAGGED)
    dates = more.integers(0, 365, (scale.users, 2))
    dates[more.random(scale.users) >= _TWO_GIFT_DATES, 1] = -1
    return Shop(
        scale=scale,
        categories=tuple(f"{LABEL.title()} {department} > {kind}" for department, kind, _ in chosen),
        peak_month=np.array([_PEAKS.get(department, 0) for department, _, _ in chosen]),
        category=category,
        tier=tier,
        price_cents=price,
        cycle_days=cycles[category],
        cumulative=np.concatenate([[0.0], np.cumsum(appeal)]),
        bounds=bounds,
        companions=_companions([f"{department} > {kind}" for department, kind, _ in chosen]),
        gift=at_home[category] | tagged,
        taste_interest=interest,
        taste=taste,
        favourite=favourite,
        user_tier=user_tier,
        budget_cents=(usual * draw.lognormal(2.2, 0.5, scale.users)).astype(np.int64),
        visits_per_day=visits / visits.mean() * scale.visits_per_month / 30,
        joined=np.where(late, draw.integers(0, scale.days, scale.users), 0),
        gift_days=dates,
    )


def _companions(paths: list[str]) -> Ints:
    place = {path: number for number, path in enumerate(paths)}
    found = np.full((len(paths), _MOST_COMPANIONS), -1)
    for path, number in place.items():
        there = [place[other] for other in _COMPANIONS.get(path, ()) if other in place]
        found[number, : len(there)] = there
    return found


def pick(cumulative: Floats, row: Ints, uniform: Floats) -> Ints:
    """One column per ``row`` of cumulative shares, for one uniform number each.

    >>> pick(np.array([[0.2, 1.0], [0.9, 1.0]]), np.array([0, 1]), np.array([0.5, 0.5]))
    array([1, 0])
    """
    columns = np.empty(len(row), dtype=np.int64)
    for one in np.unique(row):
        mine = row == one
        columns[mine] = np.searchsorted(cumulative[one], uniform[mine] * cumulative[one, -1], side="right")
    last: Ints = np.minimum(columns, cumulative.shape[1] - 1)
    return last


def appealing(shop: Shop, low: Ints, high: Ints, uniform: Floats) -> Ints:
    """One product of each range ``low`` to ``high - 1``, by its appeal, for one uniform number each."""
    appeal = shop.cumulative
    place = np.searchsorted(appeal, appeal[low] + uniform * (appeal[high] - appeal[low]), side="right")
    return np.clip(place - 1, low, high - 1)


def season(shop: Shop, day: date) -> Floats:
    """Interest in each category on a day, 1 on average over the year."""
    turn = np.cos(2 * np.pi * (day.month - shop.peak_month) / 12)
    return np.where(shop.peak_month > 0, 1 + SEASON_SWING * turn, 1.0)


def day_of(shop: Shop, number: int) -> date:
    """The day after ``number`` days."""
    return shop.scale.first_day + timedelta(days=number)


def truth(shop: Shop) -> dict[str, pl.DataFrame]:
    """What is true of users, products and pairs of categories, one row each, for side files that no importer reads.

    What is true of orders comes day by day: `Day.orders`.
    """
    names = pl.Series(shop.categories)
    users = np.arange(shop.scale.users)
    by_taste = np.argsort(-shop.taste_interest, axis=1, kind="stable")[:, :3]
    return {
        "users": pl.DataFrame({
            "user_id": ids("user", users),
            "anon_id": ids("device", users),
            "taste": shop.taste,
            "favourite_category": names.gather(shop.favourite),
            "taste_categories": [[shop.categories[c] for c in by_taste[t]] for t in shop.taste],
            "price_tier": shop.user_tier,
            "monthly_budget": shop.budget_cents / 100,
            "visits_per_day": shop.visits_per_day,
            "joined_date": [day_of(shop, int(number)) for number in shop.joined],
            "gift_dates": [[_month_day(day) for day in days if day >= 0] for days in shop.gift_days.tolist()],
        }),
        "products": pl.DataFrame({
            "product_id": shop.product_ids(),
            "category": names.gather(shop.category),
            "price_tier": shop.tier,
            "regular_price": shop.price_cents / 100,
            "appeal": np.diff(shop.cumulative),
            "cycle_days": [int(days) or None for days in shop.cycle_days],
            "peak_month": [int(shop.peak_month[c]) or None for c in shop.category],
            "gift": shop.gift,
        }),
        "companions": pl.DataFrame({
            "category": names.gather(np.nonzero(shop.companions >= 0)[0]),
            "companion": names.gather(shop.companions[shop.companions >= 0]),
        }),
    }  # fmt: skip


def _month_day(day_of_year: int) -> str:
    return (date(2026, 1, 1) + timedelta(day_of_year)).strftime("%m-%d")  # of a year without February 29


def users_file(shop: Shop) -> pl.DataFrame:
    """The users file of the contract, one row per user."""
    draw = np.random.default_rng([shop.scale.seed, 1])
    size = shop.scale.users
    places = draw.integers(0, 3, size)
    ages = np.array(["18-29", "30-49", "50+"])[draw.integers(0, 3, size)]
    return pl.DataFrame({
        "user_id": ids("user", np.arange(size)),
        "locale": np.array(["de-DE", "en-GB", "fr-FR"])[places],
        "market": np.array(["DE", "GB", "FR"])[places],
        "consent": draw.random(size) >= 0.03,
        "transactional_only": draw.random(size) < 0.05,
        "attributes": [f'{{"age_group": "{age}", "{LABEL}": true}}' for age in ages],
    })  # fmt: skip


def product_names(shop: Shop) -> pl.Series:
    """``Synthetic Coffee 17``: the kind and the product's number."""
    kinds = pl.Series([name.split(" > ")[1] for name in shop.categories]).gather(shop.category)
    numbers = pl.Series(np.arange(shop.scale.products))
    return pl.select(pl.format(f"{LABEL.title()} {{}} {{}}", pl.lit(kinds), pl.lit(numbers))).to_series()


def parameters(shop: Shop) -> dict[str, Any]:
    """What the shop was drawn from."""
    scale = shop.scale
    return {
        "label": f"{LABEL}: nothing here is real",
        "users": scale.users,
        "products": scale.products,
        "days": scale.days,
        "first_day": scale.first_day.isoformat(),
        "seed": scale.seed,
        "visits_per_month": scale.visits_per_month,
        "season_swing": SEASON_SWING,
    }
