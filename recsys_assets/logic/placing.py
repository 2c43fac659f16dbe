"""Level 2's rules that look at a whole list: order, pins, variants, unlikeness, caps, room for new products."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys_assets.logic.compiled import compiled
from recsys_assets.logic.rules import DROPPED
from recsys_assets.logic.shelves import Codes, Whole

Flags = npt.NDArray[np.bool_]
Marks = npt.NDArray[np.int8]
Reals = npt.NDArray[np.float64]
_VARIANT, _CATEGORY, _BRAND, _ROOM = (
    DROPPED.index(rule) for rule in ("variant", "category_cap", "brand_cap", "room_for_new")
)


class Goods(NamedTuple):
    """What a shelf says of each product: see `Shelf`."""

    pin: Codes
    variant: Codes
    category: Codes
    top_category: Codes
    brand: Codes


class Limits(NamedTuple):
    """Knobs: ``variants_at_most``, those of ``diversity``, ``served_list_size`` and ``served_new_at_least``."""

    variants_at_most: int
    strength: float
    category_cap: int
    brand_cap: int
    served: int
    new_at_least: int


@compiled
def placed(
    indptr: Whole, product: Codes, score: Reals, purchased: Flags, dropped: Marks, goods: Goods, limits: Limits
) -> tuple[Whole, Codes, Codes, Codes]:
    """Entries in list order, then per entry: place by score behind the pins, rank, position; 0 where it has none.

    Entries of person i are ``indptr[i]:indptr[i + 1]``. ``dropped`` says which entries are out already (their place in
    ``DROPPED``), and is told which ones leave here. In this order:

    - score, the best first; ties go to the lower product; pinned products before all, in their own order;
    - of each variant's products the first ``variants_at_most`` stay (0: all);
    - of those not pinned, while places are served, the one with the largest (1 - strength) × score ÷ best score -
      strength × likeness to the most alike product above it comes next (maximal marginal relevance: Carbonell and
      Goldstein 1998); likeness is a third each for the same top category, category path and brand;
    - the first ``served`` get a position, except those beyond a cap, and the last of the purchased ones, which give way
      until ``new_at_least`` products are new (or no new ones are left). Pinned ones count, and give way to neither.
    """
    entries, products = len(product), len(goods.pin)
    order = np.empty(entries, np.int64)
    by_score, rank, position = np.zeros(entries, np.int32), np.zeros(entries, np.int32), np.zeros(entries, np.int32)
    # Counts per variant, category or brand of one list, set back to 0 after it: none has more values than products.
    of_variant, of_category, of_brand = (
        np.zeros(products, np.int32),
        np.zeros(products, np.int32),
        np.zeros(products, np.int32),
    )
    filled = 0
    for person in range(len(indptr) - 1):
        first, pins = filled, 0
        stop = _sort(indptr[person], indptr[person + 1], order, first, product, score, dropped, goods.pin)
        for at in range(first, stop):
            entry = order[at]
            group = goods.variant[product[entry]]
            if limits.variants_at_most and of_variant[group] == limits.variants_at_most:
                dropped[entry] = _VARIANT
                continue
            of_variant[group] += 1
            order[filled] = entry
            filled += 1
            by_score[entry] = filled - first
            pins += goods.pin[product[entry]] >= 0
        mine = order[first:filled]
        for entry in mine:
            of_variant[goods.variant[product[entry]]] = 0
        if limits.strength:
            _unlike_first(mine, pins, limits, product, score, goods)
        for at in range(len(mine)):
            rank[mine[at]] = at + 1
        _serve(mine, product, purchased, dropped, goods, limits, of_category, of_brand, position)
    return order[:filled], by_score, rank, position


@compiled
def _sort(
    start: int, stop: int, order: Whole, first: int, product: Codes, score: Reals, dropped: Marks, pin: Codes
) -> int:
    """Puts entries into ``order`` from ``first`` on; where they end.

    By insertion: candidates come in the order of Level 1, from which rules move them little, and numpy's sorts took
    five times as long to compile.
    """
    end = first
    for entry in range(start, stop):
        if dropped[entry]:
            continue
        at = end
        while at > first and _before(entry, order[at - 1], product, score, pin):
            order[at] = order[at - 1]
            at -= 1
        order[at] = entry
        end += 1
    return end


@compiled
def _before(one: int, other: int, product: Codes, score: Reals, pin: Codes) -> bool:
    its, others = pin[product[one]], pin[product[other]]
    if its >= 0 or others >= 0:
        return bool(its >= 0 and (others < 0 or its < others))
    if score[one] != score[other]:
        return bool(score[one] > score[other])
    return bool(product[one] < product[other])


@compiled
def _unlike_first(mine: Whole, pins: int, limits: Limits, product: Codes, score: Reals, goods: Goods) -> None:
    """Reorders ``mine`` behind the pins, as far as it is served; those behind keep their order."""
    best = 1e-12
    for entry in mine:
        best = max(best, score[entry])
    likest = np.zeros(len(mine))
    for at in range(min(limits.served, len(mine))):
        found, most = at, -np.inf
        if at >= pins:
            for other in range(at, len(mine)):
                worth = (1 - limits.strength) * score[mine[other]] / best - limits.strength * likest[other]
                if worth > most:
                    found, most = other, worth
        entry, like = mine[found], likest[found]
        for other in range(found, at, -1):
            mine[other], likest[other] = mine[other - 1], likest[other - 1]
        mine[at], likest[at] = entry, like
        for other in range(at + 1, len(mine)):
            likest[other] = max(likest[other], _likeness(product[entry], product[mine[other]], goods))


@compiled
def _likeness(one: int, other: int, goods: Goods) -> float:
    shared = 0
    for codes in (goods.top_category, goods.category, goods.brand):
        shared += codes[one] >= 0 and codes[one] == codes[other]
    return shared / 3


@compiled
def _serve(
    mine: Whole,
    product: Codes,
    purchased: Flags,
    dropped: Marks,
    goods: Goods,
    limits: Limits,
    of_category: Codes,
    of_brand: Codes,
    position: Codes,
) -> None:
    new = 0
    for entry in mine:
        if _beyond(product[entry], goods, limits, of_category, of_brand) == 0:
            new += not purchased[entry]
    _forget(mine, product, goods, of_category, of_brand)
    repeats_left = limits.served - min(limits.new_at_least, new)
    place = 0
    for at in range(len(mine)):
        if place == limits.served:
            break
        entry = mine[at]
        if purchased[entry] and repeats_left <= 0 and goods.pin[product[entry]] < 0:
            if at < limits.served:  # the others would not have been served anyway
                dropped[entry] = _ROOM
            continue
        cap = _beyond(product[entry], goods, limits, of_category, of_brand)
        if cap:
            dropped[entry] = cap
            continue
        repeats_left -= purchased[entry]
        place += 1
        position[entry] = place
    _forget(mine, product, goods, of_category, of_brand)


@compiled
def _beyond(one: int, goods: Goods, limits: Limits, of_category: Codes, of_brand: Codes) -> int:
    """Counts the product and answers 0, or answers the cap that it is beyond."""
    category, brand = goods.category[one], goods.brand[one]
    bound = goods.pin[one] < 0
    if bound and limits.category_cap and category >= 0 and of_category[category] >= limits.category_cap:
        return _CATEGORY
    if bound and limits.brand_cap and brand >= 0 and of_brand[brand] >= limits.brand_cap:
        return _BRAND
    if category >= 0:
        of_category[category] += 1
    if brand >= 0:
        of_brand[brand] += 1
    return 0


@compiled
def _forget(mine: Whole, product: Codes, goods: Goods, of_category: Codes, of_brand: Codes) -> None:
    for entry in mine:
        if goods.category[product[entry]] >= 0:
            of_category[goods.category[product[entry]]] = 0
        if goods.brand[product[entry]] >= 0:
            of_brand[goods.brand[product[entry]]] = 0
