"""The choice of products for one plan, as the night makes it for everybody.

The only part of serving that needs frames: it is loaded by the first request that does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from recsys_assets.logic.offers import offers
from recsys_assets.logic.plans import cut
from recsys_assets.logic.refining import Turn, refined
from recsys_assets.serving.offer_schemas import GeneratorRequest
from recsys_assets.serving.planning import columns
from recsys_assets.serving.slices import Product
from recsys_assets.tuning import Tuning

_NOBODY = "somebody"  # whose plan it is does not matter to the choice
_PLAN = {
    "person_key": pl.String(), "intent": pl.String(), "categories": pl.List(pl.String()),
    "category_probabilities": pl.List(pl.Float64()), "price_low_micros": pl.Int64(), "price_middle_micros": pl.Int64(),
    "price_high_micros": pl.Int64(), "trigger": pl.String(),
}  # fmt: skip
_SLICE = {
    "person_key": pl.String(), "product_id": pl.String(), "rank": pl.Int64(), "category": pl.String(),
    "price_micros": pl.Int64(), "parent_id": pl.String(), "brand": pl.String(), "name": pl.String(),
    "reason_code": pl.String(), "purchased": pl.Boolean(), "tags": pl.List(pl.String()),
}  # fmt: skip


_OWNED = {name: _SLICE[name] for name in ("person_key", "category")}


@dataclass(frozen=True)
class Choice:
    """What is offered: ids with their fit, best first; the plan after what was said, and what was said in vain."""

    products: tuple[tuple[str, float], ...]
    plan: dict[str, Any]
    unmet: tuple[str, ...]
    not_understood: tuple[str, ...]


def choose(
    asked: GeneratorRequest, products: Sequence[Product], bought: set[str], categories: set[str | None], tuning: Tuning
) -> Choice:
    """Of the products of a slice those that fit the plan, after all turns; ``categories`` are of what is bought."""
    planned = pl.DataFrame([{"person_key": _NOBODY, **columns(asked.plan)}], schema=_PLAN)
    slice_ = _frame(products, tuning.planner.category_depth, bought)
    turns = [Turn(turn.says, tuple(turn.shown), turn.about) for turn in asked.turns]
    moved = refined(planned, slice_, turns, asked.plan.language)
    depth = tuning.planner.category_depth
    owned = [{"person_key": _NOBODY, "category": cut(path, depth)} for path in categories]
    chosen = offers(moved.plan, moved.products, tuning, pl.DataFrame(owned, schema=_OWNED))
    return Choice(
        tuple(chosen.select("product_id", "_fit").iter_rows()),
        moved.plan.row(0, named=True),
        tuple(wish.kind for answer in moved.answers for wish in answer.unmet),
        tuple(turn.text for turn, answer in zip(turns, moved.answers, strict=True) if not (answer.met or answer.unmet)),
    )


def _frame(products: Sequence[Product], depth: int, bought: set[str]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "person_key": _NOBODY, "product_id": one.id, "rank": place, "category": cut(one.category, depth),
                "price_micros": one.price_micros, "parent_id": one.parent_id, "brand": one.brand, "name": one.name,
                "reason_code": None, "purchased": one.id in bought, "tags": list(one.tags),
            }
            for place, one in enumerate(products, 1)
        ],
        schema=_SLICE,
    )  # fmt: skip
