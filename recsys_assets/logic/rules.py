"""Level 2's rules that look at one product for one person: what they take out, and by what they multiply a score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys_assets.logic.compiled import compiled
from recsys_assets.logic.shelves import NONE, Codes, Shelf, Shoppers, Whole
from recsys_assets.tuning import Tuning

SEGMENTS = ("small", "low_average", "average", "high")
# What `dropped_by` says, by place; the ones up to "variant" leave the list, the others its served part only.
DROPPED = (
    None, "not_for_sale", "out_of_stock", "banned", "segment", "cycle", "variant",
    "category_cap", "brand_cap", "room_for_new",
)  # fmt: skip
_SEGMENT, _CYCLE = DROPPED.index("segment"), DROPPED.index("cycle")
Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """People and products in question: one entry each, by person; entries of person i are ``indptr[i]:indptr[i+1]``.

    ``person`` is a row of the shoppers per person, or -1 of somebody without history; ``product`` a place on the shelf
    per entry. ``days``, ``since`` and ``month`` say how often and when the person bought it (0: never), ``of_category``
    how many products of its category path.
    """

    indptr: Whole
    person: Whole
    product: Codes
    days: Codes
    since: Codes
    month: npt.NDArray[np.int8]
    of_category: Codes

    @classmethod
    def of(cls, indptr: Whole, person: Whole, product: Codes, shelf: Shelf, shoppers: Shoppers) -> Pairs:
        """With what was bought."""
        facts = _bought(
            indptr, person, product, shelf.category, shoppers.indptr, shoppers.product, shoppers.days, shoppers.since,
            shoppers.month,
        )  # fmt: skip
        return cls(indptr, person, product, *facts)

    def each(self, values: npt.NDArray[np.generic], unknown: object) -> npt.NDArray[np.generic]:
        """A value of each shopper, per entry."""
        found = np.append(values, np.asarray([unknown], dtype=values.dtype))[self.person]  # -1 is the last
        return np.repeat(found, np.diff(self.indptr))


@dataclass(frozen=True)
class Effects:
    """Per entry: by what the score is multiplied, and the place in ``DROPPED`` of what takes it out (0: nothing)."""

    price_factor: Reals
    upsell_factor: Reals
    dropped: npt.NDArray[np.int8]


def effects(pairs: Pairs, shelf: Shelf, shoppers: Shoppers, tuning: Tuning) -> Effects:
    """What the rules of one product and one person do; of several that take it out the first in ``DROPPED`` is named.

    - Not for sale, out of stock, banned, as the catalogue says: nobody is shown it.
    - ``segment_filter``: what was not bought before comes from the price tiers of the person's spending segment.
    - ``repurchase_cycle``: what was bought before waits ``exclude_before`` × its cycle.
      Neither of these two takes out what the shop has pinned.
    - ``price_sensitivity``: what was not bought before and costs more than the budget (``budget_tolerance`` × the
      person's usual price) loses in proportion: at twice the budget half its score.
    - ``upsell``: what was not bought before and costs between the usual price and the budget gains up to ``factor``:
      all of them the part ``1 - price_boost_weight``, the rest in proportion to how near the budget it is.

    Who has no usual price or segment is left alone by the rules that ask for one.
    """
    product, new = pairs.product, pairs.days == 0
    pinned = shelf.pin[product] >= 0
    dropped = shelf.out[product].copy()

    def drop(rule: int, where: npt.NDArray[np.bool_]) -> None:
        dropped[where & (dropped == 0)] = rule

    if tuning.segment_filter.enabled:
        segment = pairs.each(shoppers.segment, NONE)
        drop(_SEGMENT, new & ~pinned & ~_offered(tuning)[segment, shelf.tier[product]])
    if tuning.repurchase_cycle.enabled:
        drop(_CYCLE, ~new & ~pinned & waits(pairs.since, shelf.cycle_days[product], tuning))

    price_factor, upsell_factor = np.ones(len(product)), np.ones(len(product))
    tolerance = tuning.price_sensitivity.budget_tolerance
    if tuning.price_sensitivity.enabled or tuning.upsell.enabled:
        usual = pairs.each(shoppers.usual_price, 0).astype(np.float64)
        price = shelf.price[product].astype(np.float64)
        judged, budget = new & (usual > 0), tolerance * usual
        if tuning.price_sensitivity.enabled:
            over = judged & (price > budget)
            price_factor[over] = budget[over] / price[over]
        if tuning.upsell.enabled:
            up = judged & (price > usual) & (price <= budget)
            near = (price[up] - usual[up]) / (budget[up] - usual[up])
            weight = tuning.upsell.price_boost_weight
            upsell_factor[up] = 1 + tuning.upsell.factor * (1 - weight + weight * near)
    return Effects(price_factor, upsell_factor, dropped)


def waits(since: npt.NDArray[np.integer], cycle_days: Reals, tuning: Tuning) -> npt.NDArray[np.bool_]:
    """Whether what was bought ``since`` days ago has to wait for its cycle."""
    return since < tuning.repurchase_cycle.exclude_before * cycle_days


def _offered(tuning: Tuning) -> npt.NDArray[np.bool_]:
    """Segments × tiers, and a last row and column for the unknown, which nothing is kept from."""
    knobs = tuning.segment_filter
    tiers = ("budget", "mid", "premium")
    told = [[tier in getattr(knobs, segment) for tier in tiers] + [True] for segment in SEGMENTS]
    return np.array([*told, [True] * (len(tiers) + 1)])


@compiled
def _bought(
    indptr: Whole,
    person: Whole,
    product: Codes,
    category: Codes,
    own_indptr: Whole,
    own_product: Codes,
    own_days: Codes,
    own_since: Codes,
    own_month: npt.NDArray[np.int8],
) -> tuple[Codes, Codes, npt.NDArray[np.int8], Codes]:
    days, since = np.zeros(len(product), np.int32), np.zeros(len(product), np.int32)
    month, of_category = np.zeros(len(product), np.int8), np.zeros(len(product), np.int32)
    # One slot per product and category of the shop, filled and emptied for each person: no search, no sort.
    slot = np.full(len(category), -1, np.int64)
    counted = np.zeros(category.max() + 1 if len(category) else 0, np.int32)
    for row in range(len(person)):
        if person[row] < 0:
            continue
        start, stop = own_indptr[person[row]], own_indptr[person[row] + 1]
        for own in range(start, stop):
            slot[own_product[own]] = own
            if category[own_product[own]] >= 0:
                counted[category[own_product[own]]] += 1
        for entry in range(indptr[row], indptr[row + 1]):
            own = slot[product[entry]]
            if own >= 0:
                days[entry], since[entry], month[entry] = own_days[own], own_since[own], own_month[own]
            if category[product[entry]] >= 0:
                of_category[entry] = counted[category[product[entry]]]
        for own in range(start, stop):
            slot[own_product[own]] = -1
            if category[own_product[own]] >= 0:
                counted[category[own_product[own]]] = 0
    return days, since, month, of_category
